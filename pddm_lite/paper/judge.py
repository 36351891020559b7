"""How an effect is judged: its 95 % interval over seeds and test classes, and the verdict.

The bootstrap draws test classes, the same ones for both runs of a pair; seeds enter as a variance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats

from .questions import FEWEST

REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced"
LEVEL = "level"
NOT_ENOUGH = "not enough evidence"
DRAWS = 2_000  # resamples of the test classes
MOST = 200  # seeds; where more would be needed, that is said


@dataclass(frozen=True)
class Verdict:
    """What the runs say of one question on one data set."""

    claim: str
    part: str  # which of a claim's questions; "" where it has one
    data: str
    measure: str  # what the effect is, in words
    unit: str
    effect: float  # mean over seeds
    low: float  # 95 % interval
    high: float
    claimed: str  # ">" or "<" than the threshold, or "±": within it
    threshold: float
    verdict: str
    level: bool  # the interval lies within the margin of no difference
    note: str
    seeds: int


def count(n: int, noun: str) -> str:
    """ "1 seed", "2 seeds"."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


# ---------------------------------------------------------------------------------- intervals


@dataclass(frozen=True)
class Spread:
    """A mean's variance in parts: of seeds, which falls with their number, and of classes."""

    mean: float
    seeds: int
    of_seeds: float  # variance of the mean
    of_classes: float = 0.0
    classes: int = 2

    def half(self, seeds: int = 0) -> float:
        """Half the 95 % interval, of that many seeds at this spread (0: as many as there are).

        half = t sqrt(V_s + V_c), with Satterthwaite's degrees of freedom of that sum,
        (V_s + V_c)^2 / (V_s^2 / (S - 1) + V_c^2 / (C - 1)); without classes Student's.
        """
        n = seeds or self.seeds
        if n < 2:
            return np.nan
        v_s, v_c = self.of_seeds * self.seeds / n, self.of_classes
        total = v_s + v_c
        if total == 0:
            return 0.0
        freedom = total**2 / (v_s**2 / (n - 1) + v_c**2 / max(self.classes - 1, 1))
        return float(stats.t.ppf(0.975, freedom) * np.sqrt(total))

    @property
    def interval(self) -> tuple[float, float, float]:
        half = self.half()
        return self.mean, self.mean - half, self.mean + half


@lru_cache
def drawn_classes(classes: int) -> np.ndarray:
    """w [DRAWS, C]: how often each class is in each resample of all C; the same for all runs."""
    w = np.random.default_rng(0).multinomial(classes, np.full(classes, 1 / classes), DRAWS)
    return w.astype(np.float64)


def resampled(measure: str, by_class: Mapping[str, np.ndarray], ranking: str) -> np.ndarray:
    """Recall@1, AUC or overlap [DRAWS] of one run in resamples of its test classes.

    by_class: evaluate.evaluate_fully's. Recall@1 = sum w_c hits_c / sum w_c images_c,
    each image still searching all the others.

    A positive pair of class a counts w_a times, a negative pair of classes a and b w_a w_b times.
    A run keeps negatives by one end alone, h_a = sum over b of h_ab. To first order in w - 1 (whose
    products have a mean of -1 / C) w_a w_b is w_a + w_b - 1, and
        sum over a < b of (w_a + w_b - 1) h_ab = sum over a of (w_a - 1/2) h_a.
    Weights w_a alone would move the negatives half as far as they go. A bin that comes out below 0
    is empty.
    """
    w = drawn_classes(len(by_class["images"]))
    if measure == "recall_1":
        return 100 * (w @ by_class[f"{ranking}_hits"]) / np.maximum(w @ by_class["images"], 1)
    p = w @ by_class[f"{ranking}_positive"]
    n = np.maximum((w - 0.5) @ by_class[f"{ranking}_negative"], 0)
    return of_histograms(measure, p, n)


def of_histograms(measure: str, p: np.ndarray, n: np.ndarray) -> np.ndarray:
    """AUC or overlap [...] of positive and negative counts [..., B] in common, rising bins."""
    p, n = (x / np.maximum(x.sum(-1, keepdims=True), 1e-12) for x in (p, n))
    if measure == "overlap":
        return np.minimum(p, n).sum(-1)
    return (p * (np.cumsum(n, -1) - n / 2)).sum(-1)


def spread_of(values: Sequence[float], draws: np.ndarray | None = None, classes: int = 2) -> Spread:
    """Spread of paired differences, one a seed, that are finite.

    draws [S, DRAWS]: the same differences in resamples of the test classes, where there are such.
    With seeds s and classes c crossed, a difference is mean + seed_s + class_c + rest_sc:
        V_s, the variance of seeds' means / S, has seed / S + rest / (S C);
        V_c, the variance over draws of the mean over seeds, has class / C + rest / (S C);
        V_r, that of what a seed's draws have beyond that mean / (S - 1), has rest / (S C).
    The variance of the mean is V_s + V_c - V_r, here as seeds' part V_s, at least V_r, and classes'
    part V_c - V_r, at least 0. Seeds are a random effect that is not drawn: S of them resampled
    give V_s (S - 1) / S and no Student factor, and their interval covers four times in five at
    S = 3 (a test shows it).
    """
    values = np.asarray(values, dtype=float)
    seen = np.isfinite(values)
    x, n = values[seen], int(seen.sum())
    mean = float(x.mean()) if n else np.nan
    of_seeds = x.var(ddof=1) / n if n > 1 else np.nan
    if draws is None or n < 2:
        return Spread(mean, n, of_seeds)
    draws = np.asarray(draws)[seen] * np.sqrt(classes / max(classes - 1, 1))
    common = draws.mean(0)
    rest = (draws - common).var(axis=1).mean() / (n - 1)
    return Spread(mean, n, max(of_seeds, rest), max(common.var() - rest, 0.0), classes)


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and 95 % Student interval of paired differences; nan bounds below two values."""
    return spread_of(values).interval


# ----------------------------------------------------------------------------------- verdicts


def judge(
    spread: Spread, threshold: float = 0.0, claimed: str = ">", margin: float = 0.0
) -> tuple[str, bool]:
    """(verdict, level). Not enough evidence with fewer than FEWEST seeds; else, in this order:

    level, where the claim is a direction (threshold 0) and the whole interval lies within the
    margin of 0: it outranks a win or loss smaller than that;
    reproduced, where it lies on the claimed side of the threshold ("±": between the two);
    not reproduced, where it lies on the other side; not enough evidence, where on neither.
    That no difference was found is not enough for "±" or level: a wide interval shows nothing.
    """
    _, low, high = spread.interval
    if spread.seeds < FEWEST:
        return NOT_ENOUGH, False
    level = claimed != "±" and -margin < low and high < margin
    if level and threshold == 0:
        return LEVEL, True
    above, below = low > threshold, high < threshold
    if claimed == "±":
        above = -threshold < low and high < threshold
        below = low > threshold or high < -threshold
    elif claimed == "<":
        above, below = below, above
    return REPRODUCED if above else NOT_REPRODUCED if below else NOT_ENOUGH, level


def decide(
    values: Sequence[float], threshold: float = 0.0, claimed: str = ">", margin: float = 0.0
) -> tuple[float, float, float, str]:
    """(mean, low, high, verdict) of paired differences, over seeds alone: see `judge`."""
    spread = spread_of(values)
    return *spread.interval, judge(spread, threshold, claimed, margin)[0]


def missing(spread: Spread, threshold: float = 0.0, claimed: str = ">", margin: float = 0.0) -> str:
    """What "not enough evidence" lacks: seeds, and how many more at this mean and spread."""
    if spread.seeds < FEWEST:
        return f"fewer than {FEWEST} seeds"
    edges = [threshold, -threshold] if claimed == "±" else [threshold]
    room = min(abs(spread.mean - edge) for edge in edges)
    if claimed != "±" and threshold == 0:
        room = max(room, margin - abs(spread.mean))
    tried = range(spread.seeds + 1, MOST + 1)
    enough = next((n for n in tried if spread.half(n) < room), 0)
    if enough:
        more = count(enough - spread.seeds, "more seed")
        return f"would take about {more} at this spread"
    if spread.of_classes and spread.half(10**6) >= room:
        return "more seeds alone would not tell: the test classes differ too much"
    return f"would take more than {MOST} seeds at this spread"
