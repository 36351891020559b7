"""What is trained for transfer: Mensink et al.'s metric for class means, and a linear classifier.

The metric is learned once on the source classes and serves all new ones (a rival of the embedding);
the linear classifier is trained on the new classes themselves, a ceiling that retraining gives.
Features are read by minibatches, as measures.ncm reads them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..store.errors import UserError
from .ncm import CHUNK, Rows, accuracy, class_means, some, tile

RATES = (0.01, 0.03, 0.1)  # Adam's steps, in units of the first W's root mean square entry
LEAST = 4  # source classes: two to learn from, two to choose by
BATCH = 256
SAMPLE = 20_000  # images that choose the first W: more say no more


def learn_metric(
    features,
    labels: np.ndarray,
    rank: int = 0,
    steps: int = 1000,
    rates: tuple[float, ...] = RATES,
    seed: int = 0,
    device: str = "cpu",
) -> Tensor:
    """W [r, d] under which source images lie nearest their own class's mean (NCMML).

        p(c | f) = softmax_c( -||W f - W mu_c||^2 / 2 ),     maximise  sum_i log p(y_i | f_i)

    Mensink et al. 2013 (TPAMI). Ours: Adam instead of plain SGD; mu_y without the image itself
    (which it would otherwise find near for being part of it: with the tens of images a class of CUB
    that is what W learns, with the thousand of ImageNet it makes no difference); and how the rest
    is settled, on source classes alone. A fifth of them is kept out of the sum; W starts
    as the identity (rank 0) or the first r principal directions, at the scale of most likelihood;
    every rate of `rates` runs for `steps`; and W is the one among ten of each run that serves the
    held-out classes best (top-1 of NCM, half of their images as means). The first W takes part: no
    W that harms them is returned.

    Args:
        features: [N, d] of source classes only.
        labels: [N], any integers.
        rank: r, at most d; 0 for d.

    Returns:
        W, float32 on `device`. Use it as Rows(features, index, W), with means @ W.T.

    Raises:
        NoMetric: fewer than LEAST classes, or one with a single image.
        UserError: features that are not finite.
    """
    check_source(labels)
    names, y = np.unique(np.asarray(labels), return_inverse=True)
    d, rng = features.shape[1], np.random.default_rng([seed, 11])
    held = rng.permutation(len(names))[: max(2, round(0.2 * len(names)))]
    fit = np.flatnonzero(~np.isin(y, held))
    y_fit = np.unique(y[fit], return_inverse=True)[1]
    mu = class_means(Rows(features, fit), y_fit, len(names) - len(held)).to(device)
    judge = _Judge(features, y, held, rng)

    # x - (mu_y without x) = n / (n - 1) (x - mu_y): leaving x out only stretches its own distance
    n = np.bincount(y_fit)
    stretch = torch.from_numpy((n / (n - 1.0)) ** 2).float().to(device)

    drawn = rng.permutation(len(fit))[:SAMPLE]
    first = _first(Rows(features, fit[drawn]), y_fit[drawn], mu, stretch, rank or d)
    best, best_score = first, judge(first)
    for rate in rates:
        W = nn.Parameter(first.clone())
        adam = torch.optim.Adam([W], lr=rate * float(first.square().mean().sqrt()))
        for step, rows in enumerate(islice(_minibatches(len(fit), BATCH, rng), steps), 1):
            x, target = (
                tile(features, fit[rows], device),
                torch.from_numpy(y_fit[rows]).to(mu.device),
            )
            loss = _loss(W, x, target, mu, stretch)
            adam.zero_grad()
            loss.backward()
            adam.step()
            if step % max(1, steps // 10) == 0 and (score := judge(W.detach())) > best_score:
                best, best_score = W.detach().clone(), score
    return best


def _loss(W: Tensor, x: Tensor, y: Tensor, mu: Tensor, stretch: Tensor) -> Tensor:
    """-1/B sum log p(y | x) of x [B, d]; the own class's squared distance times stretch [C]."""
    f, means = x @ W.T, mu @ W.T
    D = f.square().sum(1, keepdim=True) - 2 * f @ means.T + means.square().sum(1)
    own = D.gather(1, y[:, None]) * stretch[y][:, None]
    return cross_entropy(-D.scatter(1, y[:, None], own) / 2, y)


def _first(x: Rows, y: np.ndarray, mu: Tensor, stretch: Tensor, r: int) -> Tensor:
    """Principal directions [r, d] (the identity if r = d) times the power of 2 of least loss."""
    x, y = tile(x, slice(None), mu.device), torch.from_numpy(y).to(mu.device)
    W = torch.eye(x.shape[1], device=mu.device)
    if r < x.shape[1]:
        centred = (x - x.mean(0)).double()
        W = torch.linalg.eigh(centred.T @ centred).eigenvectors.flip(1)[:, :r].T.float()
    unit = float((x - mu[y]).square().sum(1).mean().sqrt()) or 1.0
    scales, losses = [2.0**p / unit for p in range(-4, 9)], []
    parts = list(zip(x.split(CHUNK), y.split(CHUNK), strict=True))
    for s in scales:
        losses.append(sum(float(_loss(s * W, a, b, mu, stretch)) * len(b) for a, b in parts))
    return scales[int(np.argmin(losses))] * W


class NoMetric(UserError):
    """The source classes are too few, or hold too few images, to learn a metric from."""


def check_source(labels: np.ndarray) -> None:
    """NoMetric for fewer than LEAST classes, or one with a single image."""
    names, counts = np.unique(np.asarray(labels), return_counts=True)
    if len(names) < LEAST:
        raise NoMetric(
            f"the NCM metric needs at least {LEAST} source classes; there are {len(names)}."
        )
    if len(alone := names[counts < 2]):
        raise NoMetric(
            f"the NCM metric needs 2 images of each source class; a single one has {some(alone)}."
        )


class _Judge:
    """Top-1 of NCM among held-out source classes under a metric: half the images make the means."""

    def __init__(self, features, y: np.ndarray, held: np.ndarray, rng: np.random.Generator):
        means, queries = [], []
        for c in held:
            images = rng.permutation(np.flatnonzero(y == c))
            means.append(images[: -(-len(images) // 2)])
            queries.append(images[len(means[-1]) :])
        means, queries = np.concatenate(means), np.concatenate(queries)
        number = np.full(y.max() + 1, -1)
        number[held] = np.arange(len(held))
        self.mu = class_means(Rows(features, means), number[y[means]], len(held))
        self.features, self.queries, self.labels = features, queries, number[y[queries]]

    def __call__(self, W: Tensor) -> float:
        queries = Rows(self.features, self.queries, W)
        return accuracy(queries, self.labels, self.mu.to(W.device) @ W.T, ks=(1,))[1]


def _minibatches(n: int, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Passes over 0..n-1 without end, each in another order; batches sorted, as files are read."""
    while True:
        order = rng.permutation(n)
        for a in range(0, n, size):
            yield np.sort(order[a : a + size])


def linear_classifier(
    features,
    labels: np.ndarray,
    classes: int,
    epochs: int = 20,
    least_steps: int = 1000,
    seed: int = 0,
    device: str = "cpu",
) -> tuple[Tensor, Tensor]:
    """Multinomial logistic regression by minibatches: weights [classes, d] and bias [classes].

        minimise  -1/N sum_i log softmax_{y_i}( W x_i + b )  +  ||W||^2 / (2 N)

    x are the features centred and divided by one number, so that a dimension has unit variance on
    average and the penalty means the same for every network; it is scikit-learn's at C = 1, and so
    is the minimum (its solver is not used: it holds all features and 64-bit copies of W in
    memory). Adam from W = 0, the step falling to zero by a cosine.

    Args:
        features: [N, d].
        labels: [N] in 0..classes-1.
        epochs: passes over the images; at least `least_steps` steps in any case.

    Returns:
        (W, b) for the features as given (centring and scale are folded in), float32 on `device`.
    """
    n, d = features.shape
    rng, y = np.random.default_rng([seed, 13]), torch.as_tensor(labels).long().to(device)
    total, squares = torch.zeros(d, dtype=torch.float64), 0.0
    for a in range(0, n, CHUNK):
        x = tile(features, slice(a, min(a + CHUNK, n)), "cpu", torch.float64)
        total += x.sum(0)
        squares += float(x.square().sum())
    centre = (total / n).to(device, torch.float32)
    variance = (squares / n - float((total / n).square().sum())) / d
    scale = max(variance, 0.0) ** 0.5 or 1.0

    W = torch.zeros(classes, d, device=device, requires_grad=True)
    b = torch.zeros(classes, device=device, requires_grad=True)
    steps = max(least_steps, epochs * -(-n // BATCH))
    adam = torch.optim.Adam([W, b], lr=0.03)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for rows in islice(_minibatches(n, BATCH, rng), steps):
        x = (tile(features, rows, device) - centre) / scale
        loss = cross_entropy(x @ W.T + b, y[torch.from_numpy(rows).to(y.device)])
        loss = loss + W.square().sum() / (2 * n)
        adam.zero_grad()
        loss.backward()
        adam.step()
        falling.step()
    W, b = W.detach() / scale, b.detach()
    return W, b - W @ centre
