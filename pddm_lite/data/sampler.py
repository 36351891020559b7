"""Batches of classes x images, as the paper's mining asks for (Sec. 3.3: at least 4 a class)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle

import numpy as np

from ..errors import UserError


def class_balanced(
    labels: np.ndarray,
    classes: int,
    images: int,
    seed: int,
    rank: int = 0,
    part: np.ndarray | None = None,
) -> Iterator[np.ndarray]:
    """Endless batches of positions in `labels` [N]: `classes` classes, `images` images of each.

    Classes come in shuffled rounds, each class's images likewise, so that all are seen about
    equally often; a class with fewer images than `images` repeats some of them. The same seed
    and rank (of a process under torchrun) give the same batches.

    Args:
        part: [N] which data set of a mix each position is of: they give batches in turn, each of
            one data set, so that negatives lie within it.

    Raises:
        UserError: fewer classes than a batch holds (in a part), or a class of one image.
    """
    if part is not None and len(np.unique(part)) > 1:
        rows = [np.flatnonzero(part == p) for p in np.unique(part)]
        of_parts = [class_balanced(labels[own], classes, images, seed, rank) for own in rows]
        return (own[next(batches)] for own, batches in cycle(zip(rows, of_parts, strict=True)))
    names, counts = np.unique(labels, return_counts=True)
    if len(names) < classes:
        raise UserError(
            f"a batch holds {classes} classes, but only {len(names)} train; "
            f"try --set classes={len(names)} --set batch_size={len(names) * images}."
        )
    if counts.min() < 2:
        raise UserError(f"class {names[counts.argmin()]} has one image; a positive pair needs two.")
    members = {c: np.flatnonzero(labels == c) for c in names}
    rng = np.random.default_rng([seed, 1, rank] if rank else [seed, 1])
    return _batches(members, classes, images, rng)


def _batches(
    members: dict, classes: int, images: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
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
            while len(queues[c]) < images:
                unseen = np.setdiff1d(members[c], queues[c])
                fresh = rng.permutation(unseen if len(unseen) else members[c])
                queues[c] = np.concatenate([queues[c], fresh])
            batch.append(queues[c][:images])
            queues[c] = queues[c][images:]
        yield np.concatenate(batch)
