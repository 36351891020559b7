"""New species of the synthetic world, for transfer: no run has seen them, nor has smallnet."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image

from ..store.errors import unknown
from . import WORLDS
from .base import ImageSet, fingerprint
from .names import painted
from .painter import SIZE
from .synthetic import PAINTER, species_names, world

# profile -> species; they are numbered on from the profile's last one
SPECIES = {"smoke": 60, "quick": 1_000, "paper": 10_000}
IMAGES = 6  # of each
_BLOCK = 8  # species painted at once; 48 images are 0.6 MB


def new_species(name: str, profile: str = "quick") -> ImageSet:
    """Species of the world called `name` ("synthetic_birds@0.3") beyond those of `data.load`.

    The family of a species is that of its number, so the new ones are of the same 20 families. All
    are test classes. Images are painted when they are read, a few species at a time.

    Raises:
        UserError: unknown name or profile.
    """
    drawn = painted(name)
    kind, heterogeneity = drawn.kind, drawn.heterogeneity
    if profile not in WORLDS:
        raise unknown("profile", profile, WORLDS)
    first, species = WORLDS[profile][0], SPECIES[profile]

    @lru_cache(maxsize=4)
    def block(b: int) -> np.ndarray:
        number = min(_BLOCK, species - b * _BLOCK)
        return world(kind, number, IMAGES, heterogeneity, first=first + b * _BLOCK).images

    def read(i: int) -> Image.Image:
        b, k = divmod(int(i), _BLOCK * IMAGES)
        return Image.fromarray(block(b)[k])

    what = (kind, first, species, IMAGES, heterogeneity, PAINTER)
    return ImageSet(
        name=f"{name}+new",
        title=f"new species of synthetic {kind}",
        labels=np.repeat(np.arange(species, dtype=np.int64), IMAGES),
        class_names=species_names(kind, first, species),
        read=read,
        fingerprint=fingerprint(*what),
        train_classes=0,
        size=lambda i: (SIZE, SIZE),
    )
