"""Data sets by name. `load("cub200_2010", root)` gives an ImageSet; `known()` lists the names.

A file a kind of data set, synthetic worlds, the sampler, class-disjoint splits; a new real set is
an entry of `real.REAL`. May import `store` alone; networks, measures and what is above them may
import it.
`python -m pddm_lite.data --help`: list, verify, download and look at them.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PIL import Image

from ..store.errors import UserError, unknown
from .base import ImageSet, Split, fingerprint, shown, split
from .drawn import draw_training_classes
from .folder import open_folder
from .mix import join
from .names import GIVEN, HETEROGENEITY, MIX, SYNTHETIC, Synthetic, listed, mixed, world_of
from .pictures import open_image
from .real import REAL, open_real

# species x images of the synthetic worlds, by profile: scale alone
WORLDS = {"smoke": (40, 8), "quick": (200, 12), "paper": (2000, 12)}
# the same of the given space, of whose species two thirds train
GIVEN_WORLDS = {"smoke": (60, 8), "quick": (450, 12), "paper": (1500, 12)}
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
    return [*SYNTHETIC, *GIVEN, *REAL, "folder", "folder:NAME", f"{MIX}A,B"]


def load(
    name: str, root: str | Path = "", profile: str = "quick", complete: bool = True
) -> ImageSet:
    """The data set called `name`.

    Args:
        name: "synthetic_birds" or "synthetic_cars", optionally with a heterogeneity as in
            "synthetic_birds@0.3"; "given_birds@0.3@4", the world of seed 4 without its pictures;
            a real set (`REAL`) found under `root` in its official layout, as a directory or zip,
            optionally as in "tiny_imagenet@160", of which 160 classes drawn at random train;
            "folder" for the class-per-folder tree `root` itself, "folder:NAME" for `root`/NAME;
            "mix:A,B" for several of all these as one.
        root: where real data lie; the synthetic world needs none.
        profile: sizes the synthetic world.
        complete: as for `open_real`.

    Raises:
        UserError: unknown name; missing, empty or unfit data.
    """
    if profile not in WORLDS:
        raise unknown("profile", profile, WORLDS)
    if name.startswith(MIX):
        return join([load(part, root, profile, complete) for part in mixed(name)])
    if drawn := world_of(name):
        return _drawn(drawn, *(WORLDS if drawn.painted else GIVEN_WORLDS)[profile])
    base, at, number = name.partition("@")
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


def data_root(name: str, root: str | Path) -> Path:
    """`root` as the path under which the set called `name`, which is no synthetic one, should lie.

    Raises:
        UserError: unknown name, no root, a root that is not there.
    """
    if world_of(name):
        raise UserError(f"data set '{name}' is drawn when it is needed and has no files.")
    if name.partition("@")[0] not in REAL and name.split(":")[0] not in ("folder", "mix"):
        raise unknown("data set", name, known())
    if not str(root):
        raise UserError(f"data set '{name}' is no synthetic one: say where it lies by --data-root.")
    root = Path(root).expanduser()
    if not root.exists():
        raise UserError(f"data root {shown(root)} does not exist; give the one of '{name}'.")
    return root


@lru_cache(maxsize=4)  # painted again where a process needs more worlds than that in turn
def _world(kind: str, heterogeneity: float, species: int, images: int):
    from .synthetic import world

    return world(kind, species=species, images=images, heterogeneity=heterogeneity)


@lru_cache(maxsize=64)  # without the pictures
def _drawn(name: Synthetic, species: int, images: int) -> ImageSet:
    from .painter import SIZE
    from .synthetic import geometry, species_names

    drawn = name.kind, name.heterogeneity, species, images
    g = geometry(name.kind, species, images, name.heterogeneity, name.world)
    known = FINGERPRINTS.get(drawn)
    if not name.painted:
        known = fingerprint("given", g.latents.tobytes(), g.labels.tobytes())
    elif not known:
        w = _world(*drawn)
        known = fingerprint(w.images.tobytes(), w.labels.tobytes())

    def read(i: int) -> Image.Image:
        if not name.painted:
            raise UserError(
                f"data set '{name}' has no pictures, only the numbers behind them: its network is "
                "latents (--backbone latents)."
            )
        return Image.fromarray(_world(*drawn).images[i])

    return ImageSet(
        name=str(name),
        title=name.title,
        labels=g.labels,
        class_names=species_names(name.kind, 0, species),
        read=read,
        fingerprint=known,
        train_classes=species // 2 if name.painted else species * 2 // 3,
        size=(lambda i: (SIZE, SIZE)) if name.painted else None,
        latents=g.latents,
    )


__all__ = [
    "GIVEN",
    "HETEROGENEITY",
    "REAL",
    "SYNTHETIC",
    "ImageSet",
    "Split",
    "fingerprint",
    "known",
    "listed",
    "load",
    "open_folder",
    "open_image",
    "split",
    "world_of",
]
