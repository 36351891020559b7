"""Claims decided on the runs of Table 1: C1 to C4, C6 to C10 and C16."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from .claims_evidence import (
    CLUSTERS,
    EUCLIDEAN,
    EUCLIDEAN_MINED,
    IN_PARTS,
    MAHALANOBIS,
    PDDM,
    POINTS,
    SHARE,
    SIMILAR,
    Runs,
    Verdict,
    count,
    decide,
    judged,
)
from .evaluation import spread
from .methods import METHODS
from .training import Run


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


def _difference(
    claim: str,
    a: str,
    b: str,
    measure: str = "recall_1",
    sign: int = 1,
    part: str = "",
):
    unit = POINTS if measure == "recall_1" else measure

    def f(runs: Runs, data: str) -> Verdict:
        values = _paired(runs, data, a, b, measure, sign)
        what = f"{a} - {b}" if sign > 0 else f"{b} - {a}"
        decided = judged(values, 0.0)
        return Verdict(claim, data, f"{unit}: {what}", *decided, "", len(values), part)

    return f


def _overlap_of_score(runs: Runs, data: str, method: str) -> list[float]:
    """Overlap of the score - overlap of Euclidean distance, on the same runs' features."""
    tests = [run.metrics["test"] for (d, m, _), run in runs.items() if (d, m) == (data, method)]
    return [t["score"]["overlap"] - t["distance"]["overlap"] for t in tests]


def c1_same_features(runs: Runs, data: str) -> Verdict:
    """C1 on one set of features: Euclidean distance and PDDM score of the same runs."""
    values = [-x for x in _overlap_of_score(runs, data, "PDDM score")]
    what = "overlap: Euclidean distance - PDDM score, on PDDM's own features"
    decided, part = judged(values, 0.0), "both on PDDM's own features"
    return Verdict("C1", data, what, *decided, "stricter than Fig. 1b", len(values), part)


def c2(runs: Runs, data: str) -> Verdict:
    """C2 as in Fig. 1b: each metric on the features trained with it."""
    values, pddm = (
        _paired(runs, data, m, EUCLIDEAN, "overlap") for m in (MAHALANOBIS, "PDDM score")
    )
    return _alike(data, f"{MAHALANOBIS} - {EUCLIDEAN}", values, pddm, "each on features of its own")


def c2_same_features(runs: Runs, data: str) -> Verdict:
    """C2 on one set of features: Mahalanobis and Euclidean distance of the same runs."""
    values, pddm = (_overlap_of_score(runs, data, m) for m in (MAHALANOBIS, "PDDM score"))
    what = "Mahalanobis - Euclidean distance, on the same features"
    return _alike(data, what, values, pddm, "both on the Mahalanobis metric's own features")


def _alike(
    data: str, what: str, values: Sequence[float], pddm: Sequence[float], part: str
) -> Verdict:
    """Whether overlaps differ by SIMILAR at most; the note has PDDM's difference as a yardstick."""
    note = f"for scale, PDDM's: {np.mean(pddm):.3f}" if len(pddm) else ""
    if len(pddm) and abs(np.mean(pddm)) < SIMILAR:
        note += (
            "; the margin is wider than that: being within it does not tell Mahalanobis from PDDM"
        )
    decided = judged(values, SIMILAR, True)
    return Verdict("C2", data, f"overlap: {what}", *decided, note, len(values), part, True)


def _c3(of: Callable[[dict], float], threshold: float, what: str, part: str, luck: bool = False):
    """C3: classes whose spread exceeds the gap to the nearest class (evaluation.spread).

    luck: the note says which share there would be by chance.
    """

    def f(runs: Runs, data: str) -> Verdict:
        own = [run for (d, m, _), run in runs.items() if (d, m) == (data, EUCLIDEAN)]
        found = [spread.of(run, spread.summary) for run in own]
        values, note = [of(x) for x in found], ""
        if luck and found:
            chance = np.mean([x["looser_by_chance"] for x in found])
            note = f"luck alone, with all classes equally loose, gives {chance:.3f}"
        decided = judged(values, threshold)
        return Verdict("C3", data, f"{SHARE}: {what}", *decided, note, len(values), part)

    return f


def c4(runs: Runs, data: str) -> Verdict:
    """C4: steps that Euclidean mining needs for one step of PDDM mining, to a common level.

    The level is `common_level`'s, seed by seed; a seed without one says nothing.
    """
    ratios, silent = [], 0
    for seed in sorted({s for d, m, s in runs if d == data}):
        pair = {m: runs[data, m, seed] for m in (EUCLIDEAN, PDDM) if (data, m, seed) in runs}
        if len(pair) < 2:
            continue
        found = common_level(
            {m: run.history.set_index("step")["test_recall_1"] for m, run in pair.items()}
        )
        if found is None:
            silent += 1
        else:
            ratios.append(found[1][EUCLIDEAN] / found[1][PDDM])
    # ratios are judged on the log scale, where 2 and 1/2 are as far from 1
    mean, low, high, verdict = decide(np.log2(ratios) if ratios else [], 1.0)
    note = f"{count(silent, 'seed')} without a rise over the start" if silent else ""
    what = "steps of Euclidean mining per step of PDDM mining to a common test Recall@1"
    return Verdict(
        "C4", data, what, *(2.0**v for v in (mean, low, high)), 2.0, verdict, note, len(ratios)
    )


def _first_step(curve: pd.Series, level: float) -> float:
    """Step at which a curve that starts below the level reaches it, linear between evaluations."""
    steps, values = curve.index.to_numpy(float), curve.to_numpy()
    at = int(np.argmax(values >= level))
    rise = (level - values[at - 1]) / (values[at] - values[at - 1])
    return float(steps[at - 1] + rise * (steps[at] - steps[at - 1]))


def common_level(curves: dict[str, pd.Series]) -> tuple[float, dict[str, float]] | None:
    """(level, step at which each curve reaches it), of test Recall@1 by step.

    The level is nine tenths of the way from the start (the same head, so the same for all) up to
    the lowest of the curves' best. None where that way is under half a point: that is noise.
    """
    start = max(c.iloc[0] for c in curves.values())
    best = min(c.max() for c in curves.values())
    if best - start < 0.5:
        return None
    level = float(start + 0.9 * (best - start))
    return level, {m: _first_step(c, level) for m, c in curves.items()}


def _lead(claim: str, unit: str, of: Callable[[Run], float], threshold: float, part: str = ""):
    """PDDM+Quadruplet's lead over the best rival, the rival being whichever has the highest mean.

    of: what of a run is compared.  unit: of the effect; with ", " what it is of several of a unit.
    """

    def f(runs: Runs, data: str) -> Verdict:
        means = {}
        for rival in EUCLIDEAN_MINED:
            values = [of(run) for (d, m, _), run in runs.items() if (d, m) == (data, rival)]
            if values:
                means[rival] = np.mean(values)
        best = max(means, key=means.get) if means else "Triplet"
        seeds = sorted(s for d, m, s in runs if (d, m) == (data, PDDM) and (data, best, s) in runs)
        values = [of(runs[data, PDDM, s]) - of(runs[data, best, s]) for s in seeds]
        decided = judged(values, threshold)
        measure = f"{unit}{PDDM} - {best}"
        return Verdict(claim, data, measure, *decided, "best rival by mean", len(values), part)

    return f


def _by_distance(measure: str) -> Callable[[Run], float]:
    return lambda run: run.metrics["test"]["distance"][measure]


c10 = _lead("C10", f"{POINTS}: ", _by_distance("recall_1"), 8.0)


# claim -> functions of (runs, data); methods each needs
DECIDERS: dict[str, list[Callable[[Runs, str], Verdict]]] = {
    "C1": [
        _difference(
            "C1",
            "PDDM score",
            "Euclidean+Quadruplet",
            "overlap",
            sign=-1,
            part="each on features of its own",
        ),
        c1_same_features,
    ],
    "C2": [c2, c2_same_features],
    "C3": [
        _c3(
            lambda found: found["looser"],
            IN_PARTS,
            "spread > gap to the nearest class",
            "share of classes",
            luck=True,
        ),
        _c3(
            lambda found: found["looser"] - found["looser_by_chance"],
            0.0,
            "spread > gap to the nearest class - by chance",
            "more than if all classes were equally loose",
        ),
    ],
    "C4": [c4],
    "C6": [_difference("C6", "PDDM score", "LMDM score")],
    "C7": [_difference("C7", "PDDM+Quadruplet", "PDDM score")],
    "C8": [_difference("C8", "PDDM+Quadruplet", "PDDM+Triplet")],
    "C9": [_difference("C9", "PDDM+Triplet", "Triplet")],
    "C10": [c10],
    # the paper looks at Fig. 4 to explain its lead over methods with Euclidean mining: as in C10
    "C16": [
        _lead("C16", f"{CLUSTERS}: NMI, ", _by_distance("nmi"), 0.0, "by NMI"),
        _lead("C16", f"{CLUSTERS}: F1, ", _by_distance("f1"), 0.0, "by F1"),
        _lead(
            "C16",
            f"{CLUSTERS}: silhouette, ",
            lambda run: spread.of(run, spread.silhouette),
            0.0,
            "by silhouette",
        ),
    ],
}
