"""All that is measured of a finished run's features and scores."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..pddm import Euclidean, Similarity
from . import allpairs
from .clustering import cluster_quality, map_at_r
from .retrieval import KS, ranks_by_distance, ranks_by_score, recall_of_ranks, within
from .scores import class_counts, histogram, pair_scores, quantile_edges, separation

MANY = 10_000  # images whose pairs, 50 million, are enough for a distribution, and all that fits


def evaluate_fully(
    f: Tensor, labels: Tensor, similarity: Similarity, part: Tensor | None = None
) -> tuple[dict, dict, dict]:
    """Recall@K, AUC, equal-error rate and overlap by distance and by score, and what they rest on.

    Returns three dicts. The first two are keyed by "distance" and, for a learned similarity,
    "score": of measures and of histogram tables. Distance is shown as S = -D. The third is what
    claims resample classes with (paper/judge.py): arrays with a row a class, classes as sorted
    labels. "images" [C]: queries that have another image of their class. And by RANKING as above:
    "RANKING_hits" [C]: those of them whose nearest other image is of their class (Recall@1);
    "RANKING_positive" and "RANKING_negative" [C, B]: scores.class_counts.

    part: [N] which set of a mix each image is of: neighbours and pairs are then those within a set,
    the sets' pairs pooled.
    """
    measures, tables, by_class = {}, {}, {}
    ks = [k for k in KS if k < len(labels)]
    some = torch.from_numpy(evenly(np.arange(len(labels)), MANY)).to(f.device)
    classes, place = labels.unique(return_inverse=True)
    by = {"distance": Euclidean()} | ({"score": similarity} if similarity.learned else {})
    for name, ranking in by.items():
        if name == "distance":
            ranks = within(part, labels, lambda own: ranks_by_distance(f[own], labels[own]))
            # plain distances for the picture; any monotone transform leaves the measures alone
            S = -(-ranking.all_pairs(f[some])).sqrt()
        elif len(some) == len(f):
            S = ranking.all_pairs(f)
            ranks = within(
                part, labels, lambda own, S=S: ranks_by_score(S[own][:, own], labels[own])
            )
        else:  # N x N would not fit
            S = ranking.all_pairs(f[some])
            ranks = within(
                part,
                labels,
                lambda own, s=ranking: allpairs.ranks_of_best_positive(s, f[own], labels[own]),
            )
        sets = None if part is None else part[some]
        positive, negative = pair_scores(S, labels[some], sets)
        measures[name] = {f"recall_{k}": v for k, v in recall_of_ranks(ranks, ks).items()}
        measures[name] |= separation(positive, negative)
        tables[name] = histogram(positive, negative)
        edges = quantile_edges(positive, negative, len(classes))
        counts = class_counts(S, place[some], len(classes), edges, part=sets)
        hits, asked = (
            torch.bincount(place[x], minlength=len(classes)) for x in (ranks == 1, ranks > 0)
        )
        by_class |= {"images": asked.cpu().numpy(), f"{name}_hits": hits.cpu().numpy()}
        by_class |= {f"{name}_{kind}": n for kind, n in counts.items()}
    return measures, tables, {k: v.astype(np.uint32) for k, v in by_class.items()}


def clusters(f: Tensor, labels: Tensor) -> dict[str, float]:
    """NMI and F1 of k-means (0 to 1) and MAP@R by distance (percent) of features f [N, d]."""
    return cluster_quality(f, labels) | {"map_at_r": map_at_r(labels, features=f)}


def evenly(idx: np.ndarray, most: int = 1500) -> np.ndarray:
    """At most `most` indices, evenly spaced."""
    return idx[np.linspace(0, len(idx) - 1, min(most, len(idx))).astype(int)]
