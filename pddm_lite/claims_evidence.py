"""What all verdicts on the paper's claims share: the words, and how a number is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from .training import Run

REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced"
NOT_ENOUGH = "not enough evidence"

PDDM, EUCLIDEAN = "PDDM+Quadruplet", "Euclidean+Quadruplet"  # the two minings compared
MAHALANOBIS = "Mahalanobis score"
EUCLIDEAN_MINED = ("Contrastive", "Triplet", "LiftedStruct", "Euclidean+Quadruplet")
POINTS, OVERFITTING = "Recall@1, points", "train - test AUC of the score"  # units of effects
SHARE, CLUSTERS = "share of classes", "clusters"
SIMILAR = 0.05  # C2: overlaps at most so far apart, a twentieth of all pairs, are alike
IN_PARTS = 0.05  # C3: more than one class in twenty is a part of the space and not an exception

Runs = dict[tuple[str, str, int], Run]  # (data, method, seed) -> run
VariantRuns = dict[tuple[str, str, str, int], Run]  # (data, variant, method, seed) -> run


@dataclass(frozen=True)
class Verdict:
    """What the runs say of one claim on one data set."""

    claim: str
    data: str
    measure: str  # what the effect is, with its unit
    effect: float  # mean over seeds
    low: float  # 95 % interval
    high: float
    threshold: float  # the claim says: effect above this, or, two-sided, nearer to 0
    verdict: str
    note: str
    seeds: int
    part: str = ""  # which half of its claim, where a claim has two
    two_sided: bool = False  # the claim says that two things are alike


def count(n: int, noun: str) -> str:
    """ "1 seed", "2 seeds"."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and 95 % Student interval of paired differences; nan bounds below two values."""
    x = np.asarray(values, dtype=float)
    if len(x) < 2:
        return (float(x.mean()) if len(x) else np.nan, np.nan, np.nan)
    half = stats.t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x))
    return float(x.mean()), float(x.mean() - half), float(x.mean() + half)


def decide(
    values: Sequence[float], threshold: float = 0.0, two_sided: bool = False
) -> tuple[float, float, float, str]:
    """(mean, low, high, verdict): reproduced if the interval lies above the threshold, not
    reproduced if below, not enough evidence if it holds the threshold or seeds are fewer than 3.

    Two-sided, the claim is that the mean is 0 but for the threshold: reproduced if the interval
    lies between -threshold and threshold, not reproduced if it lies outside. That no difference
    was found is not enough: a wide interval shows nothing.
    """
    values = [v for v in values if np.isfinite(v)]
    mean, low, high = interval(values)
    if len(values) < 3:
        return mean, low, high, NOT_ENOUGH
    if two_sided:
        inside = -threshold < low and high < threshold
        outside = low > threshold or high < -threshold
    else:
        inside, outside = low > threshold, high < threshold
    return mean, low, high, REPRODUCED if inside else NOT_REPRODUCED if outside else NOT_ENOUGH


def judged(
    values: Sequence[float], threshold: float, two_sided: bool = False
) -> tuple[float, float, float, float, str]:
    """`decide`, with the threshold before the verdict: as a Verdict's fields stand."""
    mean, low, high, verdict = decide(values, threshold, two_sided)
    return mean, low, high, threshold, verdict
