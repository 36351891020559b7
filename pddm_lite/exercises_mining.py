"""The exercises of notebook 30_hard_mining: what is asked with, and `check`, which tells.

Answers are computed by the package's own miners wherever there is something to mine.
"""

from __future__ import annotations

import torch
from torch import Tensor

from . import toy
from .mining import hard_quadruplets
from .pddm import Euclidean, Similarity

RIGHT = "right"
NOT_YET = "not yet"

# Exercise 30.1: scores of all pairs of a batch of 6 images, two of each of three classes.
LABELS = torch.tensor([0, 0, 1, 1, 2, 2])
SCORES = torch.tensor(
    [
        [1.0, 0.7, 0.2, 0.1, 0.5, 0.3],
        [0.7, 1.0, 0.8, 0.3, 0.2, 0.1],
        [0.2, 0.8, 1.0, 0.5, 0.3, 0.6],
        [0.1, 0.3, 0.5, 1.0, 0.4, 0.2],
        [0.5, 0.2, 0.3, 0.4, 1.0, 0.9],
        [0.3, 0.1, 0.6, 0.2, 0.9, 1.0],
    ]
)
BATCH = (8, 4)  # exercise 30.2: classes x images
# Exercise 30.4: pairs of two classes each - distance, and the spread of the two classes
PAIRS = {"A": (0.9, 1.2), "B": (0.4, 0.2), "C": (0.6, 0.5), "D": (1.1, 0.7)}


class _Table(Similarity):
    """A similarity read off a matrix: the features are the rows' numbers."""

    def __init__(self, S: Tensor):
        super().__init__()
        self.S = S

    def pairs(self, f: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return self.S[i, j]


def _quadruplet(value) -> str:
    q = hard_quadruplets(SCORES, LABELS, _Table(SCORES), number=1)
    (i, j, k, l), given = (int(x) for x in q[:4]), [int(x) for x in value]
    if given in ([i, j, k, l], [j, i, l, k]):
        return f"{RIGHT}: ({i}, {j}) is the least similar positive pair"
    if sorted(given[:2]) != sorted((i, j)):
        return f"{NOT_YET}: (i, j) is of one class, and of those pairs the least similar"
    return f"{NOT_YET}: (i, j) is right; k is the most similar to i of another class, l to j"


def _cost(value) -> str:
    classes, images = BATCH
    m = classes * images
    positive, negative = m * (images - 1) // 2, 2 * (m - images)
    if int(value) == positive + negative:
        return f"{RIGHT}: {positive} positive pairs and {negative} negative ones, of {m * m}"
    if int(value) in (positive, negative):
        return f"{NOT_YET}: that is one of two parts"
    return f"{NOT_YET}: all positive pairs, and for i and for j each image of another class"


def _stray(value) -> str:
    x, y = value
    p, classes = toy.points((x, y))
    picked = int(classes[int(toy.mined(p, classes, Euclidean()).i)])
    if picked == 4:
        return f"{RIGHT}: with the stray point there, Euclidean mining picks a pair of class 4"
    return f"{NOT_YET}: Euclidean mining still picks a pair of class {picked}"


def _ruler(value) -> str:
    local = sorted(PAIRS, key=lambda name: PAIRS[name][0] / PAIRS[name][1])
    plain = sorted(PAIRS, key=lambda name: PAIRS[name][0])
    given = str(value).strip().upper()
    if given == local[0]:
        return (
            f"{RIGHT}: {local[0]} is nearest in units of the spread; by distance it is {plain[0]}"
        )
    if given == plain[0]:
        return f"{NOT_YET}: {given} is nearest by the plain ruler; divide by the spread"
    return f"{NOT_YET}: a negative pair is hard where it is near, by the local ruler"


_CHECKS = {"30.1": _quadruplet, "30.2": _cost, "30.3": _stray, "30.4": _ruler}


def check(number: str, value) -> str:
    """What to say to the answer `value`: "right: why" or "not yet: a hint". Never raises."""
    if number not in _CHECKS:
        return f"{NOT_YET}: there is no exercise {number}; there are {', '.join(_CHECKS)}"
    try:
        return _CHECKS[number](value)
    except Exception:  # whatever a student may have typed
        return f"{NOT_YET}: {value!r} has not the form that the exercise asks for"
