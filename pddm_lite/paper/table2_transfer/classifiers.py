"""Transfer (Sec. 4, Table 2): features learned on some classes serve thousands of new ones.

A class is added by the mean of a few of its images (measures.ncm); nothing is retrained. The
accuracy of that falls with the number of classes and rises with the images per mean; k-NN and a
linear classifier trained on the same features of the new classes say what retraining would give.
As in Mensink et al. 2013 ([21], whose protocol Table 2 follows) the accuracy is flat: the share of
images whose class is among the k best of all new classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from ...measures import learned, ncm
from ...measures.ncm import Rows, some
from ...store.errors import UserError
from ...store.progress import progress

ALL = 0  # images per mean: all there are
PER_MEAN = (1, 2, 5, 10, ALL)

# (training features, their labels, queries, their labels, classes, ks, seed) -> k -> percent
Classifier = Callable[[Rows, np.ndarray, Rows, np.ndarray, int, Sequence[int], int], dict]


def check_disjoint(source: Sequence, new: Sequence) -> None:
    """UserError if a class (number or name) is among both the source and the new classes."""
    both = sorted(set(np.asarray(source).tolist()) & set(np.asarray(new).tolist()))
    if both:
        raise UserError(
            f"transfer: {len(both)} classes are both source and new: {some(both)}; "
            "new classes must not have been trained on."
        )


def check_images(labels: np.ndarray, new: Sequence[int], names: Sequence[str] = ()) -> None:
    """UserError if one of the new classes has no image, or none besides that of its mean."""
    counts = dict(zip(*np.unique(labels, return_counts=True), strict=True))
    for least, what in ((1, "no image"), (2, "one image, and none to ask about")):
        few = [names[c] if len(names) else c for c in new if counts.get(c, 0) < least]
        if few:
            raise UserError(f"transfer: {len(few)} new classes have {what}: {some(few)}.")


def number_asking(images: int, queries: float = 0.5) -> int:
    """How many of a class's images ask: that share, rounded down, and one on each side at least."""
    return min(max(1, int(queries * images)), images - 1)


def split_images(
    labels: np.ndarray, seed: int, queries: float = 0.5
) -> tuple[dict[int, np.ndarray], np.ndarray]:
    """Each class's images in two: those that may make its mean, and those that ask.

    Args:
        labels: [N].
        queries: share of a class's images that ask; see `number_asking`.

    Returns:
        (class -> indices of its mean images in random order, so that the first n are the n-image
        mean, nested in n; sorted indices of all query images). The queries are the same for every
        n, and a class's part depends on the seed and its own number alone.
    """
    order = np.argsort(labels, kind="stable")
    classes, starts = np.unique(labels[order], return_index=True)
    pool, asking = {}, []
    for c, images in zip(classes.tolist(), np.split(order, starts[1:]), strict=True):
        images = np.random.default_rng([seed, 17, c]).permutation(images)
        ask = number_asking(len(images), queries)
        pool[c] = images[ask:]
        asking.append(images[:ask])
    return pool, np.sort(np.concatenate(asking))


def log_grid(classes: int) -> list[int]:
    """10, 20, 50, 100, ... below `classes`, and `classes` itself."""
    grid = [m * 10**p for p in range(1, 13) for m in (1, 2, 5)]
    return [c for c in grid if c < classes] + [classes]


def nearest_mean(x, y, queries, asked, classes, ks, seed, device="cpu", metric=None) -> dict:
    """NCM; with `metric` W [r, d] (learned.learn_metric) under ||W f - W mu_c||."""
    mu = ncm.class_means(x, y, classes).to(device)
    if metric is not None:
        mu, queries = mu @ metric.to(device).T, Rows(queries.x, queries.index, metric.to(device))
    return ncm.accuracy(queries, asked, mu, ks=ks)


def neighbours(x, y, queries, asked, classes, ks, seed, device="cpu", k=5) -> dict:
    """k-NN over all mean images, by vote; no more neighbours than a class has. Only top-1."""
    k = min(k, int(np.bincount(y).min()))
    found = ncm.knn(queries, x, y, k, device=device)
    return {1: 100 * float((found.cpu().numpy() == asked).mean())} if 1 in ks else {}


def linear(x, y, queries, asked, classes, ks, seed, device="cpu", **settings) -> dict:
    """Multinomial logistic regression retrained on the mean images (learned.linear_classifier)."""
    W, b = learned.linear_classifier(x, y, classes, seed=seed, device=device, **settings)
    return ncm.accuracy(queries, asked, W, b, ks=ks)


def curves(
    features,
    labels: np.ndarray,
    new: Sequence[int],
    classifiers: Mapping[str, Classifier],
    sizes: Sequence[int],
    per_mean: Sequence[int] = PER_MEAN,
    ks: Sequence[int] = (1, 5),
    draws: int = 3,
    seed: int = 0,
    device: str = "cpu",
    bar: bool = False,
) -> pd.DataFrame:
    """Accuracy on new classes, against their number and the images that make each mean.

    A draw orders the new classes at random, and its subsets are the first 10, 20, 50, ... of that
    order, so nested; it also decides which images make means (see split_images).

    Args:
        features: [N, d] of all images: see measures.ncm for what may be given.
        labels: [N].
        new: the new classes, each with two images or more (check_images).
        classifiers: name -> Classifier; those that train do so for every row.
        sizes: numbers of new classes, as of log_grid; none beyond `new`, nor below a k.
        per_mean: images per mean, 0 for all; a class that has fewer gives what it has.
        ks: of top-k accuracy.
        draws: at least 1.

    Returns:
        A row each: classifier, classes, per_mean, images (per mean, averaged over classes), queries
        (images asked), draw, k, accuracy in percent. The same numbers for the same seed.

    Raises:
        UserError: features that are not finite.
    """
    new, labels = np.asarray(new, dtype=np.int64), np.asarray(labels)
    rows = []
    work = [(t, size, n) for t in range(draws) for size in sizes for n in per_mean]
    for draw, size, n in progress(work, "transfer", bar):
        order = np.random.default_rng([seed, draw, 19]).permutation(new)[:size]
        number = np.full(int(max(labels.max(), new.max())) + 1, -1)
        number[order] = np.arange(size)  # class -> 0..size-1
        images = np.flatnonzero(number[labels] >= 0)
        pool, asking = split_images(labels[images], seed * 1000 + draw)
        train = np.sort(np.concatenate([images[p[: n or None]] for p in pool.values()]))
        asking = images[asking]
        x, y = Rows(features, train), number[labels[train]]
        asked = number[labels[asking]]
        for name, classify in classifiers.items():
            found = classify(
                x, y, Rows(features, asking), asked, size, ks, seed * 1000 + draw, device=device
            )
            row = {"classifier": name, "classes": size, "per_mean": n, "images": len(y) / size}
            row |= {"queries": len(asked), "draw": draw}
            rows += [row | {"k": k, "accuracy": a} for k, a in found.items()]
    return pd.DataFrame(rows)
