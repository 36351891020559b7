"""All that is measured of a finished run's features and scores."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .. import allpairs
from ..pddm import Euclidean, Similarity
from .clustering import cluster_quality, map_at_r
from .retrieval import KS, recall_at_k
from .scores import histogram, pair_scores, separation

MANY = 10_000  # images whose pairs, 50 million, are enough for a distribution, and all that fits


def evaluate_fully(f: Tensor, labels: Tensor, similarity: Similarity) -> tuple[dict, dict]:
    """Recall@K, AUC, equal-error rate and overlap by distance and by score, and their histograms.

    Returns two dicts keyed by "distance" and, for a learned similarity, "score": of measures and
    of histogram tables. Distance is shown as S = -D.
    """
    measures, tables = {}, {}
    ks = [k for k in KS if k < len(labels)]
    some = torch.from_numpy(evenly(np.arange(len(labels)), MANY)).to(f.device)
    by = {"distance": Euclidean()} | ({"score": similarity} if similarity.learned else {})
    for name, ranking in by.items():
        if name == "distance":
            recall = recall_at_k(labels, features=f, ks=ks)
            # plain distances for the picture; any monotone transform leaves the measures alone
            S = -(-ranking.all_pairs(f[some])).sqrt()
        elif len(some) == len(f):
            S = ranking.all_pairs(f)
            recall = recall_at_k(labels, scores=S, ks=ks)
        else:  # N x N would not fit
            S = ranking.all_pairs(f[some])
            recall = allpairs.recall_at_k(ranking, f, labels, ks=ks)
        positive, negative = pair_scores(S, labels[some])
        measures[name] = {f"recall_{k}": v for k, v in recall.items()}
        measures[name] |= separation(positive, negative)
        tables[name] = histogram(positive, negative)
    return measures, tables


def clusters(f: Tensor, labels: Tensor) -> dict[str, float]:
    """NMI and F1 of k-means (0 to 1) and MAP@R by distance (percent) of features f [N, d]."""
    return cluster_quality(f, labels) | {"map_at_r": map_at_r(labels, features=f)}


def evenly(idx: np.ndarray, most: int = 1500) -> np.ndarray:
    """At most `most` indices, evenly spaced."""
    return idx[np.linspace(0, len(idx) - 1, min(most, len(idx))).astype(int)]
