"""Class means, nearest means and nearest neighbours against plain loops."""

import math

import numpy as np
import pytest
import torch

from pddm_lite.measures import ncm
from pddm_lite.measures.ncm import Rows, accuracy, class_means, knn, search
from pddm_lite.store.errors import UserError

SHAPES = [(7, 3, 2), (50, 8, 5), (120, 17, 23)]  # images, d, classes


def data(n, d, classes, seed=0, whole=False):
    """Features [n, d] and labels [n], each class at least once; `whole`: integers, with ties."""
    g = torch.Generator().manual_seed(seed)
    y = torch.cat([torch.arange(classes), torch.randint(classes, (n - classes,), generator=g)])
    if whole:
        return torch.randint(-1, 2, (n, d), generator=g).float(), y.numpy()
    return torch.randn(n, d, generator=g) + 2 * torch.randn(classes, d, generator=g)[y], y.numpy()


def means_by_loop(x, y, classes):
    out = []
    for c in range(classes):
        own = [x[i].tolist() for i in range(len(y)) if y[i] == c]
        out.append([math.fsum(column) / len(own) for column in zip(*own, strict=True)])
    return torch.tensor(out, dtype=torch.float64)


def squared_distances(x, w):
    return [[sum((a - b) ** 2 for a, b in zip(f, m, strict=True)) for m in w] for f in x.tolist()]


def accuracy_by_loop(x, y, means, k):
    """An image hits if fewer than k other classes are at least as near as its own."""
    hits = 0
    for D, c in zip(squared_distances(x, means.tolist()), y, strict=True):
        hits += sum(D[j] <= D[c] for j in range(len(D)) if j != c) < k
    return 100 * hits / len(y)


@pytest.mark.parametrize("shape", SHAPES)
def test_means_are_those_of_a_loop(shape):
    x, y = data(*shape)
    want = means_by_loop(x, y, shape[2])
    for chunk in (1000, 6):
        got = class_means(x.numpy(), y, shape[2], chunk=chunk)
        assert got.dtype == torch.float32 and torch.equal(got, want.float())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("chunk", [1000, 11])
def test_nearest_means_are_those_of_a_loop(shape, chunk, monkeypatch):
    monkeypatch.setattr(ncm, "COLUMNS", 4 if chunk == 11 else 100)
    x, y = data(*shape)
    mu = class_means(x, y, shape[2])
    k = min(5, shape[2])
    got = search(x, mu, k, chunk=chunk)
    D = squared_distances(x, mu.tolist())
    want = [sorted(range(shape[2]), key=row.__getitem__)[:k] for row in D]
    assert got.index.tolist() == want
    near = torch.tensor([[math.sqrt(r[c]) for c in w] for r, w in zip(D, want, strict=True)])
    found = (x.square().sum(1, keepdim=True) - 2 * got.scores).clamp(min=0).sqrt()
    torch.testing.assert_close(found, near, rtol=1e-4, atol=1e-3)
    for j in (1, k):
        assert accuracy(x, y, mu, ks=(j,), chunk=chunk)[j] == accuracy_by_loop(x, y, mu, j)


@pytest.mark.parametrize("seed", range(5))
def test_ties_never_help_and_are_listed_by_number(seed, monkeypatch):
    x, y = data(60, 3, 20, seed, whole=True)
    mu = torch.randint(-1, 2, (20, 3), generator=torch.Generator().manual_seed(seed)).float()
    D = squared_distances(x, mu.tolist())
    results = []
    for columns, chunk in ((100, 100), (3, 7)):
        monkeypatch.setattr(ncm, "COLUMNS", columns)
        every = search(x, mu, 20, chunk=chunk).index.tolist()
        assert every == [sorted(range(20), key=lambda c, r=r: (r[c], c)) for r in D]
        results.append(accuracy(x, y, mu, ks=(1, 2, 5, 20), chunk=chunk))
        assert results[-1] == {k: accuracy_by_loop(x, y, mu, k) for k in (1, 2, 5, 20)}
    assert results[0] == results[1] and results[0][20] == 100
    naive = np.mean([r.index(min(r)) == c for r, c in zip(D, y, strict=True)])
    assert results[0][1] < 100 * naive  # some tie is there, and a naive argmin profits


def test_a_collapsed_embedding_has_accuracy_0():
    x, y = torch.ones(30, 4), np.arange(30) % 10
    assert accuracy(x, y, class_means(x, y, 10)) == {1: 0.0, 5: 0.0}


def test_a_classifier_that_is_not_finite_has_no_hits():
    x, y = data(80, 6, 9)
    for W, b in ((torch.randn(9, 6), torch.full((9,), torch.nan)), (torch.randn(9, 6) / 0, None)):
        with pytest.raises(UserError, match="not finite"):
            accuracy(x, y, W, b, ks=(1,))


def knn_by_loop(x, gallery, labels, k):
    out = []
    for row in squared_distances(x, gallery.tolist()):
        near = [labels[i] for i in sorted(range(len(row)), key=row.__getitem__)[:k]]
        out.append(max(near, key=lambda c: (near.count(c), -near.index(c))))
    return out


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("k", [1, 2, 5])
def test_neighbours_vote_as_in_a_loop(shape, k, monkeypatch):
    monkeypatch.setattr(ncm, "COLUMNS", 13)
    x, y = data(*shape)
    queries, _ = data(*shape, seed=1)
    want = knn_by_loop(queries, x, y.tolist(), k)
    assert knn(queries, x, y, k, chunk=9).tolist() == want
    assert knn(queries.numpy(), x.half().float().numpy(), y, k).shape == (shape[0],)


def test_rows_are_read_in_their_order_and_through_a_metric(tmp_path):
    x, _ = data(50, 8, 5)
    np.save(tmp_path / "x.npy", x.half().numpy())
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    index, W = np.array([7, 3, 3, 49]), torch.randn(2, 8)
    assert torch.equal(Rows(mapped, index)[1:], x.half().float()[[3, 3, 49]])
    through = Rows(x, index, W)
    assert through.shape == (4, 2)
    torch.testing.assert_close(through[:], x[index] @ W.T)


def test_errors_are_one_clear_line():
    x, y = data(50, 8, 5)
    mu = class_means(x, y, 5)
    some = (y != 1) & (y != 3)
    with pytest.raises(UserError, match=r"2 of 5 classes have no image: crow, owl\."):
        class_means(x[some], y[some], 5, ("wren", "crow", "tern", "owl", "gull"))
    with pytest.raises(UserError, match=r"9 of 10 classes .*: 1, 2, 3, 4, 5 and 4 more\."):
        class_means(x[:3], [0, 0, 0], 10)
    for bad in (torch.nan, torch.inf, -torch.inf):
        wrong = x.clone()
        wrong[3, 2] = bad
        for call in (
            lambda f: accuracy(f, y, mu),
            lambda f: accuracy(x, y, f),
            lambda f: knn(x, f, y),
            lambda f: class_means(f, y, 5),
        ):
            with pytest.raises(UserError, match="not finite"):
                call(wrong)
