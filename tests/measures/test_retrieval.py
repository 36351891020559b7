"""Recall@K against sklearn's neighbours, and its rule for ties against a loop."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from pddm_lite.measures.retrieval import (
    KS,
    ranks_by_distance,
    ranks_of_best_positive,
    recall_at_k,
)
from pddm_lite.pddm import Euclidean
from pddm_lite.store.errors import UserError


def data(n, d, classes, seed, low=None):
    """Features [n, d], integers from -low to low where `low` is given, and labels [n]."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) if low is None else rng.integers(-low, low + 1, size=(n, d))
    return torch.from_numpy(x.astype(np.float64)), torch.from_numpy(rng.integers(0, classes, n))


def by_sklearn(f, labels, ks):
    """Without ties: the K neighbours next to the query itself."""
    f, labels = f.numpy(), labels.numpy()
    search = NearestNeighbors(n_neighbors=max(ks) + 1, algorithm="brute").fit(f)
    near = search.kneighbors(f, return_distance=False)
    hits = {k: [] for k in ks}
    for q in range(len(f)):
        if (labels == labels[q]).sum() < 2:
            continue
        others = [n for n in near[q] if n != q]
        for k in ks:
            hits[k].append(any(labels[n] == labels[q] for n in others[:k]))
    return {k: 100 * np.mean(v) for k, v in hits.items()}


def by_loop(similarity, labels, ks):
    """The documented rule: of equally similar images, those of other classes come first."""
    y, hits = labels.tolist(), {k: [] for k in ks}
    for q in range(len(y)):
        others = [n for n in range(len(y)) if n != q]
        if all(y[n] != y[q] for n in others):
            continue
        others.sort(key=lambda n: (-similarity[q][n], y[n] == y[q]))
        for k in ks:
            hits[k].append(any(y[n] == y[q] for n in others[:k]))
    return {k: 100 * sum(v) / len(v) for k, v in hits.items()}


@pytest.mark.parametrize("n", [40, 201])
@pytest.mark.parametrize("classes", [3, 30])
@pytest.mark.parametrize("d", [2, 16])
def test_recall_is_that_of_sklearns_neighbours(n, classes, d):
    for seed in range(3):
        f, labels = data(n, d, classes, seed)
        want = by_sklearn(f, labels, KS)
        assert recall_at_k(labels, features=f) == pytest.approx(want)
        assert recall_at_k(labels, features=f, chunk=7) == pytest.approx(want)
        assert recall_at_k(labels, scores=Euclidean().all_pairs(f), chunk=9) == pytest.approx(want)
        assert recall_at_k(labels, features=f.float()) == pytest.approx(want)
    assert 0 < want[1] < 100 or classes == 3


@pytest.mark.parametrize("seed", range(6))
def test_ties_and_duplicates_follow_the_documented_rule(seed):
    f, labels = data(60, 3, 4, seed, low=1)  # 27 places for 60 images: duplicates everywhere
    duplicates = {}
    for place, y in zip(f.tolist(), labels.tolist(), strict=True):
        duplicates.setdefault(tuple(place), set()).add(y)
    assert any(len(ys) > 1 for ys in duplicates.values())  # across classes too
    similarity = [[-sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) for y in f] for x in f]
    ks = (1, 2, 3, 5, 8, 59)
    want = by_loop(similarity, labels, ks)
    assert want[59] == 100 and 0 < want[3] < 100
    for features in (f, f.float(), f.half().float()):
        assert recall_at_k(labels, features=features, ks=ks) == pytest.approx(want)
        assert recall_at_k(labels, features=features, ks=ks, chunk=11) == pytest.approx(want)
    S = torch.tensor(similarity)
    assert recall_at_k(labels, scores=S, ks=ks) == pytest.approx(want)
    assert recall_at_k(labels, scores=10 * S - 3, ks=ks) == pytest.approx(want)


def test_the_query_is_left_out_by_its_index():
    # two images at one place and class: each finds the other, not itself, and nothing else
    f = torch.tensor([[0.0], [0.0], [5.0], [9.0]])
    labels = torch.tensor([0, 0, 1, 1])
    assert recall_at_k(labels, features=f, ks=(1, 2, 3)) == {1: 100.0, 2: 100.0, 3: 100.0}
    S = torch.full((4, 4), 0.0).fill_diagonal_(1000.0)
    S[0, 2] = S[1, 2] = S[2, 0] = S[3, 0] = 5.0
    assert recall_at_k(labels, scores=S, ks=(1, 2, 3)) == {1: 0.0, 2: 0.0, 3: 100.0}


def test_constant_scores_have_no_recall_at_1():
    labels = torch.arange(10).repeat_interleave(4)
    for S in (torch.zeros(40, 40), torch.full((40, 40), -3.0)):
        # 36 negatives come first
        want = {1: 0.0, 32: 0.0, 36: 0.0, 37: 100.0}
        assert recall_at_k(labels, scores=S, ks=(1, 32, 36, 37)) == want
    assert recall_at_k(labels, features=torch.ones(40, 3), ks=(1, 36))[36] == 0


def test_classes_with_one_image_are_no_queries_but_stay_in_the_gallery():
    f = torch.tensor([[0.0], [1.0], [0.4], [9.0]])
    labels = torch.tensor([0, 0, 1, 2])
    # both queries of class 0 are nearer to the singleton of class 1
    assert recall_at_k(labels, features=f, ks=(1, 2)) == {1: 0.0, 2: 100.0}
    assert ranks_of_best_positive(-(f - f.T).square(), labels, torch.arange(4)).tolist() == [
        2,
        2,
        0,
        0,
    ]
    with pytest.raises(UserError, match="at least two images"):
        recall_at_k(torch.arange(4), features=f, ks=(1,))


@pytest.mark.parametrize(
    ("ks", "named"), [((1, 6), "Recall@6"), ((32,), "Recall@32"), ((0, 1), "Recall@0")]
)
def test_a_k_beyond_the_gallery_is_refused(ks, named):
    f, labels = data(6, 2, 2, seed=0)
    with pytest.raises(UserError, match="use K from 1 to 5") as error:
        recall_at_k(labels, features=f, ks=ks)
    assert named in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("how", ["features", "scores"])
def test_nan_is_no_perfect_recall(how):
    """A diverged model must not look perfect: NaN compares False with everything."""
    labels = torch.arange(5).repeat_interleave(4)
    wrong = torch.full((20, 20), torch.nan)
    with pytest.raises(UserError, match="finite"):
        recall_at_k(labels, ks=(1,), **{how: wrong})


@pytest.mark.parametrize("classes", [1, 2, 9, 70])
@pytest.mark.parametrize("tile", [16, 50, 512])
def test_ranks_by_distance_are_those_of_the_full_matrix(classes, tile):
    for seed, low in ((0, None), (1, None), (2, 1), (3, 2)):
        f, labels = data(129, 4, classes, seed, low)  # low: full of ties
        S = 2 * f @ f.T - f.square().sum(1)
        want = ranks_of_best_positive(S, labels, torch.arange(129))
        assert torch.equal(ranks_by_distance(f, labels, tile), want)
        if low:
            for lower in (f.float(), f.half(), f.bfloat16()):  # small integers: exact
                assert torch.equal(ranks_by_distance(lower, labels, tile), want)
    assert want.dtype == torch.int64


@pytest.mark.parametrize("d", [1, 3, 64, 130])
def test_exact_duplicates_tie_across_tiles(d):
    for seed in range(3):
        f, labels = data(90, d, 90, seed)
        twice = torch.cat([f, f]).float()
        other = torch.cat([torch.arange(90), torch.arange(90, 180)])
        assert ranks_by_distance(twice, other, tile=32).eq(0).all()  # nothing to find
        pairs = torch.cat([other, torch.arange(90)])  # a twin of the class, and one that is not
        ranks = ranks_by_distance(torch.cat([twice, twice[:90]]), pairs, tile=32)
        assert (ranks[:90] > 1).all() and (ranks[180:] > 1).all()
