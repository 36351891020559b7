"""The judge judged: intervals by hand, and how often they cover what was planted."""

import numpy as np
import pytest

from pddm_lite.paper.judge import (
    LEVEL,
    NOT_ENOUGH,
    NOT_REPRODUCED,
    REPRODUCED,
    Spread,
    decide,
    drawn_classes,
    interval,
    judge,
    missing,
    of_histograms,
    resampled,
    spread_of,
)


def test_interval_by_hand():
    # mean 2, sd 1, t(0.975, 2) = 4.302653: half width 4.302653 / sqrt(3)
    assert interval([1, 2, 3]) == pytest.approx((2, 2 - 2.484138, 2 + 2.484138), abs=1e-6)
    # t(0.975, 1) = 12.706205, sd of (0, 2) = sqrt(2)
    assert interval([0, 2]) == pytest.approx((1, 1 - 12.706205, 1 + 12.706205), abs=1e-5)


@pytest.mark.parametrize(
    "values, threshold, verdict",
    [
        ([3, 4, 5], 0, REPRODUCED),  # [1.52, 6.48]
        ([3, 4, 5], 1.5, REPRODUCED),
        ([3, 4, 5], 1.6, NOT_ENOUGH),
        ([3, 4, 5], 6.4, NOT_ENOUGH),
        ([3, 4, 5], 6.5, NOT_REPRODUCED),
        ([-3, -4, -5], 0, NOT_REPRODUCED),
        ([1, 2, 3], 0, NOT_ENOUGH),  # [-0.48, 4.48]
        ([1, 1, 1], 1, NOT_ENOUGH),  # no width, upon the threshold
        ([9.0, 9.0], 0, NOT_ENOUGH),  # two seeds, however clear
        ([9.0], 0, NOT_ENOUGH),
        ([], 0, NOT_ENOUGH),
    ],
)
def test_decide(values, threshold, verdict):
    assert decide(values, threshold)[3] == verdict


@pytest.mark.parametrize(
    "values, verdict",
    [
        ([-0.01, 0, 0.01], REPRODUCED),  # 0 +- 0.0248
        ([0.02, 0.02, 0.02], REPRODUCED),
        ([-0.02, 0, 0.02], NOT_ENOUGH),  # 0 +- 0.0497: inside of 0.05, and not of 0.045
        ([0.07, 0.08, 0.09], NOT_REPRODUCED),
        ([-0.07, -0.08, -0.09], NOT_REPRODUCED),
        ([0.03, 0.04, 0.05], NOT_ENOUGH),
        ([-0.2, 0, 0.2], NOT_ENOUGH),  # no difference found, and nothing shown
        ([0.0, 0.0], NOT_ENOUGH),
        ([], NOT_ENOUGH),
    ],
)
def test_decide_that_two_things_are_alike(values, verdict):
    assert decide(values, 0.045, "±")[3] == verdict


@pytest.mark.parametrize(
    "values, threshold, verdict, level",
    [
        ([-0.1, 0, 0.1], 0, LEVEL, True),  # 0 +- 0.25
        ([0.3, 0.4, 0.5], 0, LEVEL, True),  # 0.4 +- 0.25: a win, but smaller than the margin
        ([-0.3, -0.4, -0.5], 0, LEVEL, True),
        ([0.7, 0.8, 0.9], 0, REPRODUCED, False),  # 0.8 +- 0.25
        ([-0.7, -0.8, -0.9], 0, NOT_REPRODUCED, False),
        ([-0.5, 0, 0.5], 0, NOT_ENOUGH, False),  # 0 +- 1.24
        ([0.0, 0.0], 0, NOT_ENOUGH, False),
        ([-0.1, 0, 0.1], 8, NOT_REPRODUCED, True),  # C10: no lead of 8, and level beside it
        ([3, 3.1, 3.2], 8, NOT_REPRODUCED, False),
        ([9, 9.1, 9.2], 8, REPRODUCED, False),
    ],
)
def test_level_outranks_what_is_smaller_than_the_margin(values, threshold, verdict, level):
    assert judge(spread_of(values), threshold, margin=1.0) == (verdict, level)


def test_below_is_a_direction_too():
    assert decide([1.0, 1.1, 1.2], 1.5, "<")[3] == REPRODUCED
    assert decide([1.8, 1.9, 2.0], 1.5, "<")[3] == NOT_REPRODUCED
    assert decide([1.3, 1.5, 1.7], 1.5, "<")[3] == NOT_ENOUGH


def test_not_enough_evidence_says_how_many_more_seeds_would_tell():
    assert missing(spread_of([9.0, 9.1])) == "fewer than 3 seeds"
    found = spread_of([1, 2, 3])  # sd 1, mean 2: t(n - 1) / sqrt(n) < 2 from n = 4 on
    assert found.half(3) > 2 > found.half(4) == pytest.approx(3.182446 / 2, abs=1e-6)
    assert missing(found) == "would take about 1 more seed at this spread"
    assert missing(spread_of([-1, 0.001, 1])) == "would take more than 200 seeds at this spread"
    level = spread_of([-1, 0.001, 1])  # half(n) < 0.999 from n = 7 on: t(6) / sqrt(7) = 0.925
    assert missing(level, margin=1.0) == "would take about 4 more seeds at this spread"
    wide = Spread(mean=1.0, seeds=5, of_seeds=0.01, of_classes=1.0, classes=50)
    assert missing(wide) == "more seeds alone would not tell: the test classes differ too much"


def made_up(rng, seeds, classes, sd_seed, sd_class, sd_rest, images=20):
    """Hits of two methods by seed and class, their difference d_sc = seed + class + rest, in
    points: kept as evaluate_fully keeps them, with whole numbers left aside."""
    d = rng.normal(0, sd_seed, (seeds, 1)) + rng.normal(0, sd_class, (1, classes))
    d = d + rng.normal(0, sd_rest, (seeds, classes))
    n = np.full(classes, images)
    a = [{"images": n, "score_hits": images * (50 + x) / 100} for x in d]
    b = [{"images": n, "score_hits": np.full(classes, images / 2)} for _ in d]
    return d.mean(1), a, b


def drawn(a, b, measure="recall_1"):
    return np.array([resampled(measure, x, "score") - resampled(measure, y, "score")
                     for x, y in zip(a, b, strict=True)])  # fmt: skip


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("sds", [(1, 0, 0), (1, 5, 5), (0.2, 8, 4), (0, 0, 8)], ids=str)
def test_intervals_cover_95_percent(seeds, sds):
    """Of the true difference, 0, with seeds and classes drawn anew in each of 300 studies.

    Two standard errors of the count are 2.5 %. It may cover more where all is rest, of which too
    much is then ascribed to seeds; it must not cover less.
    """
    rng, covered = np.random.default_rng(seeds), 0
    for _ in range(300):
        values, a, b = made_up(rng, seeds, 60, *sds)
        _, low, high = spread_of(values, drawn(a, b), 60).interval
        covered += low < 0 < high
    assert covered / 300 > 0.925
    assert covered < 300 or sds[0] == 0


def test_classes_that_are_alike_leave_students_interval():
    values, a, b = made_up(np.random.default_rng(0), 4, 30, 1.0, 0.0, 0.0)
    found = spread_of(values, drawn(a, b), 30)
    assert found.interval == pytest.approx(interval(values))


@pytest.mark.parametrize("measure", ["auc", "overlap"])
def test_weights_of_negative_pairs_do_as_an_exact_resampling(measure):
    """A pair of classes counted w_a w_b times, for every draw: the spread is nearly the same."""
    rng, C = np.random.default_rng(1), 40
    shift = rng.normal(0, 0.6, C)
    edges = np.linspace(-4, 5, 41)
    positive = np.array([np.histogram(rng.normal(1.5 + s, 1, 60), edges)[0] for s in shift])
    pairs = np.zeros((C, C, 40))
    for i in range(C):
        for j in range(i):
            at = 0.7 * (shift[i] + shift[j])
            pairs[i, j] = pairs[j, i] = np.histogram(rng.normal(at, 1, 30), edges)[0]
    w = drawn_classes(C)
    p = w @ positive
    exact = np.array([np.tensordot(np.outer(x, x), pairs, 2) for x in w])
    exact = of_histograms(measure, p, exact)
    by_class = {"images": np.ones(C), "score_positive": positive, "score_negative": pairs.sum(1)}
    ours = resampled(measure, by_class, "score")
    half = of_histograms(measure, p, w @ pairs.sum(1))  # weights w_a alone
    assert ours.std() == pytest.approx(exact.std(), rel=0.06)
    assert np.corrcoef(ours, exact)[0, 1] > 0.98
    assert np.abs(ours - exact).mean() < 0.25 * np.abs(half - exact).mean()


def test_resampled_recall_is_that_of_the_resampled_images():
    hits, images = np.array([3, 0, 5]), np.array([4, 1, 10])
    found = resampled("recall_1", {"images": images, "distance_hits": hits}, "distance")
    for w, x in zip(drawn_classes(3)[:50], found, strict=False):
        assert x == pytest.approx(100 * (w @ hits) / (w @ images))


def test_decide_leaves_out_what_is_no_number():
    assert decide([3, np.nan, 4, np.inf, 5]) == decide([3, 4, 5])
    assert decide([9, np.nan, 9])[3] == NOT_ENOUGH  # two are left
    assert decide([9, np.nan, 9])[0] == 9
