"""The exercises of notebook 20_score_distributions; answers are computed wherever they can be."""

from __future__ import annotations

import numpy as np

from ...measures.scores import separation
from ..exercises import equals, exercise

# Exercises 20.1 and 20.2: scores of five pairs of one class and of five pairs of two
POSITIVES = np.array([0.9, 0.8, 0.7, 0.6, 0.3])
NEGATIVES = np.array([0.75, 0.5, 0.4, 0.2, 0.1])
# Exercise 20.3: what may be done to a score S from -1 to 1
TRANSFORMS = {
    "A": ("S³", lambda S: S**3),
    "B": ("|S|", np.abs),
    "C": ("1 / (1 + exp(-4 S))", lambda S: 1 / (1 + np.exp(-4 * S))),
    "D": ("-S", lambda S: -S),
    "E": ("2 S + 1", lambda S: 2 * S + 1),
}
# Exercise 20.4: distances of pairs of one class and of pairs with the class next to it
TIGHT = {"positive": [0.10, 0.15, 0.20], "negative": [0.30, 0.35, 0.40]}
LOOSE = {"positive": [0.50, 0.60, 0.70], "negative": [0.90, 1.00, 1.10]}


@exercise(
    "20.1",
    "Any number above 0.5 and up to 0.6, for example 0.55: it rejects one positive pair of five "
    "(0.3) and accepts one negative pair of five (0.75). The equal-error rate is 20 %.",
)
def _threshold(value: object) -> str:
    rejected = (~(POSITIVES >= float(value))).sum()  # of nan, too
    accepted = (NEGATIVES >= float(value)).sum()
    counts = f"{rejected} positive pairs are rejected and {accepted} negative ones accepted"
    return "" if rejected == accepted else f"{counts}; a higher threshold rejects more."


exercise(
    "20.2",
    "0.8. In 20 of the 5 x 5 ways to take one of each kind the positive pair scores higher: 0.9 "
    "and 0.8 beat all five, 0.7 and 0.6 four, 0.3 two. No threshold is needed.",
)(
    equals(
        separation(POSITIVES, NEGATIVES)["auc"],
        "take each positive pair with each negative one; in what share is the positive higher?",
    )
)


@exercise(
    "20.3",
    "A, C and E. They keep the order of the scores, and the three numbers depend on nothing else. "
    "|S| puts scores below 0 among those above it; -S turns the order round.",
)
def _transforms(value: object) -> str:
    rng = np.random.default_rng(0)
    S = rng.normal(0.3, 0.3, 500).clip(-1, 1), rng.normal(-0.2, 0.3, 500).clip(-1, 1)
    kept = {
        name
        for name, (_, f) in TRANSFORMS.items()
        if np.allclose(list(separation(*map(f, S)).values()), list(separation(*S).values()))
    }
    given = {letter for letter in "".join(value).upper() if letter.isalpha()}
    if unknown := given - set(TRANSFORMS):
        return f"there is no {min(unknown)}; there are {', '.join(TRANSFORMS)}."
    if wrong := given - kept:
        return f"under {min(wrong)} two scores can change their order."
    return "" if given == kept else "these do, but they are not all."


def wrong_pairs(threshold: float, *classes: dict[str, list[float]]) -> int:
    """Pairs that one threshold on the distance judges wrongly: positive above it, or negative not
    above it."""
    far = sum(d > threshold for c in classes for d in c["positive"])
    return far + sum(d <= threshold for c in classes for d in c["negative"])


@exercise(
    "20.4",
    "3 of 12, for example at 0.25 (all positive pairs of the loose class) or at 0.8 (all negative "
    "pairs of the tight one). A threshold for each class, 0.25 and 0.8, gets none wrong. The "
    "paper's local metric is to be such a ruler.",
)
def _one_threshold(value: object) -> str:
    cuts = [d for c in (TIGHT, LOOSE) for distances in c.values() for d in distances]
    right = min(wrong_pairs(t, TIGHT, LOOSE) for t in [0.0, *cuts])
    if float(value) == 0 and right:
        return "with a threshold for each class; with one for both?"
    return "" if float(value) == right else "try one between the two groups of each class."
