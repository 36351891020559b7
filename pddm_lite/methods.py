"""The rows of Table 1 as data: what draws a batch, what turns it into a loss (of PDDM's rows the
whole loss of Eq. 4), and what ranks.

A new row is one function of a batch and one entry of METHODS.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from . import losses
from .mining import hard_quadruplets, random_negatives
from .pddm import SIMILARITIES, Similarity
from .store.errors import unknown


class Objective(NamedTuple):
    """A batch's loss and what the collapse watch and the history want to know of it."""

    loss: Tensor
    E_m: Tensor  # metric loss (Eq. 3); 0 where the similarity is not learned
    E_e: Tensor  # embedding loss (Eq. 4), or the whole of a rival's loss
    score_range: float  # high - low of S over the mined graph; nan without mining


# ---------------------------------------------------- losses: (f, labels, similarity, experiment)


def _rival(loss: Tensor) -> Objective:
    return Objective(loss, loss.new_zeros(()), loss, math.nan)


def softmax(f: Tensor, labels: Tensor, similarity: Similarity, e) -> Objective:
    return _rival(similarity.loss(f, labels))


def contrastive(f: Tensor, labels: Tensor, similarity: Similarity, e) -> Objective:
    return _rival(losses.contrastive(f, labels, e.contrastive_margin))


def contrastive_pairs(f: Tensor, labels: Tensor, similarity: Similarity, e) -> Objective:
    return _rival(losses.contrastive_pairs(f, labels, e.contrastive_pairs_margin))


def triplet(f: Tensor, labels: Tensor, similarity: Similarity, e) -> Objective:
    return _rival(losses.triplet(f, labels, e.triplet_margin))


def given_triplets(f: Tensor, labels: Tensor, similarity: Similarity, e) -> Objective:
    return _rival(losses.given_triplets(f, e.given_triplets_margin))


def lifted(f: Tensor, labels: Tensor, similarity: Similarity, e) -> Objective:
    return _rival(losses.lifted(f, labels, e.lifted_margin))


def quadruplet(f: Tensor, labels: Tensor, similarity: Similarity, e) -> Objective:
    """E_m + lambda E_e (Eq. 3, 4) of the batch's quadruplets; lambda E_e where nothing learns S."""
    training = similarity.training
    similarity.train(training and e.mine_with_dropout)
    mined = hard_quadruplets(f.detach(), labels, similarity, e.quadruplets, e.negatives)
    i, j, k, l, low, high = mined
    similarity.train(training)
    two = method(e.method).headers == 2
    # E_e (Eq. 4) = max(0, beta + D_ij - D_ik) + max(0, beta + D_ij - D_jl)
    D_ij, D_ik, D_jl = (losses.distance(f[a], f[b], e.squared) for a, b in ((i, j), (i, k), (j, l)))
    E_e = losses.double_header(-D_ij, -D_ik, -D_jl if two else None, e.beta)
    if not similarity.learned:
        return Objective(e.lam * E_e, f.new_zeros(()), E_e, (high - low).item())
    E_m = _metric_loss(f.detach() if e.detach_metric else f, labels, similarity, e, mined, two)
    return Objective(E_m + e.lam * E_e, E_m, E_e, (high - low).item())


def _metric_loss(f: Tensor, labels: Tensor, similarity: Similarity, e, mined, two: bool) -> Tensor:
    """E_m (Eq. 3) of mined quadruplets, or what stands in its place (e.metric_loss)."""
    if e.metric_loss == "fisher":  # needs both distributions: all m (m - 1) / 2 pairs
        a, b = torch.triu_indices(len(labels), len(labels), 1, device=f.device)
        return losses.fisher(similarity.pairs(f, a, b), labels[a] == labels[b])
    i, j, k, l, low, high = mined
    far = [(i, k), (j, l)]
    if e.random_negative_weight:  # random negatives beside the mined ones, for the score alone
        far += [(i, random_negatives(labels, i)), (j, random_negatives(labels, j))]
    ends_a, ends_b = zip((i, j), *far, strict=True)
    S = similarity.pairs(f, torch.cat(ends_a), torch.cat(ends_b))
    if e.metric_loss == "hinge":
        if e.scale_scores:
            S = losses.scale(S, low, high, e.range_floor)
        kind, header = e.alpha, losses.double_header
    else:
        kind, header = e.metric_loss, losses.pointwise
    S_ij, S_ik, S_jl, *S_random = S.split(len(i))
    # E_m (Eq. 3) = max(0, alpha + S_ik - S_ij) + max(0, alpha + S_jl - S_ij)
    E_m = header(S_ij, S_ik, S_jl if two else None, kind)
    if w := e.random_negative_weight:
        E_m = (E_m + w * header(S_ij, S_random[0], S_random[1] if two else None, kind)) / (1 + w)
    return E_m


def _quadruplet_plateau(e) -> float:
    m = method(e.method)
    learned = m.similarity != "euclidean"
    if learned and e.metric_loss != "hinge":
        return math.nan
    return m.headers * (e.alpha * learned + e.lam * e.beta)


@dataclass(frozen=True)
class Loss:
    """What is minimised.

    version: raised when the loss's numbers change: a run is named by it. tests/test_golden.py says
        when that is.
    plateau: the loss of a collapsed run, all scores equal and all features equal: its hinges then
        stand at their margins (2 alpha + 2 lambda beta for quadruplets: 2 at the paper's values, 1
        for Euclidean mining). nan where there is none: LiftedStruct's depends on the batch.
    """

    value: Callable[[Tensor, Tensor, Similarity, object], Objective]
    version: int = 1
    plateau: Callable[[object], float] = lambda e: math.nan


@dataclass(frozen=True)
class Method:
    """One row of a table: what draws a batch, what is minimised, what mines, and what ranks."""

    loss: str  # a key of LOSSES; "quadruplet" is E_m + lambda E_e
    similarity: str  # what mines; a learned one is also what E_m teaches. A key of SIMILARITIES
    rank: str  # at test time: "distance" (Euclidean, on the features) or "score" (the similarity)
    source: str
    headers: int = 2  # 2: quadruplet (i, j, k, l); 1: triplet (i, j, k) of the same mining
    free: float = 0.0  # 0: f on the unit sphere; else f is free, at this multiple of the head
    batch: str = "classes"  # or what is drawn at random and not mined, see data.sampler.BATCHES

    @property
    def training(self) -> tuple:
        """What is trained, whatever ranks afterwards: rows that agree here share their runs."""
        version = LOSSES[self.loss].version
        return (self.loss, version, self.similarity, self.headers, self.free, self.batch)


LOSSES = {
    "softmax": Loss(softmax),
    "contrastive": Loss(contrastive, plateau=lambda e: e.contrastive_margin**2),
    "contrastive pairs": Loss(contrastive_pairs),
    "triplet": Loss(triplet, plateau=lambda e: e.triplet_margin),
    "given triplets": Loss(given_triplets, plateau=lambda e: e.given_triplets_margin),
    "lifted": Loss(lifted),
    "quadruplet": Loss(quadruplet, plateau=_quadruplet_plateau),
}
SONG = "Song et al. 2016"
METHODS = {
    "Softmax": Method("softmax", "euclidean", "distance", "Zhai, Wu 2019, normalised softmax"),
    "Contrastive": Method("contrastive", "euclidean", "distance", "Hadsell et al. 2006"),
    "Triplet": Method("triplet", "euclidean", "distance", "Schroff et al. 2015, semi-hard"),
    "LiftedStruct": Method("lifted", "euclidean", "distance", SONG, free=15.0),
    # the paper's rows were copied from Song et al., whose pairs and triplets were not mined
    "Contrastive (random pairs)": Method(
        "contrastive pairs", "euclidean", "distance", f"{SONG}, Eq. 1", batch="pairs"
    ),
    "Triplet (random)": Method(
        "given triplets", "euclidean", "distance", f"{SONG}, Eq. 2", batch="triplets"
    ),
    "LiftedStruct (random pairs)": Method(
        "lifted", "euclidean", "distance", f"{SONG}, Eq. 4", free=15.0, batch="positive pairs"
    ),
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

    classes: number of classes trained on; only the softmax loss needs it, for its classifier.
    """
    if method(e.method).loss == "softmax":
        return losses.Classifier(e.embedding_size, classes)
    kind = method(e.method).similarity
    if kind in ("pddm", "lmdm"):
        return SIMILARITIES[kind](e.embedding_size, dropout=e.dropout, zero_bias=e.zero_bias)
    return SIMILARITIES[kind](*([e.embedding_size] if kind == "mahalanobis" else []))


def plateau(e) -> float:
    """The loss of a collapsed run of experiment `e`, see Loss; nan where it has none."""
    return LOSSES[method(e.method).loss].plateau(e)


def objective(f: Tensor, labels: Tensor, similarity: Similarity, e) -> Objective:
    """The loss of one batch under experiment `e` (see experiments.Experiment for the settings)."""
    return LOSSES[method(e.method).loss].value(f, labels, similarity, e)
