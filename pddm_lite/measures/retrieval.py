"""Recall@K as metric learning means it: the share of queries with a hit among their K nearest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from ..store.errors import UserError

KS = (1, 2, 4, 8, 16, 32)  # the paper's Table 1


def ranks_of_best_positive(S: Tensor, labels: Tensor, queries: Tensor) -> Tensor:
    """Rank (1 = first) of each query's most similar image of its class.

    Args:
        S: similarities [Q, N] of Q queries to the whole gallery, larger is closer.
        labels: [N] of the gallery.
        queries: [Q] the queries' own places in the gallery; those places are left out by index,
            so that exact duplicates of a query do not push anything out.

    A negative as similar as the best positive counts as ranked before it: ties never help, and a
    constant score has Recall@1 of 0. A query whose class has no other image gets rank 0.
    """
    S = S.clone()
    S[torch.arange(len(S)), queries] = -torch.inf
    same = labels[queries][:, None] == labels[None, :]
    best = S.masked_fill(~same, -torch.inf).amax(dim=1, keepdim=True)
    rank = 1 + ((S >= best) & ~same).sum(dim=1)
    return torch.where(best[:, 0] == -torch.inf, 0, rank)


def _tiles(f: Tensor, y: Tensor, tile: int, band: bool) -> Iterator[tuple]:
    """(A, B, f_A f_B', same class or None) of f's tiles at and right of the diagonal.

    Each class's items lie together, so that only tiles in a band beside the diagonal hold pairs of
    one class (elsewhere: None). `band`: these tiles alone.
    """
    product = f.new_empty(tile, tile)
    for a in range(0, len(f), tile):
        A = slice(a, a + tile)
        for b in range(a, len(f), tile):
            B = slice(b, b + tile)
            same = y[A, None] == y[None, B] if y[A][-1] == y[b] or a == b else None
            if band and same is None:
                break
            yield A, B, torch.mm(f[A], f[B].T, out=product), same


def ranks_by_distance(features: Tensor, labels: Tensor, tile: int = 512) -> Tensor:
    """ranks_of_best_positive [N] of every item among all others by Euclidean distance.

    Without N x N and without a sort: the best positives lie in a band beside the diagonal once
    the items are sorted by class; then the negatives at least as near are counted, each product
    f_i f_j serving i and j. Tiles of `tile` x `tile` pairs stay in the cache.

    Raises:
        UserError: features that are not finite.
    """
    if features.dtype in (torch.float16, torch.bfloat16):
        features = features.float()
    n = len(features)
    tile = max(1, min(tile, n))
    order = labels.argsort(stable=True)
    # filled up to whole tiles by items infinitely far from all: a pair's product is then summed
    # in the same order wherever it lies, and exact duplicates tie
    fill = -n % tile
    f = torch.cat([features[order].detach(), features.new_zeros(fill, features.shape[1])])
    y = torch.cat([labels[order], labels.new_full((fill,), labels.max() + 1 if n else 0)])
    squares = f.square().sum(1)
    if not torch.isfinite(2 * squares).all():  # bounds every product
        raise UserError("Recall@K: some scores are not finite.")
    squares[n:] = torch.inf
    best = torch.full_like(squares, -torch.inf)
    count = torch.zeros_like(y)
    S, near = f.new_empty(2, tile, tile)
    itself = torch.eye(tile, dtype=torch.bool, device=f.device)
    for A, B, product, same in _tiles(f, y, tile, band=True):
        other = ~same | itself if A == B else ~same
        # -D^2 + a constant of the query, 2 f_q f_j - ||f_j||^2: same order
        torch.add(-squares[B], product, alpha=2, out=S).masked_fill_(other, -torch.inf)
        best[A] = torch.maximum(best[A], S.amax(1))
        torch.add(-squares[A, None], product, alpha=2, out=S).masked_fill_(other, -torch.inf)
        best[B] = torch.maximum(best[B], S.amax(0))
    for A, B, product, same in _tiles(f, y, tile, band=False):
        sides = [(A, -squares[B], best[A, None], 1), (B, -squares[A, None], best[B], 0)]
        for queries, constant, nearest_positive, axis in sides[: 1 if A == B else 2]:
            torch.add(constant, product, alpha=2, out=S)
            torch.ge(S, nearest_positive, out=near)  # 0 or 1: floats are summed the fastest
            if same is not None:
                near.masked_fill_(same, 0)
            count[queries] += near.sum(axis).long()
    ranks = torch.empty_like(count[:n])
    ranks[order] = torch.where(best == -torch.inf, 0, 1 + count)[:n]
    return ranks


def ranks_by_score(scores: Tensor, labels: Tensor, chunk: int = 512) -> Tensor:
    """ranks_of_best_positive [N] of every item among all others by scores [N, N].

    Raises:
        UserError: scores that are not finite.
    """
    found = []
    for queries in torch.arange(len(labels), device=labels.device).split(chunk):
        S = scores[queries]
        if not torch.isfinite(S).all():  # NaN compares False with everything: it would rank first
            raise UserError("Recall@K: some scores are not finite.")
        found.append(ranks_of_best_positive(S, labels, queries))
    return torch.cat(found)


def within(part: Tensor | None, labels: Tensor, ranks: Callable[[Tensor], Tensor]) -> Tensor:
    """ranks(own) [n] of the images own [n] of each set of a mix, together [N]: nobody has
    neighbours in another set. part [N] says whose each image is; None: all are of one."""
    if part is None:
        return ranks(torch.arange(len(labels), device=labels.device))
    out = torch.zeros_like(labels)
    for p in part.unique():
        own = torch.nonzero(part == p)[:, 0]
        out[own] = ranks(own)
    return out


def _check(ks: Sequence[int], n: int) -> None:
    if max(ks) > n - 1 or min(ks) < 1:
        wrong = max(ks) if max(ks) > n - 1 else min(ks)
        raise UserError(
            f"Recall@{wrong} is not defined: each query has a gallery of {n - 1} images; "
            f"use K from 1 to {n - 1}."
        )


def recall_of_ranks(ranks: Tensor, ks: Sequence[int] = KS) -> dict[int, float]:
    """Recall@K in percent from each query's rank of its best positive; 0 (none) is left out."""
    _check(ks, len(ranks))
    ranks = ranks[ranks > 0]
    if len(ranks) == 0:
        raise UserError("Recall@K needs a class with at least two images; there is none.")
    return {k: 100 * (ranks <= k).double().mean().item() for k in ks}


def recall_at_k(
    labels: Tensor,
    features: Tensor | None = None,
    scores: Tensor | None = None,
    ks: Sequence[int] = KS,
    chunk: int = 512,
) -> dict[int, float]:
    """Recall@K in percent: share of queries with one of their class among their K most similar.

    Every image queries all the others (query set = gallery, itself left out by index).

    Args:
        labels: [N].
        features: [N, d]: rank by Euclidean distance; memory grows with N, not with N^2.
        scores: [N, N]: rank by these similarities instead (give one of the two).
        ks: the K; none may exceed the gallery's N - 1.
        chunk: rows at a time, and of features columns too.

    Returns:
        K -> percent. Queries whose class has no other image are left out of the mean.

    Raises:
        UserError: a K larger than the gallery, no class with two images, scores not finite.
    """
    if (features is None) == (scores is None):
        raise TypeError("give either features or scores")
    _check(ks, len(labels))
    if features is not None:
        return recall_of_ranks(ranks_by_distance(features, labels, chunk), ks)
    return recall_of_ranks(ranks_by_score(scores, labels, chunk), ks)
