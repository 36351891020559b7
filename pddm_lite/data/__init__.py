"""Data sets by name. `load("cub200_2010", root)` gives an ImageSet; `known()` lists the names.

`python -m pddm_lite.data --help`: list, verify, download and look at them.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import UserError, unknown
from .base import ImageSet, Split, fingerprint, shown, split
from .drawn import draw_training_classes
from .folder import open_folder
from .official import REAL, open_real
from .pictures import open_image

SYNTHETIC = {"synthetic_birds": "birds", "synthetic_cars": "cars"}
# species x images of the embedded world, by profile: scale alone
WORLDS = {"smoke": (40, 8), "quick": (200, 12), "paper": (2000, 12)}
HETEROGENEITY = 0.7
# (kind, heterogeneity, species, images) -> fingerprint of the worlds of profile quick, so that who
# only reads their runs need not paint them; tests/data/test_synthetic.py paints and compares
FINGERPRINTS = {
    ("birds", 0.0, 200, 12): "415c9e14536661bb",
    ("birds", 0.25, 200, 12): "273de5fa5b60482c",
    ("birds", 0.5, 200, 12): "f756e9404b777278",
    ("birds", 0.7, 200, 12): "4159653aa0adc9ac",
    ("birds", 1.0, 200, 12): "f7b479e2a07963e0",
    ("cars", 0.7, 200, 12): "1aa1d4779d3fd75a",
}


def known() -> list[str]:
    """Names that `load` takes."""
    return [*SYNTHETIC, *REAL, "folder", "folder:NAME"]


def load(
    name: str, root: str | Path = "", profile: str = "quick", complete: bool = True
) -> ImageSet:
    """The data set called `name`.

    Args:
        name: "synthetic_birds" or "synthetic_cars", optionally with a heterogeneity as in
            "synthetic_birds@0.3"; a real set (`REAL`) found under `root` in its official layout, as
            a directory or zip, optionally as in "tiny_imagenet@160", of which 160 classes drawn at
            random train;
            "folder" for the class-per-folder tree `root` itself, "folder:NAME" for `root`/NAME.
        root: where real data lie; the embedded world needs none.
        profile: sizes the embedded world.
        complete: as for `open_real`.

    Raises:
        UserError: unknown name; missing, empty or unfit data.
    """
    if profile not in WORLDS:
        raise unknown("profile", profile, WORLDS)
    base, at, number = name.partition("@")
    if base in SYNTHETIC:
        return _synthetic(*embedded(name), *WORLDS[profile])
    root = data_root(name, root)
    if base in REAL:
        data = open_real(base, root, complete)
        return draw_training_classes(data, number) if at else data
    inner = name.partition(":")[2]
    path = root / inner if inner else root
    if inner and not path.exists() and path.with_name(path.name + ".zip").exists():
        path = path.with_name(path.name + ".zip")
    own = root.name if root.is_dir() else root.stem  # a folder's name has no suffix
    return open_folder(path, name, title=shown(inner or own))


def embedded(name: str) -> tuple[str, float]:
    """("synthetic_birds", 0.3) of "synthetic_birds@0.3": the set and its heterogeneity.

    Raises:
        UserError: no embedded set, no number from 0 to 1.
    """
    base, _, knob = name.partition("@")
    if base not in SYNTHETIC:
        raise unknown("embedded data set", name, SYNTHETIC)
    try:
        heterogeneity = float(knob or HETEROGENEITY)
    except ValueError:
        heterogeneity = -1.0
    if not 0 <= heterogeneity <= 1:
        raise UserError(
            f"data set '{name}': the heterogeneity after @ must be a number from 0 to 1."
        )
    return base, heterogeneity


def data_root(name: str, root: str | Path) -> Path:
    """`root` as the path under which the set called `name`, which is no embedded one, should lie.

    Raises:
        UserError: unknown name, no root, a root that is not there.
    """
    if name.partition("@")[0] not in REAL and name.split(":")[0] != "folder":
        raise unknown("data set", name, known())
    if not str(root):
        raise UserError(f"data set '{name}' is no embedded one: say where it lies by --data-root.")
    root = Path(root).expanduser()
    if not root.exists():
        raise UserError(
            f"data root {shown(root)} does not exist; give the folder that holds '{name}'."
        )
    return root


@lru_cache(maxsize=4)  # painted again where a process needs more worlds than that in turn
def _world(kind: str, heterogeneity: float, species: int, images: int):
    from .synthetic import world

    return world(kind, species=species, images=images, heterogeneity=heterogeneity)


@lru_cache(maxsize=64)  # without the pictures
def _synthetic(name: str, heterogeneity: float, species: int, images: int) -> ImageSet:
    from .synthetic import SIZE, species_names

    kind = SYNTHETIC[name]
    drawn = kind, heterogeneity, species, images
    known = FINGERPRINTS.get(drawn)
    if not known:
        w = _world(*drawn)
        known = fingerprint(w.images.tobytes(), w.labels.tobytes())

    def read(i: int) -> Image.Image:
        return Image.fromarray(_world(*drawn).images[i])

    knob = "" if heterogeneity == HETEROGENEITY else f"@{heterogeneity:g}"
    title = f"synthetic {kind}" + (f", heterogeneity {heterogeneity:g}" if knob else "")
    return ImageSet(
        name=name + knob,
        title=title,
        labels=np.repeat(np.arange(species), images),
        class_names=species_names(kind, 0, species),
        read=read,
        fingerprint=known,
        train_classes=species // 2,
        size=lambda i: (SIZE, SIZE),
    )


__all__ = [
    "REAL",
    "ImageSet",
    "Split",
    "fingerprint",
    "known",
    "load",
    "open_folder",
    "open_image",
    "split",
]
