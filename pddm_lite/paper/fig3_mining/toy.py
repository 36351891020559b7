"""Fig. 3 as a computation: four classes in the plane, and where four losses push their points.

The plane is two axes of a feature space of 32: f = (x, y, 0, ..., 0), so that the PDDM unit has 32
units a layer and not two. Features are not normalised, as in the paper's sketch: none of the losses
asks for it. Nothing of the picture is drawn by hand: an arrow is minus the gradient that autograd
takes of the package's own losses (methods.objective) with respect to a point.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from ... import methods
from ...mining import Quadruplets, hard_quadruplets
from ...pddm import PDDM, Euclidean, Similarity
from ...training import experiments

DIM = 32
# Class 1 is loose, 2 and 3 are tight and near each other. Up to the last point, "stray", all keep a
# margin in units of their own class; that one is of class 4 and lies beside classes 2 and 3.
POINTS = {
    1: ((-0.80, 0.38), (-0.22, 0.50), (-0.62, -0.02), (-0.30, 0.02), (-0.55, 0.62)),
    2: ((0.30, 0.50), (0.34, 0.56), (0.38, 0.50), (0.34, 0.45), (0.30, 0.55)),
    3: ((0.52, 0.44), (0.56, 0.50), (0.60, 0.44), (0.56, 0.38), (0.52, 0.49)),
    4: ((0.30, -0.02), (0.44, -0.08), (0.36, 0.08), (0.50, 0.04), (0.46, 0.33)),
}
STRAY = 19
LOSSES = {
    "Contrastive": "Contrastive",
    "Triplet, semi-hard": "Triplet",
    "Lifted structure": "LiftedStruct",
    "Double header, Euclidean mining": "Euclidean+Quadruplet",
    "Double header, PDDM mining": "PDDM+Quadruplet",
}


def points(stray: Sequence[float] = POINTS[4][-1]) -> tuple[Tensor, Tensor]:
    """(points [20, 2], classes [20]) with the stray point of class 4 where you say."""
    p = torch.tensor([xy for own in POINTS.values() for xy in own])
    p[STRAY] = torch.tensor([float(x) for x in stray])
    return p, torch.tensor([c for c, own in POINTS.items() for _ in own])


def lift(p: Tensor) -> Tensor:
    """Points [n, 2] as features [n, 32]: the other axes are 0."""
    return F.pad(p, (0, DIM - 2))


def settings(method: str, **changes) -> experiments.Experiment:
    """The default recipe with one quadruplet, the paper's: one picture, one quadruplet."""
    return experiments.make(
        data="toy", method=method, embedding_size=DIM, **{"quadruplets": 1, **changes}
    )


def trained_unit(p: Tensor, classes: Tensor, steps: int = 100) -> PDDM:
    """A PDDM unit taught these points by E_m (Eq. 3) alone: the points stay where they are.

    Gradient descent with momentum 0.9; every positive pair a quadruplet, the rest as in the default
    recipe.
    """
    e = settings("PDDM+Quadruplet", quadruplets=0, lam=0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unit = PDDM(DIM, dropout=0.0)
        weights = list(unit.parameters())
        velocity = [torch.zeros_like(w) for w in weights]
        for _ in range(steps):  # by hand: torch.optim's first step takes longer than all of these
            loss = methods.objective(lift(p), classes, unit, e).loss
            for w, v, g in zip(weights, velocity, torch.autograd.grad(loss, weights), strict=True):
                v.mul_(0.9).add_(g)
                w.data.sub_(v, alpha=0.1)
    return unit.eval()


def mined(p: Tensor, classes: Tensor, similarity: Similarity) -> Quadruplets:
    """The hardest quadruplet of the toy under a similarity."""
    return hard_quadruplets(lift(p), classes, similarity, number=1)


def arrows(p: Tensor, classes: Tensor, unit: PDDM) -> pd.DataFrame:
    """Minus the gradient of each loss of LOSSES on each point: a row a loss and point.

    Columns: loss, point, class, x, y, dx, dy, role ("i", "j", "k", "l" or several of them, "" where
    the loss mines no quadruplet or the point is none of it).
    """
    rows = []
    for name, method in LOSSES.items():
        similarity = unit if methods.method(method).similarity == "pddm" else Euclidean()
        at = p.clone().requires_grad_()
        loss = methods.objective(lift(at), classes, similarity, settings(method)).loss
        step = -torch.autograd.grad(loss, at)[0]
        roles = [""] * len(p)
        if methods.method(method).loss == "quadruplet":
            q = mined(p, classes, similarity)
            for letter in "ijkl":
                roles[int(getattr(q, letter))] += letter
        for n in range(len(p)):
            row = {"loss": name, "point": n, "class": int(classes[n])}
            row |= dict(zip(("x", "y"), p[n].tolist(), strict=True))
            row |= dict(zip(("dx", "dy"), step[n].tolist(), strict=True))
            rows.append(row | {"role": roles[n]})
    return pd.DataFrame(rows)


def effort(frame: pd.DataFrame) -> pd.DataFrame:
    """What each loss spends its push on: a row a loss.

    Shares of the summed lengths of the arrows by class ("class 1" .. "class 4") and of the stray
    point; "turn", the angle in degrees between the stray point's arrow and the way to the mean of
    the rest of its class (nan where it has no arrow).
    """
    rows = []
    for name, t in frame.groupby("loss", sort=False):
        step, place = t[["dx", "dy"]].to_numpy(), t[["x", "y"]].to_numpy()
        length = (step**2).sum(axis=1) ** 0.5
        row = {"loss": name}
        for c in sorted(POINTS):
            row[f"class {c}"] = length[t["class"] == c].sum() / length.sum()
        row["stray point"] = length[STRAY] / length.sum()
        own = ((t["class"] == 4) & (t["point"] != STRAY)).to_numpy()
        home, arrow = (torch.tensor(v) for v in (place[own].mean(0) - place[STRAY], step[STRAY]))
        cosine = (
            F.cosine_similarity(home, arrow, dim=0) if length[STRAY] else torch.tensor(torch.nan)
        )
        row["turn"] = float(torch.rad2deg(torch.arccos(cosine.clamp(-1, 1))))
        rows.append(row)
    return pd.DataFrame(rows)
