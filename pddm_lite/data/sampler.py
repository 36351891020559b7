"""Batches: classes x images, as mining asks for (paper, Sec. 3.3), or random pairs and triplets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle

import numpy as np

from ..store.errors import UserError


def class_balanced(
    labels: np.ndarray, classes: int, images: int, seed: int, rank: int = 0
) -> Iterator[np.ndarray]:
    """Endless batches of positions in `labels` [N]: `classes` classes, `images` images of each.

    Classes come in shuffled rounds, each class's images likewise, so that all are seen about
    equally often; a class with fewer images than `images` repeats some of them. The same seed
    and rank (of a process under torchrun) give the same batches.

    Raises:
        UserError: fewer classes than a batch holds, or a class of one image.
    """
    names, counts = np.unique(labels, return_counts=True)
    if (n := len(names)) < classes:
        fits = f"classes_per_batch={n}", f"batch_size={n * images}"
        raise UserError(
            f"a batch holds {classes} classes, but only {n} train; try --set {fits[0]} --set "
            f'{fits[1]} (in a notebook: settings = ["{fits[0]}", "{fits[1]}"]).'
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


def in_turn(
    part: np.ndarray, batches: Callable[[np.ndarray], Iterator[np.ndarray]]
) -> Iterator[np.ndarray]:
    """Batches of the sets of a mix in turn, each of one set, so that negatives lie within it.

    part: [N] which set each position is of.  batches(own): endless batches of places in `own`, the
    positions of one set.
    """
    sets = [np.flatnonzero(part == p) for p in np.unique(part)]
    drawn = [(own, batches(own)) for own in sets]  # whatever cannot be drawn is refused now
    return (own[next(of_set)] for own, of_set in cycle(drawn))


# what Song et al. 2016 draw for the rivals that the paper's Table 1 copies; at m = 64 as they do:
# (positive pairs, negative pairs, triplets) of a batch
RANDOM: dict[str, Callable[[int], tuple[int, int, int]]] = {
    "pairs": lambda m: (m // 2, m - m // 2, 0),  # 64 pairs; half of them positive is our choice
    "positive pairs": lambda m: (m, 0, 0),  # 64 pairs, 128 images
    "triplets": lambda m: (0, 0, 5 * m // 8),  # 40 triplets, 120 images
}


def random_tuples(
    labels: np.ndarray, kind: str, m: int, seed: int, rank: int = 0
) -> Iterator[np.ndarray]:
    """Endless batches of positions in `labels` [N] of a kind of RANDOM: disjoint, not mined.

    Members of a pair (i, j) or a triplet (anchor, positive, negative) follow each other. Where
    images are few, a batch takes half of them at most. The same seed and rank give the same
    batches.

    Raises:
        UserError: fewer images than a batch takes.
    """
    positive, negative, triplets = RANDOM[kind](min(m, len(labels) // 4))
    taken, need = positive + triplets, 2 * (positive + negative) + 3 * triplets
    rng = np.random.default_rng([seed, 2, rank])
    while True:
        same = _pairs_of_one_class(labels, rng)[:taken]
        rest = list(rng.permutation(np.setdiff1d(np.arange(len(labels)), same)))
        pairs = [[rest.pop(), None] for _ in range(min(negative, len(rest)))]
        batch = [[*pair, None] for pair in same[:triplets]] + pairs  # None: of another class
        for tuple_ in batch:
            other = (n for n, i in enumerate(rest) if labels[i] != labels[tuple_[0]])
            at = next(other, None)
            tuple_[-1] = None if at is None else rest.pop(at)
        found = [i for tuple_ in (*same[triplets:].tolist(), *batch) for i in tuple_]
        if len(found) < need or None in found:
            raise UserError(
                f"a batch holds {need} images as random {kind}, but the {len(labels)} that train "
                "are too few; make batch_size smaller."
            )
        yield np.array(found)


def _pairs_of_one_class(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Disjoint pairs [P, 2] of one class each, as many as there are, in random order."""
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    _, start, counts = np.unique(labels[order], return_index=True, return_counts=True)
    at = np.arange(len(order)) - np.repeat(start, counts)  # the image's number in its class
    first = np.flatnonzero((at % 2 == 0) & (at + 1 < np.repeat(counts, counts)))
    return rng.permutation(np.stack([order[first], order[first + 1]], axis=1))
