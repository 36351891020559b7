"""Nearest class mean (NCM) and nearest neighbours for thousands of classes, in bounded memory.

    mu_c = 1/n_c sum_{y_i = c} f_i          c*(f) = argmin_c ||f - mu_c||

T. Mensink, J. Verbeek, F. Perronnin and G. Csurka, "Distance-based image classification:
generalizing to new classes at near-zero cost", TPAMI 2013: the paper's [21], and its classifier in
the transfer half of Table 2 (Sec. 4.2). A new class costs one mean, no retraining.

Features are anything that has shape [N, d] and gives rows for a slice or an array of indices: a
tensor, an array, a file mapped into memory, or shards.Shards. They are read tile by tile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


class ClassMeans:
    """Means of the features of each class, from batches: float64 sums [classes, d] and counts.

    Streamed, in shards that are merged, or all at once: the same means up to float64 rounding.
    Memory: 8 * classes * d bytes, and one batch.

    Args:
        classes: number of classes.
        d: length of a feature.
        names: of the classes, for messages; their numbers where there are none.
    """

    def __init__(self, classes: int, d: int, names: Sequence[str] = ()):
        self.sums = torch.zeros(classes, d, dtype=torch.float64)
        self.counts = torch.zeros(classes, dtype=torch.int64)
        self.names = tuple(names)

    def update(self, features: Tensor | np.ndarray, labels: Tensor | np.ndarray) -> ClassMeans:
        """Add a batch: features [B, d], labels [B] in 0..classes-1. Returns self.

        Raises:
            UserError: features of another length, not finite, or not one label each; a label that
                is no class.
        """
        classes, d = self.sums.shape
        y = torch.as_tensor(labels).long().cpu()
        if len(features.shape) != 2 or features.shape[1] != d:
            raise UserError(f"class means: features have shape {_shape(features)}, not [B, {d}].")
        if len(y) != len(features):
            raise UserError(f"class means: {len(features)} features, but {len(y)} labels.")
        if len(y) and not (0 <= int(y.min()) and int(y.max()) < classes):
            raise UserError(
                f"class means: labels from {int(y.min())} to {int(y.max())}, "
                f"but the classes are 0 to {classes - 1}."
            )
        self.sums.index_add_(0, y, tile(features, slice(None), self.sums.device, torch.float64))
        self.counts += torch.bincount(y, minlength=classes)
        return self

    def merge(self, other: ClassMeans) -> ClassMeans:
        """Add what another process has summed of the same classes. Returns self."""
        if other.sums.shape != self.sums.shape:
            shapes = f"{_shape(other.sums)} cannot be merged into {_shape(self.sums)}"
            raise UserError(f"class means of shape {shapes}.")
        self.sums += other.sums
        self.counts += other.counts
        return self

    @property
    def means(self) -> Tensor:
        """mu [classes, d], float32.

        Raises:
            UserError: a class without an image.
        """
        empty = torch.nonzero(self.counts == 0)[:, 0].tolist()
        if empty:
            raise UserError(
                f"class means: {len(empty)} of {len(self.counts)} classes have no image: "
                f"{some([self.names[c] if self.names else c for c in empty])}."
            )
        means = torch.empty(self.sums.shape)
        for a in range(0, len(means), CHUNK):  # no second array of doubles
            rows = slice(a, a + CHUNK)
            means[rows] = self.sums[rows] / self.counts[rows, None]
        return means


def class_means(features, labels: np.ndarray, classes: int, chunk: int = CHUNK) -> Tensor:
    """mu [classes, d] of features [N, d] and labels [N], read `chunk` rows at a time."""
    total = ClassMeans(classes, features.shape[1])
    for a in range(0, len(labels), chunk):
        rows = slice(a, min(a + chunk, len(labels)))
        total.update(tile(features, rows), labels[rows])
    return total.means


def some(values: Sequence, most: int = 5) -> str:
    """The first few of `values`, for a message."""
    listed = ", ".join(str(v) for v in list(values)[:most])
    return listed + (f" and {len(values) - most} more" if len(values) > most else "")


def _shape(x) -> str:
    return "[" + ", ".join(str(n) for n in x.shape) + "]"


class TopK(NamedTuple):
    """The k best of each query, best first: scores [n, k], larger is better, and index [n, k]."""

    scores: Tensor
    index: Tensor


def search(
    x, weights, k: int, bias: Tensor | None = None, chunk: int = CHUNK, device=None
) -> Iterator[tuple[slice, Tensor, TopK]]:
    """The k largest s_c = w_c . f + b_c of each query f, tile by tile.

    With b_c = -||w_c||^2 / 2 (`bias` None) the largest s_c is the nearest w_c, since
    ||f - w_c||^2 = ||f||^2 - 2 s_c: one matrix product ranks by Euclidean distance.

    Args:
        x: queries [N, d].
        weights: [C, d]: class means, training features or a linear classifier.
        k: at most C.
        bias: b [C].
        chunk: queries at a time; the matrix [N, C] is never whole.
        device: where the products are made; that of `weights` if None.

    Yields:
        (rows of x, their features [B, d], TopK [B, k]). Of equal scores the lower c comes first;
        which of several that tie for the last place is listed is not fixed.
    """
    if x.shape[1] != weights.shape[1]:
        raise UserError(
            f"transfer: features of length {x.shape[1]}, but class means (or training features) "
            f"of length {weights.shape[1]}: they come from different networks."
        )
    if device is None and isinstance(weights, Tensor):
        device = weights.device
    if bias is not None and not torch.isfinite(bias).all():
        raise UserError("transfer: some biases are not finite.")
    n, C = x.shape[0], weights.shape[0]
    for a in range(0, n, chunk):
        rows = slice(a, min(a + chunk, n))
        f = tile(x, rows, device)
        best = TopK(f.new_empty(len(f), 0), torch.empty(len(f), 0, dtype=int, device=f.device))
        for first in range(0, C, COLUMNS):
            columns = slice(first, min(first + COLUMNS, C))
            w = tile(weights, columns, f.device)
            b = -_squares(w) / 2 if bias is None else bias[columns]
            s, at = torch.addmm(b, f, w.T).topk(min(k, len(w)))
            s, at = torch.cat([best.scores, s], 1), torch.cat([best.index, first + at], 1)
            by_number = at.argsort(1)  # then a stable sort by score: ties in order of number
            s, at = s.gather(1, by_number), at.gather(1, by_number)
            order = s.argsort(dim=1, descending=True, stable=True)[:, :k]
            best = TopK(s.gather(1, order), at.gather(1, order))
        yield rows, f, best


def ncm_topk(features, means: Tensor, k: int, chunk: int = CHUNK) -> TopK:
    """The k nearest class means of each feature, nearest first.

    Args:
        features: [N, d].
        means: [C, d]; on their device the work is done.
        k: 1..C.
        chunk: features at a time.

    Returns:
        TopK: scores [N, k] are -||f - mu||, float32 to the rounding of ||f||^2; index [N, k] the
        classes.

    Raises:
        UserError: k beyond the classes; features of another length than the means, or not finite.
    """
    _check_k(k, len(means))
    parts = []
    for _, f, best in search(features, means, k, chunk=chunk):
        D = (_squares(f)[:, None] - 2 * best.scores).clamp(min=0).sqrt()
        parts.append(TopK(-D, best.index))
    return TopK(*(torch.cat(p) for p in zip(*parts, strict=True)))


def _check_k(k: int, classes: int) -> None:
    if not 1 <= k <= classes:
        raise UserError(
            f"transfer: top-{k} is not defined for {classes} classes; use 1..{classes}."
        )


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
        UserError: as ncm_topk; no image.
    """
    for k in ks:
        _check_k(k, len(weights))
    if len(labels) == 0:
        raise UserError("transfer: no image to classify.")
    y, hits = torch.as_tensor(labels).long(), dict.fromkeys(ks, 0)
    most = min(max(ks) + 1, len(weights))  # with one more than k, ties for the k-th place show
    for rows, _, best in search(features, weights, most, bias, chunk):
        own = best.index == y[rows].to(best.index.device)[:, None]
        s = best.scores.masked_fill(~own, -torch.inf).amax(1, keepdim=True)
        rank = 1 + ((best.scores >= s) & ~own).sum(1)  # not listed: most + 1, beyond every k
        for k in ks:
            hits[k] += int((rank <= k).sum())
    return {k: 100 * n / len(y) for k, n in hits.items()}


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
        UserError: k beyond the gallery; features of another length, or not finite.
    """
    if not 1 <= k <= gallery.shape[0]:
        raise UserError(f"transfer: {k} neighbours among {gallery.shape[0]} images; use fewer.")
    y, found = torch.as_tensor(labels).long(), []
    for _, _, best in search(features, gallery, k, chunk=chunk, device=device):
        near = y.to(best.index.device)[best.index]  # classes of the neighbours, nearest first
        votes = (near[:, :, None] == near[:, None, :]).sum(2)
        found.append(near.gather(1, votes.argmax(1, keepdim=True))[:, 0])  # the first of the most
    return torch.cat(found)
