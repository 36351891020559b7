"""Batches of classes x images, as the paper's mining asks for (Sec. 3.3: at least 4 a class)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..errors import UserError


def class_balanced(
    labels: np.ndarray, classes: int, images: int, seed: int
) -> Iterator[np.ndarray]:
    """Endless batches of positions in `labels` [N]: `classes` classes, `images` images of each.

    Classes come in shuffled rounds, each class's images likewise, so that all are seen about
    equally often. The same seed gives the same batches.

    Raises:
        UserError: fewer classes than a batch holds, or a class with fewer images than it draws.
    """
    names, counts = np.unique(labels, return_counts=True)
    if len(names) < classes:
        raise UserError(
            f"a batch holds {classes} classes, but only {len(names)} train; "
            f"try --set classes={len(names)} --set batch_size={len(names) * images}."
        )
    if counts.min() < images:
        raise UserError(
            f"a batch draws {images} images a class, but the smallest class has {counts.min()}."
        )
    return _batches({c: np.flatnonzero(labels == c) for c in names}, classes, images, seed)


def _batches(members: dict, classes: int, images: int, seed: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng([seed, 1])
    names = np.array(list(members))
    queues = {c: np.empty(0, dtype=int) for c in members}
    round_ = np.empty(0, dtype=int)
    while True:
        if len(round_) < classes:  # a new round; classes left over from the old one come first
            rest = rng.permutation(np.setdiff1d(names, round_))
            round_ = np.concatenate([round_, rest])
        chosen, round_ = round_[:classes], round_[classes:]
        batch = []
        for c in chosen:
            if len(queues[c]) < images:
                fresh = rng.permutation(np.setdiff1d(members[c], queues[c]))
                queues[c] = np.concatenate([queues[c], fresh])
            batch.append(queues[c][:images])
            queues[c] = queues[c][images:]
        yield np.concatenate(batch)
