"""The learned metric beats plain means where it must; the linear classifier is scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn.functional import cross_entropy

from pddm_lite.measures import learned
from pddm_lite.measures.learned import learn_metric, linear_classifier
from pddm_lite.measures.ncm import Rows, accuracy, class_means
from pddm_lite.store.errors import UserError

QUIET, LOUD = 6, 10


def world(classes, images, seed, noise=4.0):
    """QUIET dimensions in which classes differ, then LOUD ones of nothing but noise."""
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(classes).repeat_interleave(images)
    x = torch.randn(classes, QUIET, generator=g)[y]
    x = x + 0.4 * torch.randn(len(y), QUIET, generator=g)
    return torch.cat([x, noise * torch.randn(len(y), LOUD, generator=g)], 1), y.numpy()


def ncm_accuracy(x, y, W=None):
    """Top-1 with the even images as means, the odd ones as queries."""
    even, odd = np.arange(0, len(y), 2), np.arange(1, len(y), 2)
    mu = class_means(Rows(x, even), y[even], y.max() + 1)
    return accuracy(Rows(x, odd, W), y[odd], mu if W is None else mu @ W.T, ks=(1,))[1]


@pytest.mark.parametrize("seed", range(2))
def test_it_beats_the_plain_means_where_some_dimensions_are_noise(seed):
    x, y = world(30, 12, seed)
    W = learn_metric(x, y, steps=200, rates=(0.1,), seed=seed)
    new, labels = world(30, 12, 100 + seed)  # other classes of the same world
    plain, with_metric = ncm_accuracy(new, labels), ncm_accuracy(new, labels, W)
    assert with_metric > 2 * plain and with_metric > 50
    assert W[:, QUIET:].norm() < 0.3 * W[:, :QUIET].norm()


def test_low_rank_same_seed_and_shape():
    x, y = world(12, 8, 0, noise=1.0)
    names = np.array([3, 11, 17, 20, 21, 22, 40, 41, 42, 50, 60, 99])[y]  # any numbers will do
    a, b = (learn_metric(x.numpy(), names, rank=4, steps=20, rates=(0.03,)) for _ in range(2))
    assert a.shape == (4, QUIET + LOUD) and torch.equal(a, b)
    assert not torch.equal(a, learn_metric(x, names, rank=4, steps=20, rates=(0.03,), seed=1))


def test_it_never_harms_the_held_out_source_classes():
    x, y = world(12, 8, 1, noise=0.4)
    first = learn_metric(x, y, steps=0)
    wild = learn_metric(x, y, steps=30, rates=(100.0,))
    assert torch.equal(first / first[0, 0], torch.eye(QUIET + LOUD))  # no steps: the identity
    assert torch.equal(wild, first)  # and steps that overshoot are not taken


def test_the_loss_leaves_each_image_out_of_its_mean():
    x, y = world(4, 3, 2)
    mu, target, W = class_means(x, y, 4), torch.from_numpy(y), torch.randn(5, QUIET + LOUD)
    stretch = torch.full((4,), (3 / 2) ** 2)
    rows = []
    for i in range(len(y)):
        rest = np.flatnonzero(np.arange(len(y)) != i)
        without = class_means(Rows(x, rest), y[rest], 4)
        rows.append(-((W @ (x[i] - without).T).square().sum(0)) / 2)
    want = cross_entropy(torch.stack(rows), target)
    torch.testing.assert_close(learned._loss(W, x, target, mu, stretch), want)


def test_metric_errors():
    x, y = world(5, 4, 0)
    with pytest.raises(UserError, match="at least 4 source classes; there are 3"):
        learn_metric(x[:12], y[:12])
    with pytest.raises(UserError, match=r"a single one has 4\."):
        learn_metric(x[:17], y[:17])


@pytest.mark.parametrize("images", [1, 6])
def test_the_linear_classifier_reaches_sklearns_minimum(images):
    x, y = world(8, images, 3, noise=1.0)
    x = 7 * x + 3  # neither centred nor of unit variance
    z = x - x.mean(0)
    s = float(z.square().mean().sqrt())
    W, b = linear_classifier(x, y, 8, least_steps=600)
    other = LogisticRegression(C=1.0, max_iter=5000, tol=1e-8).fit((z / s).numpy(), y)

    def objective(W, b):
        W, b = torch.as_tensor(W).float(), torch.as_tensor(b).float()
        loss = cross_entropy(z / s @ W.T + b, torch.from_numpy(y))
        return float(loss + W.square().sum() / (2 * len(y)))

    mine = objective(W * s, b + W @ x.mean(0))
    assert mine == pytest.approx(objective(other.coef_, other.intercept_), rel=1e-3)
    assert ((x @ W.T + b).argmax(1).numpy() == other.predict((z / s).numpy())).all()
    again = linear_classifier(x.numpy(), y, 8, least_steps=600)
    assert torch.equal(again[0], W) and torch.equal(again[1], b)
