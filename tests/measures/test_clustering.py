"""NMI, F1 and MAP@R against plain loops."""

import itertools
import math
from collections import Counter

import pytest
import torch
from sklearn.cluster import KMeans

from pddm_lite.measures.clustering import cluster_quality, map_at_r
from pddm_lite.store.errors import UserError


def data(n, d, classes, seed, low=None):
    """Labels of uneven classes, one of them with a single image, and features (integer if low)."""
    g = torch.Generator().manual_seed(seed)
    labels = (classes * torch.rand(n, generator=g) ** 2).long()
    labels[-1] = classes  # alone
    if low is None:
        return torch.randn(n, d, generator=g) + 0.7 * labels[:, None], labels
    return torch.randint(-low, low + 1, (n, d), generator=g).float(), labels


def map_by_loop(similarity, labels):
    y, values = labels.tolist(), []
    for q in range(len(y)):
        R = y.count(y[q]) - 1
        if R == 0:
            continue
        others = [n for n in range(len(y)) if n != q]
        others.sort(key=lambda n: (-similarity[q][n], y[n] == y[q]))  # negatives first in a tie
        right = [y[n] == y[q] for n in others[:R]]
        values.append(sum(right[i] * sum(right[: i + 1]) / (i + 1) for i in range(R)) / R)
    return 100 * sum(values) / len(values)


@pytest.mark.parametrize("low", [None, 1])  # 1: 27 places for 80 images, so ties everywhere
@pytest.mark.parametrize("classes", [3, 15])
@pytest.mark.parametrize("seed", range(4))
def test_map_at_r_is_that_of_a_loop(classes, seed, low):
    f, labels = data(80, 4 if low is None else 3, classes, seed, low)
    S = -(f[:, None] - f[None]).double().square().sum(2)
    want = map_by_loop(S.tolist(), labels)
    assert 0 < want < 100
    for chunk in (1024, 7):
        assert map_at_r(labels, f, chunk) == pytest.approx(want)


def test_map_at_r_at_its_ends():
    labels = torch.arange(10).repeat_interleave(4)
    assert map_at_r(labels, 9 * torch.eye(10)[labels]) == pytest.approx(100)
    assert map_at_r(labels, torch.ones(40, 3)) == 0
    assert map_at_r(torch.zeros(5), torch.ones(5, 2)) == pytest.approx(100)  # one class


@pytest.mark.parametrize("call", [cluster_quality, lambda f, y: map_at_r(y, features=f)])
def test_what_cannot_be_measured_is_said(call):
    labels = torch.arange(5).repeat_interleave(4)
    with pytest.raises(UserError, match="finite"):
        call(torch.full((20, 3), torch.nan), labels)
    with pytest.raises(UserError, match="at least two images"):
        call(torch.randn(20, 3), torch.arange(20))


def quality_by_loop(clusters, y):
    """Song et al. 2016: NMI = 2 I / (H + H), and F1 pair by pair."""

    def entropy(values):
        return -sum(c / len(values) * math.log(c / len(values)) for c in Counter(values).values())

    information = entropy(y) + entropy(clusters) - entropy(list(zip(y, clusters, strict=True)))
    pairs = list(itertools.combinations(range(len(y)), 2))
    found = [(clusters[a] == clusters[b], y[a] == y[b]) for a, b in pairs]
    right = sum(c and s for c, s in found)
    precision, recall = right / sum(c for c, _ in found), right / sum(s for _, s in found)
    return {
        "nmi": 2 * information / (entropy(y) + entropy(clusters)),
        "f1": 2 * precision * recall / (precision + recall),
    }


@pytest.mark.parametrize("low", [None, 2])
@pytest.mark.parametrize("seed", range(3))
def test_quality_is_that_of_a_pairwise_loop(low, seed):
    f, labels = data(90, 3, 6, seed, low)
    k = len(labels.unique())
    clusters = KMeans(k, n_init=1, random_state=seed, max_iter=100).fit_predict(f.numpy())
    got = cluster_quality(f, labels, seed)
    assert got == pytest.approx(quality_by_loop(clusters.tolist(), labels.tolist()))
    assert got == cluster_quality(f.double(), labels, seed)
    assert 0 < got["f1"] < 1 and 0 < got["nmi"] < 1


def test_quality_at_its_ends(recwarn):
    labels = torch.arange(5).repeat_interleave(20)
    g = torch.Generator().manual_seed(0)
    apart = 100 * torch.eye(5)[labels] + torch.randn(100, 5, generator=g)
    assert cluster_quality(apart, labels) == pytest.approx({"nmi": 1, "f1": 1})
    chance = cluster_quality(torch.randn(100, 5, generator=g), labels)
    assert chance["nmi"] < 0.3 and chance["f1"] < 0.4
    # a collapsed embedding is one cluster: P = share of positive pairs, R = 1
    p = (5 * 20 * 19) / (100 * 99)
    assert cluster_quality(torch.ones(100, 3), labels) == pytest.approx(
        {"nmi": 0, "f1": 2 * p / (p + 1)}
    )
    assert [w for w in recwarn if "convergence" in str(w.category).lower()] == []
