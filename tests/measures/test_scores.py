"""AUC, equal-error rate and overlap against sklearn, brute force and the analytic value."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from pddm_lite.measures.scores import histogram, pair_scores, separation
from pddm_lite.store.errors import UserError


def samples(p, n, shift, seed=0, ties=False):
    rng = np.random.default_rng(seed)
    positive, negative = rng.normal(shift, 1, p), rng.normal(0, 1.3, n)
    return (positive.round(1), negative.round(1)) if ties else (positive, negative)


def brute_eer(positive, negative):
    """Walk the thresholds from high to low; the line between the two points around the crossing."""
    thresholds = sorted({*positive.tolist(), *negative.tolist()}, reverse=True)
    before = (0.0, 1.0)  # false accepts, misses: nothing is accepted
    for t in thresholds:
        accepts = sum(1 for x in negative if x >= t) / len(negative)
        misses = sum(1 for x in positive if x < t) / len(positive)
        if accepts >= misses:
            gap_before, gap = before[1] - before[0], accepts - misses
            share = gap_before / (gap_before + gap)
            return before[0] + share * (accepts - before[0])
        before = (accepts, misses)
    raise AssertionError("the lowest threshold accepts everything")


CASES = [(50, 70, 1.0), (200, 31, 0.3), (40, 40, -0.5), (7, 300, 3.0), (1, 5, 0.0), (3, 1, 0.5)]


@pytest.mark.parametrize(("p", "n", "shift"), CASES)
@pytest.mark.parametrize("ties", [False, True])
def test_auc_is_sklearns_and_eer_that_of_brute_force(p, n, shift, ties):
    for seed in range(4):
        positive, negative = samples(p, n, shift, seed, ties)
        got = separation(positive, negative)
        truth = np.r_[np.ones(p), np.zeros(n)]
        want = roc_auc_score(truth, np.r_[positive, negative])
        assert got["auc"] == pytest.approx(want, abs=1e-12)
        wins = [(a > b) + (a == b) / 2 for a in positive for b in negative]
        assert got["auc"] == pytest.approx(sum(wins) / len(wins), abs=1e-12)
        assert got["eer"] == pytest.approx(brute_eer(positive, negative), abs=1e-12)
        assert 0 <= got["overlap"] <= 1


def test_a_gaussian_pair_has_the_analytic_values():
    def phi(z):
        return (1 + math.erf(z / math.sqrt(2))) / 2

    rng = np.random.default_rng(0)
    for shift in (0.5, 1.0, 2.0, 3.0):
        got = separation(rng.normal(shift, 1, 60_000), rng.normal(0, 1, 40_000))
        assert got["overlap"] == pytest.approx(2 * phi(-shift / 2), abs=0.02)
        assert got["eer"] == pytest.approx(phi(-shift / 2), abs=0.01)
        assert got["auc"] == pytest.approx(phi(shift / math.sqrt(2)), abs=0.01)


def test_constant_scores_tell_nothing():
    got = separation(np.full(30, 2.0), np.full(70, 2.0))
    assert got == pytest.approx({"auc": 0.5, "eer": 0.5, "overlap": 1.0})


@pytest.mark.parametrize("ties", [False, True])
def test_a_monotone_transform_changes_nothing(ties):
    positive, negative = samples(500, 900, 0.8, seed=3, ties=ties)
    want = separation(positive, negative)
    assert 0.1 < want["overlap"] < 0.9
    for transform in (np.exp, np.arctan, lambda x: 7 * x - 3, lambda x: x**3):
        assert separation(transform(positive), transform(negative)) == pytest.approx(
            want, abs=1e-12
        )
    # and a falling one mirrors it
    flipped = separation(-negative, -positive)
    assert flipped["auc"] == pytest.approx(want["auc"]) and flipped["eer"] == pytest.approx(
        want["eer"]
    )


@pytest.mark.parametrize(
    ("positive", "negative"),
    [([], [1.0]), ([1.0], []), ([np.nan, 1], [0.0]), ([1.0], [np.nan]), ([1.0], [-np.inf])],
)
def test_empty_or_unfinite_samples_are_refused(positive, negative):
    with pytest.raises(UserError) as error:
        separation(np.array(positive), np.array(negative))
    assert "\n" not in str(error.value)


def test_pair_scores_are_those_of_the_loop():
    g = torch.Generator().manual_seed(0)
    S = torch.randn(13, 13, generator=g)
    labels = torch.randint(0, 3, (13,), generator=g)
    want = {True: [], False: []}
    for a in range(13):
        for b in range(a + 1, 13):
            want[labels[a].item() == labels[b].item()].append(S[a, b].item())
    positive, negative = pair_scores(S, labels)
    assert positive.tolist() == want[True] and negative.tolist() == want[False]


def test_histogram_counts_shares_of_each_kind_in_common_bins():
    positive, negative = samples(5000, 8000, 1.0)
    h = histogram(positive, negative, bins=40)
    assert list(h.columns) == ["left", "right", "positive", "negative"] and len(h) == 40
    assert (h["left"] < h["right"]).all() and (h["right"][:-1].values == h["left"][1:].values).all()
    for name, x in (("positive", positive), ("negative", negative)):
        assert 0.998 <= h[name].sum() <= 1
        for n in (0, 3, 20, 38):
            left, right = h["left"][n], h["right"][n]
            inside = sum(1 for v in x.tolist() if left <= v < right) / len(x)
            assert h[name][n] == pytest.approx(inside, abs=1e-12)


def test_histogram_of_constant_scores():
    h = histogram(np.full(5, 2.0), np.full(9, 2.0))
    assert h["positive"].sum() == pytest.approx(1) and h["negative"].sum() == pytest.approx(1)
