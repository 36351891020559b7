"""Which pairs of a batch a loss should see: quadruplets (Eq. 3) and semi-hard triplets."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .pddm import Similarity


class Quadruplets(NamedTuple):
    """Q quadruplets of a batch and the range of the scores seen while they were mined."""

    i: Tensor  # [Q] one half of the positive pair
    j: Tensor  # [Q] the other half
    k: Tensor  # [Q] the negative of i
    l: Tensor  # [Q] the negative of j
    low: Tensor  # [] smallest S of the scored graph (no gradient)
    high: Tensor  # [] largest S of the scored graph (no gradient)


def positive_pairs(labels: Tensor) -> tuple[Tensor, Tensor]:
    """All unordered pairs i < j of one class: two index tensors [P], ordered by i, then j."""
    return torch.nonzero((labels[:, None] == labels[None, :]).triu(1), as_tuple=True)


@torch.no_grad()
def hard_quadruplets(
    f: Tensor,
    labels: Tensor,
    similarity: Similarity,
    number: int = 1,
    negatives: str = "hardest",
) -> Quadruplets:
    """The `number` hardest quadruplets of a batch under `similarity` (argmin and argmax of Eq. 3).

    Args:
        f: features [m, d].  labels: [m] integers.
        number: 1 as in the paper; q for the q least similar positive pairs; 0 for every one.
        negatives: "hardest", the most similar negative of i and of j, as in the paper; "semihard",
            the most similar one that still scores below the positive pair, S_ik < S_ij, and where
            there is none the least similar: FaceNet's rule with S in the place of -D.

    Only what is needed is scored: the P positive pairs, then for each chosen one the negatives of
    its two halves; at m = 64 = 16 x 4 and number = 1 that is 96 + 120 of the 4,096 pairs.
    Members of the own class, oneself included, are masked with -inf and never negatives; k = l may
    happen, as in the paper.

    Raises:
        ValueError: the batch has no positive or no negative pair.
    """
    i, j = positive_pairs(labels)
    different = labels[:, None] != labels[None, :]
    if len(i) == 0 or not different.any():
        raise ValueError("a batch needs two images of one class and an image of another")
    # (i, j) = argmin over the positive pairs of S_ij
    S_pos = similarity.pairs(f, i, j)
    if 0 < number < len(i):
        hardest = S_pos.argsort(stable=True)[:number]
        i, j, S_ij = i[hardest], j[hardest], S_pos[hardest]
    else:
        S_ij = S_pos
    # each unordered negative pair with an end in some chosen i or j is scored once
    chosen = torch.zeros_like(labels, dtype=torch.bool)
    chosen[i] = chosen[j] = True
    a, b = torch.nonzero((different & (chosen[:, None] | chosen[None, :])).triu(1), as_tuple=True)
    S_neg = similarity.pairs(f, a, b)
    S = S_neg.new_full(different.shape, -torch.inf)
    S[a, b] = S[b, a] = S_neg
    # k = argmax over the negatives of i of S_ik,  l = argmax over the negatives of j of S_jl
    if negatives == "semihard":  # over those with S_ik < S_ij, and with S_jl < S_ij
        k, l = (_most_similar_below(S[a], S_ij, different[a]) for a in (i, j))
    else:
        k, l = S[i].argmax(dim=1), S[j].argmax(dim=1)
    low = torch.minimum(S_pos.min(), S_neg.min())
    high = torch.maximum(S_pos.max(), S_neg.max())
    return Quadruplets(i, j, k, l, low, high)


def _most_similar_below(S: Tensor, S_ij: Tensor, negative: Tensor) -> Tensor:
    """A row's most similar negative scoring below S_ij; where there is none, the least similar."""
    below = negative & (S < S_ij[:, None])
    most = S.masked_fill(~below, -torch.inf).argmax(dim=1)
    least = S.masked_fill(~negative, torch.inf).argmin(dim=1)
    return torch.where(below.any(dim=1), most, least)


@torch.no_grad()
def random_negatives(labels: Tensor, anchors: Tensor) -> Tensor:
    """A uniformly drawn image of another class for each anchor: [Q] (torch's global generator)."""
    different = labels[anchors][:, None] != labels[None, :]
    return torch.multinomial(different.float(), 1)[:, 0]


@torch.no_grad()
def semihard_triplets(D: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """FaceNet's semi-hard triplets (Schroff et al. 2015, Sec. 3.2): anchors, positives, negatives.

    D [m, m] holds squared distances. For every ordered positive pair (a, p) the negative is the
    nearest one that is farther than p; where all negatives are nearer, the farthest of them (the
    rule of TensorFlow's triplet_semihard_loss).

    Raises:
        ValueError: the batch has one class alone, and so no negative.
    """
    same = labels[:, None] == labels[None, :]
    if same.all():
        raise ValueError("a batch needs images of two classes")
    positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=D.device)
    a, p = torch.nonzero(positive, as_tuple=True)
    rows = D[a]
    negative = ~same[a]
    farther = negative & (rows > D[a, p][:, None])
    nearest_farther = rows.masked_fill(~farther, torch.inf).argmin(dim=1)
    farthest = rows.masked_fill(~negative, -torch.inf).argmax(dim=1)
    return a, p, torch.where(farther.any(dim=1), nearest_farther, farthest)
