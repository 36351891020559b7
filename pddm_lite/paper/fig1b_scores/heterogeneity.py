"""Heterogeneity: PDDM's lead as the synthetic world's knob turns, and class against class.

The paper's hypothesis (Sec. 1): classes differ in how loose they are, so no global threshold on the
Euclidean distance serves all of them, and a metric that knows the place does better. Both parts
are measured here: the first half turns the knob, the second asks each class for its own threshold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ...data import WORLDS
from ...data.names import painted
from ...data.synthetic import geometry
from ...methods import METHODS
from ...pddm import Euclidean, r
from ...training.inputs import inputs
from ...training.runs import Run
from ...training.study import Study
from ..decide import Runs, VariantRuns
from ..judge import decide
from ..questions import EUCLIDEAN, PDDM

# what is compared -> how PDDM's runs and the Euclidean ones rank
COMPARED = {
    "PDDM score − Euclidean distance": ("score", "distance"),
    "PDDM's features − Euclidean features": ("distance", "distance"),
}
MEASURES = {"overlap": -1, "auc": 1, "recall_1": 1}  # 1: the more the better
SPACES = ("the world itself", "network's features", EUCLIDEAN, PDDM)


# ------------------------------------------------------------------------------- the knob turned


def knob(run: Run) -> float:
    """The heterogeneity of the synthetic world that a run is of, 0 to 1."""
    return painted(run.experiment.data).heterogeneity


def turned(variant_runs: VariantRuns) -> dict[tuple[float, str, int], Run]:
    """(heterogeneity, method, seed) -> run, in the order of the knob; empty where none was turned.

    The study's own world is a point of the curve, too.
    """
    data = {d for d, variant, _, _ in variant_runs if variant}
    own = {(knob(x), m, s): x for (d, _, m, s), x in variant_runs.items() if d in data}
    return {key: own[key] for key in sorted(own)}


def leads(runs: Mapping[tuple[float, str, int], Run]) -> pd.DataFrame:
    """PDDM's lead over the Euclidean metric at each place of the knob, paired by seed.

    Columns: heterogeneity, compared, measure, seed, pddm, euclidean, lead; a lead above 0 is for
    PDDM, whichever way the measure runs. Recall@1 in points, overlap and AUC from 0 to 1.
    """
    rows = []
    for (h, method, seed), run in runs.items():
        rival = runs.get((h, EUCLIDEAN, seed))
        if method != PDDM or rival is None:
            continue
        for what, (ours, theirs) in COMPARED.items():
            for measure, sign in MEASURES.items():
                a = run.metrics["test"][ours][measure]
                b = rival.metrics["test"][theirs][measure]
                rows.append((h, what, measure, seed, a, b, sign * (a - b)))
    columns = ["heterogeneity", "compared", "measure", "seed", "pddm", "euclidean", "lead"]
    return pd.DataFrame(rows, columns=columns)


def trend(lead: pd.DataFrame) -> pd.DataFrame:
    """Does the lead grow with the knob? The slope of each seed's line of least squares, then their
    mean with its 95 % interval: the change of the lead from heterogeneity 0 to 1.

    Columns: compared, measure, slope, low, high, verdict on "it grows", seeds.
    """
    rows = []
    for (what, measure), t in lead.groupby(["compared", "measure"], sort=False):
        slopes = [
            np.polyfit(own["heterogeneity"], own["lead"], 1)[0]
            for _, own in t.groupby("seed")
            if own["heterogeneity"].nunique() > 1
        ]
        rows.append((what, measure, *decide(slopes), len(slopes)))
    columns = ["compared", "measure", "slope", "low", "high", "verdict", "seeds"]
    return pd.DataFrame(rows, columns=columns)


def looseness(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Root mean square distance of two rows of x [n, d] of one class: [C], by label."""
    classes = np.unique(labels)
    return np.sqrt([2 * x[labels == c].var(axis=0, ddof=1).sum() for c in classes])


def dilution(study: Study, runs: Mapping[tuple[float, str, int], Run]) -> pd.DataFrame:
    """How many times looser the loosest quarter of the unseen classes is than the tightest one.

    The quarters are those of the world's true spreads in every space, so that all compare the same
    classes: the world's latents, the frozen network's features, and f after each training.
    Columns: heterogeneity, space, seed, ratio.
    """
    rows, drawn = [], {}
    for (h, method, seed), run in runs.items():
        kind = painted(run.experiment.data).kind
        if first := h not in drawn:
            drawn[h] = geometry(kind, *WORLDS[study.profile], heterogeneity=h)
        g, arrays = drawn[h], run.embeddings
        index, labels = arrays["index"], arrays["labels"]
        order = np.argsort(g.scales[np.unique(labels)])
        quarter = max(len(order) // 4, 1)
        spaces = {method: arrays["f"]}
        if first:
            spaces[SPACES[0]] = g.latents[index]
            if run.experiment.mode != "finetune":
                where = Path(study.results) / "features"
                data = study.load(run.experiment.data)
                x, _ = inputs(run.experiment, data, where, "cpu", False)
                spaces[SPACES[1]] = x.x[torch.from_numpy(index)].numpy()
        for space, x in spaces.items():
            own = looseness(x, labels)[order]
            rows.append((h, space, seed, own[-quarter:].mean() / own[:quarter].mean()))
    return pd.DataFrame(rows, columns=["heterogeneity", "space", "seed", "ratio"])


# --------------------------------------------------------------------------- class against class


def errors(h: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Shares of positive pairs rejected and of negative ones accepted, with each bin's left edge
    as the threshold; a rest of 0.1 % may lie outside the bins."""
    miss = np.r_[0, np.cumsum(h["positive"])[:-1]]
    return miss, np.cumsum(h["negative"][::-1])[::-1].to_numpy()


@dataclass(frozen=True, eq=False)
class Sample:
    """Scores S [n, n] of the images of some unseen classes, and their labels [n]."""

    S: np.ndarray
    labels: np.ndarray

    def pairs(self, a: int, others: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Scores of pairs within class a, and of its images with those of the other classes."""
        own = self.labels == a
        within = self.S[own][:, own]
        across = self.S[own][:, np.isin(self.labels, [c for c in others if c != a])]
        return within[np.triu_indices(len(within), 1)], across.ravel()


def sample(run: Run, ranking: str, classes: int = 24, images: int = 12) -> Sample:
    """Up to so many unseen classes, evenly spaced by label, and images a class.

    `ranking` is "distance" (S is minus the Euclidean distance, as in the histograms) or "score".
    """
    arrays = run.embeddings
    names = np.unique(arrays["labels"])
    chosen = names[np.linspace(0, len(names) - 1, min(classes, len(names))).astype(int)]
    idx = np.concatenate([np.flatnonzero(arrays["labels"] == c)[:images] for c in chosen])
    f = r(torch.from_numpy(arrays["f"][idx]))
    with torch.no_grad():
        S = (run.similarity() if ranking == "score" else Euclidean()).all_pairs(f)
    S = -(-S).sqrt() if ranking == "distance" else S
    return Sample(S.numpy(), arrays["labels"][idx])


def mistakes(positive: np.ndarray, negative: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """At each threshold, the mean of the shares of positives below it and negatives not below."""
    low, high = (np.searchsorted(np.sort(x), cuts) / len(x) for x in (positive, negative))
    return (low + 1 - high) / 2


def thresholds(some: Sample) -> pd.DataFrame:
    """What one threshold for all classes costs: a row a class, its pairs against all others.

    Columns: class; own, the class's best threshold; common, that with the lowest mean error over
    the classes; error_own and error_common, the mistakes made there (0 to 1). Each threshold is
    the best on the very pairs that it is judged on.
    """
    classes = np.unique(some.labels)
    cuts = np.quantile(some.S, np.linspace(0, 1, 401))
    error = np.stack([mistakes(*some.pairs(c, classes), cuts) for c in classes])
    best = error.mean(axis=0).argmin()
    return pd.DataFrame(
        {
            "class": classes,
            "own": cuts[error.argmin(axis=1)],
            "common": cuts[best],
            "error_own": error.min(axis=1),
            "error_common": error[:, best],
        }
    )


def samples(runs: Runs) -> dict[tuple[str, str, int], Sample]:
    """`sample` of every run as its method ranks, by (data, method, seed)."""
    return {(d, m, s): sample(x, METHODS[m].rank) for (d, m, s), x in runs.items()}


def prices(some: Mapping[tuple[str, str, int], Sample]) -> pd.DataFrame:
    """What one threshold for all costs on average over the classes: a row a sample.

    Columns: data, method, seed, error_own, error_common, price = error_common - error_own.
    """
    rows = []
    for key, one in some.items():
        own, common = thresholds(one)[["error_own", "error_common"]].mean()
        rows.append((*key, own, common, common - own))
    columns = ["data", "method", "seed", "error_own", "error_common", "price"]
    return pd.DataFrame(rows, columns=columns)
