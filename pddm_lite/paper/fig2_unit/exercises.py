"""The exercises of notebook 10_the_unit."""

from __future__ import annotations

import numpy as np

from ...pddm import PDDM
from ..exercises import equals, exercise

FIRST = np.array([[0.6, 0.8, 0.0], [-0.6, 0.8, 0.0]])  # the pair of exercise 10.2


@exercise(
    "10.1",
    "W_u: d d + d, W_v: d d + d, W_c: 2 d d + d, W_s: d + 1, together 4 d d + 4 d + 1 = 66,049 "
    "at d = 128. LMDM has no W_v and half of W_c: 33,153.",
)
def _count(value: object) -> str:
    layers = [layer.weight for layer in PDDM(128).children() if hasattr(layer, "weight")]
    weights = sum(w.numel() for w in layers)
    right = weights + sum(len(w) for w in layers)
    if float(value) == weights:
        return "these are the weights; the biases are missing."
    if float(value) == right - 128 * 128:
        return "W_c takes u' and v' together: 2d numbers."
    return "" if float(value) == right else "a layer of a inputs and b outputs has a b + b of them."


@exercise(
    "10.2",
    "For example (0.6, 0, 0.8) and (-0.6, 0, 0.8): v turns about the axis of the difference "
    "from (0, 0.8, 0) to (0, 0, 0.8) and keeps its length. (0.6, -0.8, 0) and (-0.6, -0.8, 0) "
    "will do as well. Euclidean, Mahalanobis and LMDM score it as the first pair.",
)
def _same_difference(value: object) -> str:
    pair = np.asarray(value, dtype=float)
    if pair.shape != (2, 3):
        return "two features of three numbers each are asked for."
    if not np.allclose(np.linalg.norm(pair, axis=1), 1, atol=1e-3):
        return "both features must have length 1."
    if not np.allclose(np.abs(pair[0] - pair[1]), np.abs(FIRST[0] - FIRST[1]), atol=1e-3):
        return "u is not the same as that of the first pair."
    if np.allclose(pair.mean(0), FIRST.mean(0), atol=1e-3):
        return "v is the same, too: no metric of u and v can tell this pair from the first."
    return ""


exercise(
    "10.3",
    "0.7. |f_i - f_j|² + |f_i + f_j|² = 2 |f_i|² + 2 |f_j|² = 4, so |u|² + 4 |v|² = 4: the "
    "length of v is that of u over again. Even v says how far apart the two are.",
)(equals(0.7, "f_i and f_j have length 1: work out |f_i - f_j|² + |f_i + f_j|²."))

exercise(
    "10.4",
    "1: u' stays as it is. Without b_u, σ(W_u 2u) = 2 σ(W_u u), and r divides the 2 away: only "
    "the direction of u is left. The bias, which does not double, lets the distance through.",
)(equals(1.0, "without b_u, what does W_u (2 u) have to do with W_u u, and what does r do?"))
