"""Recall@K as metric learning means it: the share of queries with a hit among their K nearest."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import UserError

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


def recall_at_k(
    labels: Tensor,
    features: Tensor | None = None,
    scores: Tensor | None = None,
    ks: Sequence[int] = KS,
    chunk: int = 1024,
) -> dict[int, float]:
    """Recall@K in percent: share of queries with one of their class among their K most similar.

    Every image queries all the others (query set = gallery, itself left out by index).

    Args:
        labels: [N].
        features: [N, d]: rank by Euclidean distance, in chunks of rows.
        scores: [N, N]: rank by these similarities instead (give one of the two).
        ks: the K; none may exceed the gallery's N - 1.

    Returns:
        K -> percent. Queries whose class has no other image are left out of the mean.

    Raises:
        UserError: a K larger than the gallery, or no class with two images.
    """
    n = len(labels)
    if (features is None) == (scores is None):
        raise TypeError("give either features or scores")
    if max(ks) > n - 1 or min(ks) < 1:
        wrong = max(ks) if max(ks) > n - 1 else min(ks)
        raise UserError(
            f"Recall@{wrong} is not defined: each query has a gallery of {n - 1} images; "
            f"use K from 1 to {n - 1}."
        )
    found = []
    squares = features.square().sum(1) if features is not None else None
    for a in range(0, n, chunk):
        queries = torch.arange(a, min(a + chunk, n), device=labels.device)
        if features is not None:  # -D^2 + a constant of the query: same order
            S = 2 * features[queries] @ features.T - squares[None, :]
        else:
            S = scores[queries]
        if not torch.isfinite(S).all():  # NaN compares False with everything: it would rank first
            raise UserError("Recall@K: some scores are not finite.")
        found.append(ranks_of_best_positive(S, labels, queries))
    rank = torch.cat(found)
    rank = rank[rank > 0]
    if len(rank) == 0:
        raise UserError("Recall@K needs a class with at least two images; there is none.")
    return {k: 100 * (rank <= k).double().mean().item() for k in ks}
