"""The paper's claims decided by code: effect, 95 % interval over paired seeds, verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from . import paper
from .methods import METHODS
from .training import Run

REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced"
NOT_ENOUGH = "not enough evidence"

Runs = dict[tuple[str, str, int], Run]  # (data, method, seed) -> run


@dataclass(frozen=True)
class Verdict:
    """What the runs say of one claim on one data set."""

    claim: str
    data: str
    measure: str  # what the effect is, with its unit
    effect: float  # mean over seeds
    low: float  # 95 % interval
    high: float
    threshold: float  # the claim says: effect above this
    verdict: str
    note: str
    seeds: int


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and 95 % Student interval of paired differences; nan bounds below two values."""
    x = np.asarray(values, dtype=float)
    if len(x) < 2:
        return (float(x.mean()) if len(x) else np.nan, np.nan, np.nan)
    half = stats.t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x))
    return float(x.mean()), float(x.mean() - half), float(x.mean() + half)


def decide(values: Sequence[float], threshold: float = 0.0) -> tuple[float, float, float, str]:
    """(mean, low, high, verdict): reproduced if the interval lies above the threshold, not
    reproduced if below, not enough evidence if it holds the threshold or seeds are fewer than 3."""
    values = [v for v in values if np.isfinite(v)]
    mean, low, high = interval(values)
    if len(values) < 3:
        return mean, low, high, NOT_ENOUGH
    if low > threshold:
        return mean, low, high, REPRODUCED
    if high < threshold:
        return mean, low, high, NOT_REPRODUCED
    return mean, low, high, NOT_ENOUGH


def _value(run: Run, method: str, measure: str) -> float:
    return run.metrics["test"][METHODS[method].rank][measure]


def _paired(
    runs: Runs, data: str, a: str, b: str, measure: str = "recall_1", sign: int = 1
) -> list[float]:
    """sign * (a - b) for each seed that both have."""
    seeds = sorted(s for d, m, s in runs if d == data and m == a and (data, b, s) in runs)
    return [
        sign * (_value(runs[data, a, s], a, measure) - _value(runs[data, b, s], b, measure))
        for s in seeds
    ]


def _difference(claim: str, a: str, b: str, measure: str = "recall_1", sign: int = 1):
    unit = "Recall@1, points" if measure == "recall_1" else measure

    def f(runs: Runs, data: str) -> Verdict:
        values = _paired(runs, data, a, b, measure, sign)
        what = f"{a} - {b}" if sign > 0 else f"{b} - {a}"
        return Verdict(claim, data, f"{unit}: {what}", *_decided(values, 0.0), "", len(values))

    return f


def _decided(values: Sequence[float], threshold: float) -> tuple[float, float, float, float, str]:
    mean, low, high, verdict = decide(values, threshold)
    return mean, low, high, threshold, verdict


def c1_same_features(runs: Runs, data: str) -> Verdict:
    """C1 on one set of features: Euclidean distance and PDDM score of the same runs."""
    values = [
        run.metrics["test"]["distance"]["overlap"] - run.metrics["test"]["score"]["overlap"]
        for (d, m, _), run in runs.items()
        if d == data and m == "PDDM score"
    ]
    what = "overlap: Euclidean distance - PDDM score, on PDDM's own features"
    return Verdict("C1", data, what, *_decided(values, 0.0), "stricter than Fig. 1b", len(values))


def c4(runs: Runs, data: str) -> Verdict:
    """C4: steps that Euclidean mining needs for one step of PDDM mining, to a common level.

    The level is nine tenths of the way from the start's test Recall@1 (the same head for both) up
    to the lower of the two curves' best, seed by seed. A curve that never rises above its start
    has no level to reach: that seed says nothing.
    """
    ratios, silent = [], 0
    for seed in sorted({s for d, m, s in runs if d == data}):
        pair = [runs.get((data, m, seed)) for m in ("Euclidean+Quadruplet", "PDDM+Quadruplet")]
        if None in pair:
            continue
        curves = [run.history.set_index("step")["test_recall_1"] for run in pair]
        start, best = curves[0].iloc[0], min(c.max() for c in curves)
        if best - start < 0.5:  # half a point of Recall@1 is noise
            silent += 1
            continue
        level = start + 0.9 * (best - start)
        first = [_first_step(c, level) for c in curves]
        ratios.append(first[0] / first[1])
    # ratios are judged on the log scale, where 2 and 1/2 are as far from 1
    mean, low, high, verdict = decide(np.log2(ratios) if ratios else [], 1.0)
    note = f"{silent} seeds without a rise over the start" if silent else ""
    what = "steps of Euclidean mining per step of PDDM mining to a common test Recall@1"
    return Verdict(
        "C4", data, what, *(2.0**v for v in (mean, low, high)), 2.0, verdict, note, len(ratios)
    )


def _first_step(curve: pd.Series, level: float) -> float:
    """Step at which the curve first reaches the level, between evaluations linearly."""
    steps, values = curve.index.to_numpy(float), curve.to_numpy()
    at = int(np.argmax(values >= level))
    if at == 0:
        return max(steps[0], 1.0)
    rise = (level - values[at - 1]) / (values[at] - values[at - 1])
    return steps[at - 1] + rise * (steps[at] - steps[at - 1])


EUCLIDEAN_MINED = ("Contrastive", "Triplet", "LiftedStruct", "Euclidean+Quadruplet")


def c10(runs: Runs, data: str) -> Verdict:
    """C10: the lead over the best rival, the rival being whichever has the highest mean."""
    means = {}
    for m in EUCLIDEAN_MINED:
        values = [
            _value(run, m, "recall_1") for (d, n, _), run in runs.items() if (d, n) == (data, m)
        ]
        if values:
            means[m] = np.mean(values)
    best = max(means, key=means.get) if means else "Triplet"
    values = _paired(runs, data, "PDDM+Quadruplet", best)
    what = f"Recall@1, points: PDDM+Quadruplet - {best}"
    return Verdict("C10", data, what, *_decided(values, 8.0), "best rival by mean", len(values))


# claim -> functions of (runs, data); methods each needs
DECIDERS: dict[str, list[Callable[[Runs, str], Verdict]]] = {
    "C1": [
        _difference("C1", "PDDM score", "Euclidean+Quadruplet", "overlap", -1),
        c1_same_features,
    ],
    "C4": [c4],
    "C6": [_difference("C6", "PDDM score", "LMDM score")],
    "C7": [_difference("C7", "PDDM+Quadruplet", "PDDM score")],
    "C8": [_difference("C8", "PDDM+Quadruplet", "PDDM+Triplet")],
    "C9": [_difference("C9", "PDDM+Triplet", "Triplet")],
    "C10": [c10],
}


def verdicts(runs: Runs, data: Sequence[str]) -> pd.DataFrame:
    """A row a claim and data set: the fields of Verdict, and the claim in words."""
    rows = [f(runs, name) for name in data for fs in DECIDERS.values() for f in fs]
    table = pd.DataFrame([vars(v) for v in rows])
    table.insert(1, "text", table["claim"].map(paper.CLAIMS))
    return table
