"""Nearest class mean (NCM) and nearest neighbours for thousands of classes, in bounded memory.

    mu_c = 1/n_c sum_{y_i = c} f_i          c*(f) = argmin_c ||f - mu_c||

T. Mensink, J. Verbeek, F. Perronnin and G. Csurka, "Distance-based image classification:
generalizing to new classes at near-zero cost", TPAMI 2013: the paper's [21], and its classifier in
the transfer half of Table 2 (Sec. 4). A new class costs one mean, no retraining.

Features are anything that has shape [N, d] and gives rows for a slice or an array of indices: a
tensor, an array, or a file mapped into memory. They are read tile by tile.

scikit-learn's NearestCentroid and KNeighborsClassifier know neither top-k nor ties that never help,
and hold the whole matrix of distances or take one core: hence our own, on torch's index_add_ and
topk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..store.errors import UserError

CHUNK = 1024  # queries at a time
COLUMNS = 16384  # classes at a time: with CHUNK, a tile of scores has at most 64 MB


class Rows:
    """The rows `index` of features x, read only when a tile of them is asked for.

    Args:
        x: features [N, d].
        index: [n] int64, in the order wanted.
        metric: W [r, d], to read W f instead of f; None for the features as they are.
    """

    def __init__(self, x, index: np.ndarray, metric: Tensor | None = None):
        self.x, self.index, self.metric = x, np.asarray(index), metric
        self.shape = (len(self.index), x.shape[1] if metric is None else len(metric))

    def __getitem__(self, rows) -> Tensor:
        f = tile(self.x, self.index[rows])
        if self.metric is None:
            return f
        return f.to(self.metric.device) @ self.metric.T


def tile(x, rows, device=None, dtype: torch.dtype = torch.float32) -> Tensor:
    """Rows of features x as a tensor [n, d] of `dtype`, on `device` (where they lie if None).

    Raises:
        UserError: features that are not finite.
    """
    f = torch.as_tensor(x[rows] if isinstance(x, Tensor | Rows) else np.array(x[rows]))
    f = f.detach().to(device, dtype)
    if not torch.isfinite(_squares(f)).all():
        raise UserError("transfer: some features are not finite.")
    return f


def _squares(f: Tensor) -> Tensor:
    """||f||^2 of each row, without a copy of f."""
    return torch.einsum("nd,nd->n", f, f)


def class_means(
    features,
    labels: np.ndarray,
    classes: int,
    names: Sequence[str] = (),
    chunk: int = CHUNK,
) -> Tensor:
    """mu [classes, d] of features [N, d] and labels [N] in 0..classes-1, `chunk` rows at a time.

    Summed in float64, given in float32 on the CPU. Memory: 8 * classes * d bytes, and one chunk.

    Args:
        names: of the classes, for messages; their numbers where there are none.

    Raises:
        UserError: a class without an image; features that are not finite.
    """
    sums = torch.zeros(classes, features.shape[1], dtype=torch.float64)
    y = torch.as_tensor(labels).long().cpu()
    for rows in map(slice, range(0, len(y), chunk), range(chunk, len(y) + chunk, chunk)):
        sums.index_add_(0, y[rows], tile(features, rows, sums.device, torch.float64))
    counts = torch.bincount(y, minlength=classes)
    if empty := torch.nonzero(counts == 0)[:, 0].tolist():
        raise UserError(
            f"class means: {len(empty)} of {classes} classes have no image: "
            f"{some([names[c] if names else c for c in empty])}."
        )
    return sums.div_(counts[:, None]).float()


def some(values: Sequence) -> str:
    """The first few of `values`, for a message."""
    listed = ", ".join(str(v) for v in list(values)[:5])
    return listed + (f" and {len(values) - 5} more" if len(values) > 5 else "")


class TopK(NamedTuple):
    """The k best of each query, best first: scores [n, k], larger is better, and index [n, k]."""

    scores: Tensor
    index: Tensor


def search(x, weights, k: int, bias: Tensor | None = None, chunk: int = CHUNK, device=None) -> TopK:
    """The k largest s_c = w_c . f + b_c of each query f, tile by tile.

    With b_c = -||w_c||^2 / 2 (`bias` None) the largest s_c is the nearest w_c, since
    ||f - w_c||^2 = ||f||^2 - 2 s_c: one matrix product ranks by Euclidean distance.

    Args:
        x: queries [N, d], at least one.
        weights: [C, d]: class means, training features or a linear classifier.
        k: 1..C.
        bias: b [C].
        chunk: queries at a time; the matrix [N, C] is never whole.
        device: where the products are made; that of `weights` if None.

    Returns:
        TopK [N, k]. Of equal scores the lower c comes first; which of several that tie for the last
        place is listed is not fixed.

    Raises:
        UserError: features, weights or a bias that are not finite.
    """
    n, C = x.shape[0], weights.shape[0]
    if bias is not None and not torch.isfinite(bias).all():
        raise UserError("transfer: some biases are not finite.")
    if device is None and isinstance(weights, Tensor):
        device = weights.device
    parts = []
    for a in range(0, n, chunk):
        f, found = tile(x, slice(a, a + chunk), device), []
        for first in range(0, C, COLUMNS):
            columns = slice(first, first + COLUMNS)
            w = tile(weights, columns, f.device)
            b = -_squares(w) / 2 if bias is None else bias[columns]
            s, at = torch.addmm(b, f, w.T).topk(min(k, len(w)))
            found.append((s, first + at))
        s, at = (torch.cat(t, 1) for t in zip(*found, strict=True))
        by_number = at.argsort(1)  # then a stable sort by score: ties in order of number
        s, at = s.gather(1, by_number), at.gather(1, by_number)
        order = s.argsort(dim=1, descending=True, stable=True)[:, :k]
        parts.append((s.gather(1, order), at.gather(1, order)))
    return TopK(*(torch.cat(t) for t in zip(*parts, strict=True)))


def accuracy(
    features,
    labels: np.ndarray,
    weights: Tensor,
    bias: Tensor | None = None,
    ks: Sequence[int] = (1, 5),
    chunk: int = CHUNK,
) -> dict[int, float]:
    """Flat top-k accuracies in percent over all classes: of NCM, or of a linear classifier.

    A hit is an image whose own class is among its k best. Ties never help: a class that is as good
    as the image's own counts as ranked before it, so that a constant feature has accuracy 0.

    Args:
        features: [N, d].
        labels: [N] in 0..C-1.
        weights: class means [C, d], or the classifier's weights if `bias` [C] is given.
        ks: each in 1..C.

    Returns:
        k -> percent of the N images.

    Raises:
        UserError: as search.
    """
    # with one more than k, ties for the k-th place show
    most = max(ks) + (max(ks) < len(weights))
    scores, index = search(features, weights, most, bias, chunk)
    own = index == torch.as_tensor(labels).long().to(index.device)[:, None]
    s = scores.masked_fill(~own, -torch.inf).amax(1, keepdim=True)
    rank = 1 + ((scores >= s) & ~own).sum(1)  # not listed: most + 1, beyond every k
    return {k: 100 * int((rank <= k).sum()) / len(rank) for k in ks}


def knn(
    features, gallery, labels: np.ndarray, k: int = 5, chunk: int = CHUNK, device=None
) -> Tensor:
    """Class [N] of each feature by the vote of its k nearest training features.

    Of classes with as many votes, that of the nearest neighbour wins.

    Args:
        features: [N, d].
        gallery: training features [M, d], read in tiles, again for each `chunk` of features.
        labels: [M] of the gallery.
        k: 1..M.
        device: where the tiles are compared; that of `gallery` if None.

    Raises:
        UserError: as search.
    """
    index = search(features, gallery, k, chunk=chunk, device=device).index
    near = torch.as_tensor(labels).long().to(index.device)[index]  # classes, nearest first
    votes = (near[:, :, None] == near[:, None, :]).sum(2)
    return near.gather(1, votes.argmax(1, keepdim=True))[:, 0]  # the first of the most
