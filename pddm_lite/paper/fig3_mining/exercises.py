"""The exercises of notebook 30_hard_mining.

Answers are computed by the package's own miners wherever there is something to mine.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...mining import hard_quadruplets
from ...pddm import Euclidean, Similarity
from ..exercises import exercise
from . import toy

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


@exercise(
    "30.1",
    "[2, 3, 1, 4] or, the pair turned round, [3, 2, 4, 1]: of the pairs of one class (2, 3) scores "
    "lowest; of the other classes' images 1 is the most similar to 2, and 4 to 3.",
)
def _quadruplet(value: object) -> str:
    q = hard_quadruplets(SCORES, LABELS, _Table(SCORES), number=1)
    (i, j, k, l), given = (int(x) for x in q[:4]), [int(x) for x in value]
    if given in ([i, j, k, l], [j, i, l, k]):
        return ""
    if sorted(given[:2]) != sorted((i, j)):
        return "(i, j) is of one class, and of those pairs the least similar."
    return "(i, j) is right; k is the most similar to i of another class, l to j."


@exercise(
    "30.2",
    "104: 8 x 6 = 48 positive pairs and 2 x (32 - 4) = 56 negative ones, of 1,024 in the batch.",
)
def _cost(value: object) -> str:
    classes, images = BATCH
    m = classes * images
    positive, negative = m * (images - 1) // 2, 2 * (m - images)
    if float(value) in (positive, negative):
        return "that is one of two parts."
    right = float(value) == positive + negative
    return "" if right else "all positive pairs, and for i and for j each image of another class."


@exercise(
    "30.3",
    "For example [1.2, 0.5]: far beyond class 3, since class 1 is wide by nature and Euclidean "
    "mining takes the pair of one class that is farthest apart, whatever its class's spread.",
)
def _stray(value: object) -> str:
    x, y = value
    p, classes = toy.points((x, y))
    picked = int(classes[int(toy.mined(p, classes, Euclidean()).i)])
    return "" if picked == 4 else f"Euclidean mining still picks a pair of class {picked}."


@exercise(
    "30.4",
    "A: its distance is 0.75 of the spread of its classes, that of B is twice its classes' spread. "
    "The plain ruler takes B.",
)
def _ruler(value: object) -> str:
    local = min(PAIRS, key=lambda name: PAIRS[name][0] / PAIRS[name][1])
    plain = min(PAIRS, key=lambda name: PAIRS[name][0])
    given = str(value).strip().upper()
    if given == plain:
        return f"{given} is nearest by the plain ruler; divide by the spread."
    return "" if given == local else "a negative pair is hard where it is near, by the local ruler."
