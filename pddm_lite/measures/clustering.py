"""Clusters and whole rankings: NMI and F1 of Song et al. 2016, MAP@R of Musgrave et al. 2020."""

from __future__ import annotations

import warnings

import torch
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import normalized_mutual_info_score
from sklearn.metrics.cluster import pair_confusion_matrix
from torch import Tensor

from ..store.errors import UserError


def cluster_quality(features: Tensor, labels: Tensor, seed: int = 0) -> dict[str, float]:
    """How well k-means with as many clusters as classes finds the classes: NMI and F1, in [0, 1].

    Args:
        features: [N, d].
        labels: [N].
        seed: of k-means++, which starts once. All images take part in every step, of any number:
            mini-batches are quicker and leave NMI well below that.

    Returns:
        nmi: mutual information of clusters and classes over the mean of their entropies.
        f1: of "same cluster" as a guess of "same class", over all pairs of images.

    Raises:
        UserError: features that are not finite, or no class with two images.
    """
    _check(labels, features, "clusters")
    x, y = features.detach().float().cpu().numpy(), labels.cpu().numpy()
    k = len(labels.unique())
    means = KMeans(k, n_init=1, random_state=seed, max_iter=100)
    with warnings.catch_warnings():  # a collapsed embedding has fewer places than clusters
        warnings.simplefilter("ignore", ConvergenceWarning)
        clusters = means.fit_predict(x)
    # NMI = 2 I(clusters; classes) / (H(clusters) + H(classes))
    nmi = normalized_mutual_info_score(y, clusters, average_method="arithmetic")
    # F1 = 2 P R / (P + R) = 2 TP / (2 TP + FP + FN), counted in the contingency table
    (_, fp), (fn, tp) = pair_confusion_matrix(y, clusters).tolist()
    return {"nmi": float(nmi), "f1": 2 * tp / (2 * tp + fp + fn)}


def map_at_r(labels: Tensor, features: Tensor, chunk: int = 512) -> float:
    """Mean average precision at R in percent: how many of the R nearest are right, and how early.

    R is the number of other images of a query's class, so that a perfect ranking has 100. Every
    image queries all the others (itself left out by index), by Euclidean distance. Ties never help:
    of equally near images those of other classes come first, and features all at one place have 0
    where the other classes hold at least R images together.

    Args:
        labels: [N].
        features: [N, d].
        chunk: queries at a time.

    Returns:
        The mean over queries; those whose class has no other image are left out.

    Raises:
        UserError: features that are not finite, or no class with two images.
    """
    _check(labels, features, "MAP@R")
    _, of_class, counts = labels.unique(return_inverse=True, return_counts=True)
    R = counts[of_class] - 1
    j = torch.arange(1, int(R.max()) + 1, device=labels.device)
    squares, total = features.square().sum(1), 0.0
    for queries in torch.arange(len(labels), device=labels.device).split(chunk):
        S = (2 * features[queries] @ features.T).sub_(squares)  # -D^2 + a constant of the query
        S[torch.arange(len(S)), queries] = -torch.inf
        same = labels[queries][:, None] == labels[None, :]
        # only the R best of either kind can matter, and of those only their values
        positive = S.masked_fill(~same, -torch.inf).topk(len(j)).values
        negative = S.masked_fill_(same, -torch.inf).topk(len(j)).values
        del S, same  # gigabytes matter at 60,000 images: gone before the next rows come
        # rank of the j-th positive = j + the negatives at least as similar
        rank = j + torch.searchsorted(-negative, -positive, right=True)
        # AP = 1/R sum_{i <= R} P(i) rel(i), and P(i) = j / i at the j-th positive, of rank i
        r = R[queries, None]
        hit = (rank <= r) & (j <= r)
        total += ((hit * j / rank).sum(1, dtype=torch.float64) / r[:, 0].clamp(min=1)).sum().item()
    return 100 * total / int((R > 0).sum())


def _check(labels: Tensor, features: Tensor, what: str) -> None:
    if not torch.isfinite(features).all():
        raise UserError(f"{what}: some features are not finite.")
    if len(labels.unique()) == len(labels):
        raise UserError(f"{what}: a class with at least two images is needed; there is none.")
