"""The rows of Table 1 as data, and the one function that turns a batch into a loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from . import losses
from .errors import unknown
from .mining import hard_quadruplets, random_negatives
from .pddm import SIMILARITIES, Similarity


@dataclass(frozen=True)
class Method:
    """One row of a table: what is minimised, what mines, and what ranks at test time."""

    loss: str  # "softmax", "contrastive", "triplet", "lifted", or "quadruplet": E_m + lambda E_e
    similarity: str  # what mines; a learned one is also what E_m teaches. A key of SIMILARITIES
    rank: str  # at test time: "distance" (Euclidean, on the features) or "score" (the similarity)
    source: str
    headers: int = 2  # 2: quadruplet (i, j, k, l); 1: triplet (i, j, k) of the same mining
    free: float = 0.0  # 0: f on the unit sphere; else f is free, at this multiple of the head

    @property
    def training(self) -> tuple[str, str, int, float]:
        """What is trained, whatever ranks afterwards: rows that agree here share their runs."""
        return (self.loss, self.similarity, self.headers, self.free)


METHODS = {
    "Softmax": Method("softmax", "euclidean", "distance", "Zhai, Wu 2019, normalised softmax"),
    "Contrastive": Method("contrastive", "euclidean", "distance", "Hadsell et al. 2006"),
    "Triplet": Method("triplet", "euclidean", "distance", "Schroff et al. 2015, semi-hard"),
    "LiftedStruct": Method("lifted", "euclidean", "distance", "Song et al. 2016", free=15.0),
    "Euclidean+Quadruplet": Method("quadruplet", "euclidean", "distance", "the paper, Fig. 4"),
    "Mahalanobis score": Method("quadruplet", "mahalanobis", "score", "the paper, Sec. 1"),
    "LMDM score": Method("quadruplet", "lmdm", "score", "the paper, Table 1"),
    "PDDM score": Method("quadruplet", "pddm", "score", "the paper, Table 1"),
    "PDDM+Triplet": Method("quadruplet", "pddm", "distance", "the paper, Table 1", headers=1),
    "PDDM+Quadruplet": Method("quadruplet", "pddm", "distance", "the paper, Table 1"),
}


def method(name: str) -> Method:
    """The method of that name; UserError with the nearest known name where there is none."""
    if name not in METHODS:
        raise unknown("method", name, METHODS)
    return METHODS[name]


def build_similarity(e, classes: int = 0) -> Similarity:
    """The similarity an experiment trains, with fresh weights from torch's global generator.

    classes: number of training classes; only the softmax loss needs it, for its classifier.
    """
    if method(e.method).loss == "softmax":
        return losses.Classifier(e.dim, classes)
    kind = method(e.method).similarity
    if kind in ("pddm", "lmdm"):
        return SIMILARITIES[kind](e.dim, dropout=e.dropout, zero_bias=e.zero_bias)
    return SIMILARITIES[kind](e.dim) if kind == "mahalanobis" else SIMILARITIES[kind]()


class Objective(NamedTuple):
    """A batch's loss and what the collapse watch and the history want to know of it."""

    loss: Tensor
    E_m: Tensor  # metric loss (Eq. 3); 0 where the similarity is not learned
    E_e: Tensor  # embedding loss (Eq. 4), or the whole of a rival's loss
    score_range: float  # high - low of S over the mined graph; nan without mining


def plateau(e) -> float:
    """The loss of a collapsed run: all scores equal and all features equal.

    The quadruplet's hinges then stand at their margins: 2 alpha + 2 lambda beta (2 at the paper's
    values, 1 for Euclidean mining). LiftedStruct's depends on the batch, and other losses than the
    hinge, softmax among them, have none: nan.
    """
    m = method(e.method)
    if m.loss == "quadruplet":
        learned = m.similarity != "euclidean"
        if learned and e.metric_loss != "hinge":
            return float("nan")
        return m.headers * (e.alpha * learned + e.lam * e.beta)
    return {"triplet": e.triplet_margin, "contrastive": e.contrastive_margin**2}.get(
        m.loss, float("nan")
    )


def objective(f: Tensor, labels: Tensor, similarity: Similarity, e) -> Objective:
    """The loss of one batch under experiment `e` (see experiments.Experiment for the settings)."""
    m = method(e.method)
    zero = f.new_zeros(())
    if m.loss == "softmax":
        loss = similarity.loss(f, labels)
        return Objective(loss, zero, loss, float("nan"))
    if m.loss == "contrastive":
        loss = losses.contrastive(f, labels, e.contrastive_margin)
        return Objective(loss, zero, loss, float("nan"))
    if m.loss == "triplet":
        loss = losses.triplet(f, labels, e.triplet_margin)
        return Objective(loss, zero, loss, float("nan"))
    if m.loss == "lifted":
        loss = losses.lifted(f, labels, e.lifted_margin)
        return Objective(loss, zero, loss, float("nan"))

    training = similarity.training
    similarity.train(training and e.mine_with_dropout)
    both = e.negatives == "semihard"
    i, j, k, l, low, high = hard_quadruplets(
        f.detach(), labels, similarity, e.quadruplets, e.negatives if both else "hardest", e.positives
    )
    ke, le = k, l
    if e.negatives == "semihard E_e":
        _, _, ke, le, _, _ = hard_quadruplets(
            f.detach(), labels, similarity, e.quadruplets, "semihard", e.positives
        )
    similarity.train(training)
    two = m.headers == 2
    # E_e (Eq. 4) = max(0, beta + D_ij - D_ik) + max(0, beta + D_ij - D_jl)
    D_ij, D_ik, D_jl = (losses.distance(f[a], f[b], e.squared) for a, b in ((i, j), (i, ke), (j, le)))
    E_e = losses.double_header(-D_ij, -D_ik, -D_jl if two else None, e.beta)
    if not similarity.learned:
        return Objective(e.lam * E_e, zero, E_e, (high - low).item())

    g = f.detach() if e.detach_metric else f
    if e.metric_loss == "fisher":  # needs both distributions: all m (m - 1) / 2 pairs
        a, b = torch.triu_indices(len(labels), len(labels), 1, device=f.device)
        E_m = losses.fisher(similarity.pairs(g, a, b), labels[a] == labels[b])
        return Objective(E_m + e.lam * E_e, E_m, E_e, (high - low).item())
    far = [(i, k), (j, l)]
    if e.easy:  # random negatives beside the hardest ones, for the score alone
        far += [(i, random_negatives(labels, i)), (j, random_negatives(labels, j))]
    ends_a, ends_b = zip((i, j), *far, strict=True)
    S = similarity.pairs(g, torch.cat(ends_a), torch.cat(ends_b))
    if e.metric_loss == "hinge":
        if e.scale_scores:
            S = losses.scale(S, low, high, e.range_floor)
        kind, header = e.alpha, losses.double_header
    else:
        kind, header = e.metric_loss, losses.pointwise
    S_ij, S_ik, S_jl, *S_easy = S.split(len(i))
    # E_m (Eq. 3) = max(0, alpha + S_ik - S_ij) + max(0, alpha + S_jl - S_ij)
    E_m = header(S_ij, S_ik, S_jl if two else None, kind)
    if e.easy:
        easy = header(S_ij, S_easy[0], S_easy[1] if two else None, kind)
        E_m = (E_m + e.easy * easy) / (1 + e.easy)
    return Objective(E_m + e.lam * E_e, E_m, E_e, (high - low).item())
