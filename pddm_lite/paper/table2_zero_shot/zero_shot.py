"""Zero-shot recognition through a hierarchy (Table 2, right): unseen classes from seen ones' means.

A node's mean is that of the seen (training) classes at or below it, each counted once:

    mu(v) = 1 / |T(v)| * sum over t in T(v) of mu(t)

An unseen class has no image, so it takes the means of its relatives in the hierarchy (`RULES`), and
an image goes to the class of the nearest mean, in the Euclidean distance.

Classes in the same place of the hierarchy get the same mean, and nothing can tell them apart. What
is reported is the mean over all orders of the tied, so that a score that says nothing is as good as
guessing; `tied` counts such classes, and `ceiling` is the most that they leave to reach.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from torch import Tensor

from ...store.errors import UserError, unknown
from .hierarchy import FAR, Hierarchy

KS = (1, 5)  # flat top-1 and top-5; the paper reports top-5


@dataclass(frozen=True, eq=False)
class Task:
    """What zero-shot recognition may know: the hierarchy, and the images of the seen classes.

    hierarchy: is restricted to the classes here, so any larger one will do
    seen, unseen: class names, S and U of them, without one in common
    means:     float [S, d], the mean feature of each seen class
    features, labels: [M, d] and [M] in 0..S-1, training images; only some rivals need them

    Raises UserError on a class in both, one that the hierarchy lacks or has apart from the rest,
    and means that do not fit the seen classes.
    """

    hierarchy: Hierarchy
    seen: tuple[str, ...]
    unseen: tuple[str, ...]
    means: Tensor
    features: Tensor | None = field(default=None, repr=False)
    labels: Tensor | None = field(default=None, repr=False)

    def __post_init__(self):
        if both := set(self.seen) & set(self.unseen):
            raise UserError(f"zero-shot: class '{min(both)}' is both seen and unseen; keep one.")
        for kind, names in (("seen", self.seen), ("unseen", self.unseen)):
            if not names or len(set(names)) < len(names):
                raise UserError(f"zero-shot: the {kind} classes are none, or one comes twice.")
        if self.means.ndim != 2 or len(self.means) != len(self.seen):
            raise UserError(
                f"zero-shot: means are {list(self.means.shape)}, but must be "
                f"[{len(self.seen)}, d], a row for each seen class."
            )
        object.__setattr__(self, "hierarchy", self.hierarchy.restricted(self.classes))

    @property
    def classes(self) -> tuple[str, ...]:
        """Seen, then unseen: the order of the columns of all scores."""
        return (*self.seen, *self.unseen)

    @cached_property
    def apart(self) -> Tensor:
        """Path distances among the unseen classes: int64 [U, U], in steps."""
        return torch.from_numpy(self.hierarchy.distances(self.unseen, self.unseen)).long()


# ------------------------------------------------------- relatives: weights of the seen classes
# below: 0 or 1 [V, S], seen class s lies at or below node v; up: int [V, U], steps from the unseen
# class u up to v, FAR if v is not above it. Only nodes with seen classes at or below them count.
# A class may be an inner node: then it is its own ancestor, at 0 steps.


def _over_ancestors(below: np.ndarray, up: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Rows of sum over ancestors a of u of w(a) mu(a), with mu(a) as weights of the classes."""
    number = below.sum(axis=1)
    mu = below / np.maximum(number, 1)[:, None]
    return sparse.csr_array(up.T < FAR, dtype=float) @ ((w * (number > 0))[:, None] * mu)


def _ancestors(task, below, up):
    """mu(u) = 1 / |A(u)| * sum over a in A(u) of mu(a), A(u): u's ancestors (Mensink et al.)."""
    return _over_ancestors(below, up, np.ones(len(below)))


def _distinct(task, below, up):
    """As _ancestors, with ancestors that have the same seen classes below them counted once.

    A chain of nodes with one child each says the same again and again; [21] counts each node.
    """
    sets, which = np.unique(below, axis=0, return_inverse=True)
    number = sets.sum(axis=1)
    of = sparse.csr_array(up.T < FAR, dtype=float) @ np.eye(len(sets))[which.ravel()] > 0
    return (of & (number > 0)) @ (sets / np.maximum(number, 1)[:, None])


def _depth(task, below, up):
    """mu(u) = sum over a in A(u) of w(a) mu(a) / sum of w(a), w(a) = depth(a) + 1."""
    return _over_ancestors(below, up, task.hierarchy.depth + 1)


def _siblings(task, below, up):
    """mu(u) = mean of the seen classes below its parents, or below the nearest ancestors with any.

    Siblings and all that is below them; with two parents, the union, each class once.
    """
    up = np.where(below.any(axis=1)[:, None], up, FAR)
    nearest = sparse.csr_array((up == up.min(axis=0)).T, dtype=float)
    return (nearest @ below > 0).astype(float)


def _nearest(task, below, up):
    """mu(u) = mean of the seen classes at the least path distance from u, all of them."""
    distance = task.hierarchy.distances(task.unseen, task.seen)
    return (distance == distance.min(axis=1, keepdims=True)).astype(float)


RULES: dict[str, Callable] = {
    "ancestors": _ancestors,
    "distinct": _distinct,
    "siblings": _siblings,
    "nearest": _nearest,
    "depth": _depth,
}


def relatives(task: Task, rule: str = "ancestors") -> Tensor:
    """Weights of the seen classes in each unseen class's mean: float64 [U, S], rows sum to 1.

    Args:
        rule: a key of RULES; "ancestors" is that of [21], the source of the paper's protocol.
    """
    if rule not in RULES:
        raise unknown("rule of relatives", rule, RULES)
    below = (task.hierarchy.steps(task.seen) < FAR).astype(float)
    W = RULES[rule](task, below, task.hierarchy.steps(task.unseen))
    return torch.from_numpy(W / W.sum(axis=1, keepdims=True))


# ------------------------------------------------------------------------------- recognition


@dataclass(frozen=True, eq=False)
class Scores:
    """How well each image fits each class.

    values: float [N, S + U], larger is better; [N, U] from a method with no scores of seen classes
    ties:   int64 [S + U], classes of one number are the same to the method
    """

    values: Tensor
    ties: Tensor


def same(rows: Tensor) -> Tensor:
    """Number of each row's group of equal rows, [n, d] -> int64 [n]; equal to 12 digits."""
    return torch.unique(rows.double().round(decimals=12), dim=0, return_inverse=True)[1]


def by_means(task: Task, images: Tensor, rule: str = "ancestors") -> Scores:
    """Nearest class mean over seen and unseen classes, those of the unseen from their relatives.

        score(x, c) = -|x - mu(c)|^2 + |x|^2 = 2 x . mu(c) - |mu(c)|^2     (the same order)

    Args:
        images: features [N, d] of test images.
    """
    W = torch.cat([torch.eye(len(task.seen), dtype=torch.float64), relatives(task, rule)])
    mu = (W @ task.means.cpu().double()).to(images)
    return Scores(2 * images @ mu.T - mu.square().sum(1), same(W))


@dataclass(frozen=True)
class Result:
    """Zero-shot recognition of the images of unseen classes; all but counts in percent.

    All are means over the orders of tied classes, each order as likely as another.

    flat:    K -> share of images with their class among the K first of the unseen ones
    general: the same among seen and unseen classes together (generalised zero-shot); None for a
             method with no scores of seen classes
    hierarchical: K -> mean hierarchical precision hp@K among the unseen classes
    tied:    number of unseen classes that the method cannot tell from another unseen one
    chance:  K -> flat top-K of guessing at random
    ceiling: K -> flat top-K of the best scores there can be: only classes that the method cannot
             tell from the true one compete with it
    """

    flat: dict[int, float]
    general: dict[int, float] | None
    hierarchical: dict[int, float]
    tied: int
    chance: dict[int, float]
    ceiling: dict[int, float]


def evaluate(task: Task, scores: Scores, labels: Tensor, ks: Sequence[int] = KS) -> Result:
    """Flat top-K, generalised top-K and hierarchical precision of test images.

    Args:
        labels: int64 [N] in 0..U-1, the unseen class of each image.
        ks: the K, at most U.

    Raises:
        UserError: K out of range, no images, labels out of range, or scores that are not finite.
    """
    S, U, values = len(task.seen), len(task.unseen), scores.values
    _check(scores, labels, U)
    if wrong := [k for k in ks if not 1 <= k <= U]:
        raise UserError(f"zero-shot: top-{wrong[0]} of {U} unseen classes is not defined.")
    labels, ties = labels.to(values.device), scores.ties.to(values.device)
    places = _places(_levelled(values[:, -U:], ties[-U:]))
    among = {k: _among(places, k) for k in ks}  # of each image and unseen class
    general = None
    if values.shape[1] == S + U:
        level = _levelled(values, ties)
        own = level.gather(1, S + labels[:, None])
        of_all = torch.stack([(level > own).sum(1), (level == own).sum(1)])
        general = {k: _percent(_among(of_all, k)) for k in ks}
    alike = torch.bincount(ties[-U:])[ties[-U:]]  # of each unseen class, itself among them
    return Result(
        flat={k: _percent(among[k].gather(1, labels[:, None])) for k in ks},
        general=general,
        hierarchical={k: _percent(_precision(task, among[k], labels, k)) for k in ks},
        tied=int((alike > 1).sum()),
        chance={k: 100 * k / U for k in ks},
        ceiling={k: _percent((k / alike[labels]).clamp(max=1)) for k in ks},
    )


def _check(scores: Scores, labels: Tensor, unseen: int) -> None:
    n = len(scores.values)
    if len(labels) != n or not n or not 0 <= labels.min() <= labels.max() < unseen:
        raise UserError(
            f"zero-shot: every image needs a label of 0 to {unseen - 1}, an unseen class."
        )
    if not torch.isfinite(scores.values).all():  # NaN compares False: it would rank first
        raise UserError("zero-shot: some scores are not finite.")


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
    U = len(task.unseen)
    _check(scores, labels, U)
    values = _levelled(scores.values[:, -U:], scores.ties.to(scores.values.device)[-U:]).cpu()
    answers = (values == values.max(dim=1, keepdim=True).values).double()
    answers /= answers.sum(dim=1, keepdim=True)
    away = task.apart[labels.cpu()]  # [N, U]
    there, number = away.unique(return_inverse=True)
    found = {"distance": there.numpy()}
    for name, weight in (("share", answers), ("chance", torch.full_like(answers, 1 / U))):
        total = torch.bincount(number.ravel(), weight.ravel())
        found[name] = (100 * total / len(labels)).numpy()
    return pd.DataFrame(found)


def _percent(share: Tensor) -> float:
    return 100 * share.double().mean().item()


def _levelled(values: Tensor, ties: Tensor) -> Tensor:
    """The scores with tied classes exactly equal, as products of matrices need not make them."""
    first = torch.full((int(ties.max()) + 1,), len(ties), device=ties.device)
    first.scatter_reduce_(0, ties, torch.arange(len(ties), device=ties.device), "amin")
    return values[:, first[ties]]


def _places(values: Tensor) -> Tensor:
    """Of each class of each image, how many score higher, and how many as high: [2, N, C].

    The class itself is among the second.
    """
    rising = values.sort(dim=1).values
    at_most = torch.searchsorted(rising, values, right=True)
    return torch.stack([values.shape[1] - at_most, at_most - torch.searchsorted(rising, values)])


def _among(places: Tensor, k: int) -> Tensor:
    """Chance of being among the k first where the tied stand in random order.

    P = min(max((k - better) / tied, 0), 1), with tied counting the class itself
    """
    better, tied = places
    return ((k - better) / tied).clamp(0, 1)


def _precision(task: Task, among: Tensor, labels: Tensor, k: int) -> Tensor:
    """Hierarchical precision hp@k of each image [N], as in DeViSE (Frome et al. 2013).

        hp@k = |the k first classes, among the correct ones| / k

    Correct are the unseen classes within R steps of the true one in the hierarchy, for the least R
    that gives k of them or more; so hp@1 is flat top-1.

    Args:
        among: [N, U], each class's chance of being among the k first.
    """
    steps = task.apart.to(labels.device)
    radius = steps.sort(dim=1).values[:, k - 1 : k]
    correct = (steps <= radius)[labels]  # [N, U]
    return (among * correct).sum(dim=1, dtype=torch.float64) / k
