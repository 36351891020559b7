"""The network `latents`: a perfect eye, which reads the numbers that a synthetic world's pictures
were painted from. What a metric does in a space that is given, and not learned, shows on these."""

from __future__ import annotations

import numpy as np
from torch import nn

from ..data.base import ImageSet
from ..data.names import world_of
from ..store.errors import UserError

NAME = "latents"
COORDINATES = 17  # a world's 16 numbers and a constant
WIDTH = 64  # of the hidden layer that mode finetune trains


def perfect_eye(data: ImageSet) -> np.ndarray:
    """Features float32 [N, 17] of unit length: the latents z and a constant c, l2-normalised.

    c is the mean length of the training classes' z: it keeps on the sphere what r(z) alone would
    lose, how far z is from the origin.

    Raises:
        UserError: real data, which have no latents.
    """
    if data.latents is None:
        raise UserError(_unfit(data.name))
    z = data.latents.astype(np.float64)
    c = np.linalg.norm(z[data.train], axis=1).mean()
    x = np.concatenate([z, np.full((len(z), 1), c)], axis=1)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


class Hidden(nn.Sequential):
    """[B, 17] -> [B, 64]: the first of two layers, of which the head is the second."""

    def __init__(self):
        super().__init__(nn.Linear(COORDINATES, WIDTH), nn.ReLU())


def check(backbone: str, data: str) -> None:
    """UserError where the network cannot read the data set: latents alone a world without pictures,
    and no other data than a synthetic world."""
    drawn = world_of(data)
    if backbone == NAME and drawn is None:
        raise UserError(_unfit(data))
    if backbone != NAME and drawn and not drawn.painted:
        raise UserError(
            f"data set '{data}' has no pictures for {backbone} to see; its network is {NAME} "
            f"(--backbone {NAME})."
        )


def _unfit(data: str) -> str:
    return (
        f"network {NAME} reads the numbers behind a synthetic world, and '{data}' is none; name "
        "a network that sees pictures, as mobilenet_v2, or data such as given_birds@1."
    )
