"""How well a similarity tells positive from negative pairs (Fig. 1b): overlap, AUC, EER."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_curve
from torch import Tensor

from ..store.errors import UserError


def pair_scores(
    S: Tensor, labels: Tensor, part: Tensor | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of all unordered pairs of S [N, N], split by labels [N]: positives, negatives.

    part: [N] which set of a mix each is of; pairs across sets are left out.
    """
    a, b = torch.triu_indices(len(labels), len(labels), 1, device=S.device)
    if part is not None:
        within = part[a] == part[b]
        a, b = a[within], b[within]
    s, same = S[a, b], labels[a] == labels[b]
    return s[same].cpu().numpy(), s[~same].cpu().numpy()


def separation(positive: np.ndarray, negative: np.ndarray) -> dict[str, float]:
    """Overlap, AUC and equal-error rate of two samples of scores, each in [0, 1].

    auc: chance that a positive pair scores above a negative one, ties counting half.
    eer: error rate at the threshold where as many positives are rejected as negatives accepted.
    overlap: area shared by the two densities, in 100 bins that each hold as much of the balanced
    mixture of the two. As the others it does not change under a monotone transform of the scores,
    so that distances and scores can be compared. Small samples overlap less by chance alone:
    compare overlaps of equally many pairs.

    Raises:
        UserError: an empty sample or one with NaN.
    """
    if len(positive) == 0 or len(negative) == 0:
        raise UserError("separation needs both positive and negative pairs.")
    s = np.concatenate([positive, negative]).astype(np.float64)
    if not np.isfinite(s).all():
        raise UserError("separation: some scores are not finite.")
    y = np.r_[np.ones(len(positive), bool), np.zeros(len(negative), bool)]
    fpr, tpr, _ = roc_curve(y, s, drop_intermediate=False)
    auc = float(np.trapezoid(tpr, fpr))
    # where the miss rate 1 - tpr, falling, crosses the false accept rate fpr, rising
    at = int(np.argmax(fpr >= 1 - tpr))
    d0, d1 = (fpr[k] - (1 - tpr[k]) for k in (max(at - 1, 0), at))
    w = 0.0 if d1 == d0 else -d0 / (d1 - d0)
    eer = float(fpr[max(at - 1, 0)] + w * (fpr[at] - fpr[max(at - 1, 0)]))
    # the ROC gives both distribution functions; cut where their mean passes k / 100
    mixture = (fpr + tpr) / 2
    cuts = np.searchsorted(mixture, np.linspace(0, 1, 101), side="left").clip(max=len(fpr) - 1)
    overlap = float(np.minimum(np.diff(fpr[cuts]), np.diff(tpr[cuts])).sum())
    return {"auc": auc, "eer": eer, "overlap": overlap}


def histogram(positive: np.ndarray, negative: np.ndarray, bins: int = 80) -> pd.DataFrame:
    """Both samples in common bins over the central 99.8 % of each: left, right, positive, negative.

    The last two columns are shares of all pairs of their kind; a rest may lie outside the bins.
    """
    low = min(np.quantile(positive, 0.001), np.quantile(negative, 0.001))
    high = max(np.quantile(positive, 0.999), np.quantile(negative, 0.999))
    if high <= low:
        high = low + 1e-6
    edges = np.linspace(low, high, bins + 1)
    shares = [np.histogram(x, edges)[0] / len(x) for x in (positive, negative)]
    return pd.DataFrame(
        {"left": edges[:-1], "right": edges[1:], "positive": shares[0], "negative": shares[1]}
    )


# numbers that a run keeps a ranking and kind of pair: with many classes, bins are fewer
CELLS = 10_000


def quantile_edges(positive: np.ndarray, negative: np.ndarray, classes: int) -> np.ndarray:
    """Inner edges of up to 100 bins that each hold as much of the balanced mixture of both samples.

    From evenly spaced members of each; of ties, which no edge parts, there are fewer bins.
    """
    bins = int(np.clip(CELLS // classes, 20, 100))
    samples = [np.sort(x)[:: max(1, len(x) // 100_000)] for x in (positive, negative)]
    s = np.concatenate(samples)
    weight = np.concatenate([np.full(len(x), 1 / len(x)) for x in samples])
    order = np.argsort(s)
    share = np.cumsum(weight[order]) / 2
    at = np.searchsorted(share, np.arange(1, bins) / bins).clip(max=len(s) - 1)
    return np.unique(s[order][at])


def class_counts(
    S: Tensor,
    place: Tensor,
    classes: int,
    edges: np.ndarray,
    part: Tensor | None = None,
) -> dict[str, np.ndarray]:
    """Pairs of S [N, N], symmetric, a class and a bin: "positive" and "negative" [C, B] counts.

    Each pair counts twice, once from each end, in that end's class.
    place: [N], class of each image from 0 to C - 1.  edges: [B - 1], rising; a score that equals an
    edge lies below it.  part: as for `pair_scores`.
    """
    bins = len(edges) + 1
    inner, total = torch.from_numpy(edges).to(S), 0
    for rows in torch.arange(len(S), device=S.device).split(512):
        cell = torch.bucketize(S[rows].contiguous(), inner)
        same = place[rows, None] == place[None, :]
        cell += bins * (2 * place[rows, None] + same)
        cell[torch.arange(len(rows)), rows] = 2 * bins * classes  # an image with itself: no pair
        if part is not None:
            cell[part[rows, None] != part[None, :]] = 2 * bins * classes
        total = total + torch.bincount(cell.flatten(), minlength=2 * bins * classes + 1)
    negative, positive = total[:-1].view(classes, 2, bins).cpu().numpy().swapaxes(0, 1)
    return {"positive": positive, "negative": negative}
