"""What a batch costs against its size m (claim C5): pairs counted, CPU time measured.

    pairs, P = m (K - 1) / 2 of them positive, K images a class:
    one hard quadruplet        P + 2 (m - K)    linear in m: every positive, the negatives of i, j
    every positive pair        m (m - 1) / 2    quadratic: then all images need their negatives
    LiftedStruct, Fisher       m (m - 1) / 2    quadratic: the dense matrix of Song et al. 2016

A measurement belongs to a machine and not to a data set: it is kept in results/cost/, a folder a
machine and version (COST), and measured again where either is new.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.optimize import minimize_scalar, nnls

from ...data import fingerprint
from ...methods import build_similarity, objective
from ...pddm import r
from ...store.progress import progress
from ...store.store import Store, environment
from ...training.experiments import Experiment, make

IMAGES, PAPER_M = 4, 64  # the paper's K, images a class, and m; d is its 128, too
DATA = "random features"  # what stands in a verdict's place for a data set


def _one(m: int, K: int = IMAGES) -> int:
    """Pairs scored for one hard quadruplet: all positive ones, and the negatives of i and of j."""
    return m * (K - 1) // 2 + 2 * (m - K)


def _all(m: int, K: int = IMAGES) -> int:
    """All unordered pairs of the batch."""
    return m * (m - 1) // 2


@dataclass(frozen=True)
class Way:
    """One way to turn a batch into a loss."""

    experiment: Experiment
    pairs: Callable[[int], int]  # m -> pairs whose similarity or distance is computed
    most: int  # largest m that is measured: a step takes some tenths of a second at most


def _way(method: str, pairs: Callable, most: int, recipe: str = "letter", **changes) -> Way:
    return Way(make(recipe, data=DATA, method=method, **changes), pairs, most)


PDDM, LIFTED = "PDDM, one quadruplet", "LiftedStruct"
EVERY, FISHER = "PDDM, every positive pair", "PDDM, Fisher criterion"
EUCLIDEAN = "Euclidean, one quadruplet"
WAYS = {
    PDDM: _way("PDDM+Quadruplet", _one, 1024),  # as in the paper
    EVERY: _way("PDDM+Quadruplet", _all, 128, "default"),  # the kit's recipe
    FISHER: _way("PDDM+Quadruplet", _all, 128, metric_loss="fisher"),  # Sec. 3.1
    EUCLIDEAN: _way("Euclidean+Quadruplet", _one, 1024),
    LIFTED: _way("LiftedStruct", _all, 1024),  # in matrix form, see losses.lifted
}
# profile -> (sizes m, seeds, repeats of which the median is kept); others as quick
PLANS = {"smoke": ((16, 32, 64, 128), 2, 2), "quick": ((16, 32, 64, 128, 256, 512, 1024), 5, 3)}
COST = 1  # raise it when a step does other work, or another way is timed: all is measured again
COLUMNS = ["way", "m", "seed", "pairs", "seconds"]


def step(way: Way, m: int, seed: int) -> Callable[[], None]:
    """A training step without the network: mine, loss, backward to f and to the unit's weights.

    Features are m random directions in R^d and the unit is untrained: neither changes the cost.
    """
    torch.manual_seed(seed)
    similarity = build_similarity(way.experiment).train()
    raw = torch.randn(m, way.experiment.embedding_size)
    labels = torch.arange(m // IMAGES).repeat_interleave(IMAGES)

    def run() -> None:
        x = raw.clone().requires_grad_()
        similarity.zero_grad()
        objective(r(x), labels, similarity, way.experiment).loss.backward()

    return run


def measure(sizes: Sequence[int], seeds: int, repeats: int, show: bool = True) -> pd.DataFrame:
    """COLUMNS: a row a way, m and seed; CPU seconds of one step, the median of the repeats.

    One thread. CPU time and not the clock on the wall: what else the machine does counts little.
    Each seed is a round over all ways and sizes, so that a slow minute meets them all; a step that
    is not counted goes first, since the memory of another size is not this one's.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    keys = [(w, m, s) for s in range(seeds) for m in sizes for w in WAYS if m <= WAYS[w].most]
    rows = []
    try:
        for way, m, seed in progress(keys, "cost of a batch", show):
            run, times = step(WAYS[way], m, seed), []
            for _ in range(1 + repeats):
                began = time.process_time()
                run()
                times.append(time.process_time() - began)
            rows.append((way, m, seed, WAYS[way].pairs(m), np.median(times[1:])))
    finally:
        torch.set_num_threads(threads)
    return pd.DataFrame(rows, columns=COLUMNS)


def measured(results: str | Path, profile: str = "quick", show: bool = True) -> pd.DataFrame:
    """`measure` at a profile's sizes, from results/cost/ where this machine has measured before.

    `attrs["cpu"]` names the processor. A torn or changed measurement is made anew.

    Raises:
        UserError: the folder cannot be written.
    """
    plan, store = PLANS.get(profile, PLANS["quick"]), Store(Path(results) / "cost")
    made = environment()
    machine = [made[k] for k in ("cpu", "cores", "platform", "python", "torch")]
    key = fingerprint(plan, machine, COST)
    store.cached(key, lambda: {"cost.csv": measure(*plan, show)}, made)
    frame = store.csv(key, "cost.csv")
    frame.attrs["cpu"] = store.json(key, "manifest.json")["cpu"]
    return frame


def exponent(m: Sequence[float], cost: Sequence[float]) -> float:
    """p of cost = a + b m^p, a, b >= 0, by least squares of the relative errors; all of m is used.

    a is what a step costs at any size (calling torch, the unit's own weights). Without it p would
    depend on where one starts to fit. nan where the cost does not grow or sizes are fewer than 4.
    """
    m, cost = np.asarray(m, float), np.asarray(cost, float)
    if len(m) < 4 or cost[m.argmax()] <= cost[m.argmin()]:
        return float("nan")
    grown = m / m.max()

    def misfit(p: float) -> float:
        return nnls(np.stack([1 / cost, grown**p / cost], axis=1), np.ones(len(m)))[1]

    return float(minimize_scalar(misfit, bounds=(0.1, 4), method="bounded").x)


def exponents(costs: pd.DataFrame) -> pd.DataFrame:
    """way, seed, pairs, seconds: the exponent in m of either."""
    rows = [
        (way, seed, *(exponent(own["m"], own[c]) for c in ("pairs", "seconds")))
        for (way, seed), own in costs.groupby(["way", "seed"], sort=False)
    ]
    return pd.DataFrame(rows, columns=["way", "seed", "pairs", "seconds"])


def level(costs: pd.DataFrame) -> float:
    """m at which PDDM's and LiftedStruct's mean times are equal, linear in log m; nan if at none.

    The last crossing, so that below it LiftedStruct is the cheaper one.
    """
    mean = costs.groupby(["way", "m"])["seconds"].mean().unstack("way")
    gap = np.log(mean[LIFTED] / mean[PDDM]).dropna()
    x, y = np.log2(gap.index.to_numpy(float)), gap.to_numpy()
    turns = np.flatnonzero((y[:-1] < 0) & (y[1:] >= 0))
    if len(turns) == 0:
        return float("nan")
    n = turns[-1]
    return float(2 ** (x[n] - y[n] * (x[n + 1] - x[n]) / (y[n + 1] - y[n])))
