"""Zero-shot recognition through a hierarchy (Table 2, right): unseen classes from seen ones' means.

A node's mean is that of the seen (training) classes at or below it, each counted once:

    mu(v) = 1 / |T(v)| * sum over t in T(v) of mu(t)

An unseen class has no image, so it takes the mean of its ancestors' means (`relatives`), and an
image goes to the unseen class of the nearest mean, in the Euclidean distance.

Classes in the same place of the hierarchy get the same mean, and nothing can tell them apart. What
is reported is the mean over all orders of the tied, so that a score that says nothing is as good as
guessing; `tied` counts such classes, and `ceiling` is the most that they leave to reach.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ...store.errors import UserError
from .hierarchy import FAR, Hierarchy

KS = (1, 5)  # flat top-1 and top-5; the paper reports top-5
RULES = ("ancestors", "distinct")  # the first is that of [21], the source of the paper's protocol


@dataclass(frozen=True, eq=False)
class Task:
    """What zero-shot recognition may know: the hierarchy, and the images of the seen classes.

    hierarchy: is restricted to the classes here, so any larger one will do
    seen, unseen: class names, S and U of them, without one in common
    means:     float [S, d], the mean feature of each seen class
    features, labels: [M, d] and [M] in 0..S-1, training images; only some rivals need them

    Raises UserError on a class that the hierarchy lacks or has apart from the rest.
    """

    hierarchy: Hierarchy
    seen: tuple[str, ...]
    unseen: tuple[str, ...]
    means: Tensor
    features: Tensor | None = field(default=None, repr=False)
    labels: Tensor | None = field(default=None, repr=False)

    def __post_init__(self):
        object.__setattr__(self, "hierarchy", self.hierarchy.restricted(self.classes))

    @property
    def classes(self) -> tuple[str, ...]:
        """Seen, then unseen."""
        return (*self.seen, *self.unseen)


def relatives(task: Task, rule: str = "ancestors") -> Tensor:
    """Weights of the seen classes in each unseen class's mean: float64 [U, S], rows sum to 1.

        mu(u) = 1 / |A(u)| * sum over a in A(u) of mu(a),  A(u): u's ancestors with any seen class

    Args:
        rule: "ancestors" (Mensink et al.); "distinct" counts ancestors that have the same seen
            classes below them once, as a chain of nodes with one child each says the same again.
    """
    below = task.hierarchy.steps(task.seen) < FAR  # [V, S]; an inner node is its own ancestor
    above = task.hierarchy.steps(task.unseen).T < FAR  # [U, V]
    if rule == "distinct":
        below, which = np.unique(below, axis=0, return_inverse=True)
        above = above @ (which.reshape(-1, 1) == np.arange(len(below)))
    number = below.sum(axis=1)
    W = (above & (number > 0)) @ (below / np.maximum(number, 1)[:, None])
    return torch.from_numpy(W / W.sum(axis=1, keepdims=True))


# ------------------------------------------------------------------------------- recognition


@dataclass(frozen=True, eq=False)
class Scores:
    """How well each image fits each unseen class.

    values: float [N, U], larger is better
    ties:   int64 [U], classes of one number are the same to the method
    """

    values: Tensor
    ties: Tensor

    def levelled(self) -> Tensor:
        """The values with tied classes exactly equal, as products of matrices need not be.

        Raises:
            UserError: some are not finite.
        """
        if not torch.isfinite(self.values).all():  # NaN compares False: it would rank first
            raise UserError("zero-shot: some scores are not finite.")
        first = (self.ties[:, None] == self.ties).int().argmax(dim=1)
        return self.values[:, first.to(self.values.device)]


def same(rows: Tensor) -> Tensor:
    """Number of each row's group of equal rows, [n, d] -> int64 [n]; equal to 12 digits."""
    return torch.unique(rows.double().round(decimals=12), dim=0, return_inverse=True)[1]


def by_means(task: Task, images: Tensor, rule: str = "ancestors") -> Scores:
    """Nearest class mean over the unseen classes, their means from their relatives.

        score(x, c) = -|x - mu(c)|^2 + |x|^2 = 2 x . mu(c) - |mu(c)|^2     (the same order)

    Args:
        images: features [N, d] of test images.
    """
    W = relatives(task, rule)
    mu = (W @ task.means.cpu().double()).to(images)
    return Scores(2 * images @ mu.T - mu.square().sum(1), same(W))


@dataclass(frozen=True)
class Result:
    """Zero-shot recognition of the images of unseen classes; all but counts in percent.

    flat:    K -> share of images with their class among the K first of the unseen ones, the mean
             over the orders of tied classes, each order as likely as another
    tied:    number of unseen classes that the method cannot tell from another unseen one
    chance:  K -> flat top-K of guessing at random
    ceiling: K -> flat top-K of the best scores there can be: only classes that the method cannot
             tell from the true one compete with it
    """

    flat: dict[int, float]
    tied: int
    chance: dict[int, float]
    ceiling: dict[int, float]


def evaluate(scores: Scores, labels: Tensor, ks: Sequence[int] = KS) -> Result:
    """Flat top-K of test images.

    Args:
        labels: int64 [N] in 0..U-1, the unseen class of each image.
        ks: the K, at most U.

    Raises:
        UserError: scores that are not finite.
    """
    U, values = len(scores.ties), scores.levelled()
    labels = labels.to(values.device)
    own = values.gather(1, labels[:, None])
    better, tied = (values > own).sum(1), (values == own).sum(1)  # tied: its own class, too
    alike = torch.bincount(scores.ties)[scores.ties].to(labels.device)  # likewise
    return Result(
        flat={k: _percent(((k - better) / tied).clamp(0, 1)) for k in ks},
        tied=int((alike > 1).sum()),
        chance={k: 100 * k / U for k in ks},
        ceiling={k: _percent((k / alike[labels]).clamp(max=1)) for k in ks},
    )


def _percent(share: Tensor) -> float:
    return 100 * share.double().mean().item()


def error_distances(task: Task, scores: Scores, labels: Tensor) -> pd.DataFrame:
    """How far the answer lies from the truth in the hierarchy: is an error a near miss?

    The answer is the best of the unseen classes; equally good ones share the image.

    Args:
        labels: as for `evaluate`.

    Returns:
        distance: steps between truth and answer, 0 where they are one, ascending.
        share: of the images, in percent.
        chance: the same for answers drawn at random.

    Raises:
        UserError: as `evaluate`.
    """
    values = scores.levelled().cpu()
    answers = (values == values.amax(dim=1, keepdim=True)).double()
    answers /= answers.sum(dim=1, keepdim=True)
    away = task.hierarchy.distances(task.unseen, task.unseen)[labels.cpu().numpy()]  # [N, U]
    found = pd.DataFrame({"distance": away.ravel().astype(int), "share": answers.ravel().numpy()})
    found["chance"] = 1 / values.shape[1]
    found[["share", "chance"]] *= 100 / len(labels)
    return found.groupby("distance", as_index=False).sum()
