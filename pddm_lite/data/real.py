"""Real data sets in their official layouts: where each lies, and what belongs in it.

An entry of REAL and, where the layout is a new one, a function of `layouts` are all that another
set needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from ..store.errors import UserError
from . import layouts
from .base import ImageSet, check_classes, shown
from .folder import open_folder
from .layouts import Classes, Files
from .reader import open_zip, zip_members
from .tree import image_set


@dataclass(frozen=True)
class Archive:
    """A file to fetch from the folder `where`; "" where no link is known to live."""

    file: str
    md5: str
    where: str = ""

    @property
    def url(self) -> str:
        return self.where and self.where + self.file


@dataclass(frozen=True)
class Official:
    """A set's layout and what belongs in it."""

    title: str  # as figures call it
    folders: tuple[str, ...]  # it lies in one of these below the data root, or in a zip of the name
    classes: int  # in all; 0: there is no one official number
    images: int
    train_images: int
    train_classes: int
    licence: str
    get: str  # how to get it, in a few words
    mark: str = ""  # pattern of a file or folder at the top of the layout
    layout: Callable[[Files], tuple[Classes, Classes]] | None = None  # None: <class>/<image>
    least: int = 4  # images in a class
    archives: tuple[Archive, ...] = ()


RESEARCH = "non-commercial research"
DOWNLOAD = "python -m pddm_lite.data download "
GITHUB = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"
STANFORD = "ftp://cs.stanford.edu/cs/cvgl/"
CALTECH = "https://data.caltech.edu/records/65de6-vp158/files/"

REAL: dict[str, Official] = {
    "cub200_2010": Official(
        "CUB-200 (2010)",
        ("cub200_2010",),
        classes=200,
        images=6033,
        train_images=2990,
        train_classes=100,
        licence=RESEARCH,
        get="by hand: cub200_2010.zip, a tree <NNN.Name>/<image>.jpg of the 2010 edition",
    ),
    "cub200_2011": Official(
        "CUB-200-2011",
        ("CUB_200_2011", "cub200_2011"),
        classes=200,
        images=11788,
        train_images=5864,
        train_classes=100,
        licence=RESEARCH,
        get=DOWNLOAD + "cub200_2011 (1.1 GB)",
        mark="images.txt",
        layout=layouts.cub,
        archives=(Archive("CUB_200_2011.tgz", "97eceeb196236b17998738112f37df78", CALTECH),),
    ),
    "cars196_half": Official(
        "CARS196 (official train images, box crops)",
        ("cars196_half",),
        classes=196,
        images=8144,
        train_images=4052,
        train_classes=98,
        licence=RESEARCH,
        get="by hand: cars196_half.zip, a tree <NNN.Name>/<image>.jpg",
    ),
    "cars196": Official(
        "CARS196",
        ("cars196", "stanford_cars", "cars"),
        classes=196,
        images=16185,
        train_images=8054,
        train_classes=98,
        licence=RESEARCH,
        get="the official links are dead: car_ims.tgz (1.9 GB) and cars_annos.mat by hand, then "
        + DOWNLOAD
        + "cars196",
        mark="car_ims",  # cars_annos.mat lies beside the archive before that is unpacked
        layout=layouts.cars,
        archives=(
            Archive("car_ims.tgz", "d5c8f0aa497503f355e17dc7886c3f14"),
            Archive("cars_annos.mat", "b407c6086d669747186bd1d764ff9dbc"),
        ),
    ),
    "sop": Official(
        "Stanford Online Products",
        ("Stanford_Online_Products", "sop"),
        classes=22634,
        images=120053,
        train_images=59551,
        train_classes=11318,
        licence="research, see its authors' terms",
        get=DOWNLOAD + "sop (2.9 GB; its server is down at times)",
        mark="Ebay_train.txt",
        layout=layouts.sop,
        least=2,  # many classes have two images; the sampler knows how to draw from those
        archives=(
            Archive("Stanford_Online_Products.zip", "7f73d41a2f44250d4779881525aea32e", STANFORD),
        ),
    ),
    # The releases (2010, 2012, 21K) differ in their counts, so there are none to hold it to.
    "imagenet": Official(
        "ImageNet",
        ("imagenet/train", "imagenet", "train"),
        classes=0,
        images=0,
        train_images=0,
        train_classes=0,
        licence=RESEARCH + ", registration",
        get="by hand from image-net.org, unpacked to imagenet/<wnid>/ or imagenet/train/<wnid>/",
        mark="n????????",
        layout=layouts.imagenet,
    ),
    "tiny_imagenet": Official(
        "Tiny-ImageNet (60+20 images a class)",
        ("tiny_imagenet", "tiny_imagenet_80"),
        classes=200,
        images=16000,
        train_images=8000,
        train_classes=100,
        licence=RESEARCH,
        get="by hand: tiny_imagenet_80.zip, a tree {train,val}/<wnid>/<image>.jpg",
        mark="train/n????????",
        layout=layouts.tiny_imagenet,
    ),
    "omniglot": Official(
        "Omniglot",
        ("omniglot", "omniglot-py"),
        classes=1623,
        images=32460,
        train_images=19280,
        train_classes=964,
        licence="MIT",
        get=DOWNLOAD + "omniglot (16 MB)",
        mark="images_background",
        layout=layouts.omniglot,
        archives=(
            Archive("images_background.zip", "68d2efa1b9178cc56df9314c21c6e718", GITHUB),
            Archive("images_evaluation.zip", "6b91aef0f799c5bb55b94e3f2daec811", GITHUB),
        ),
    ),
}


def locate(name: str, root: Path) -> tuple[Path, str]:
    """Where a set of REAL lies at or below `root`: (directory, "") or (zip, folder in it + "/").

    Looked at in turn: the set's folders in `root` and in `root`/`name` (where download unpacks to),
    `root` itself, and zips named as the folders.

    Raises:
        UserError: not there, or a zip that cannot be read.
    """
    spec = REAL[name]
    places = [root / f for f in spec.folders] + [root / name / f for f in spec.folders]
    if spec.mark:
        places.append(root)
    for place in places:
        if place.is_dir() and (not spec.mark or any(place.glob(spec.mark))):
            return place, ""
    zips = [f"{f}.zip" for f in spec.folders if "/" not in f]
    for file in zips:
        if (root / file).is_file():
            return root / file, _top(name, root / file, spec.mark)
    looked = [f"{f}/" for f in spec.folders] + zips
    inside = f" with {spec.mark} in it" if spec.mark else ""
    raise UserError(
        f"data root {shown(root)} has no {name}: looked for {', '.join(looked)}{inside}. "
        f"To get it: {spec.get}."
    )


def _top(name: str, path: Path, mark: str) -> str:
    """The folder of a zip in which `mark` lies, "" where that is the zip's top."""
    if not mark:
        return ""
    with open_zip(path) as z:
        names = [n for n in zip_members(z) if not n.startswith("__MACOSX/")]
    deep = mark.count("/") + 1
    for level in range(3):
        for n in names:
            parts = n.rstrip("/").split("/")
            if fnmatchcase("/".join(parts[level : level + deep]), mark):
                return "".join(f"{p}/" for p in parts[:level])
    raise UserError(f"{name}: {shown(path)} has no {mark} in it, so it is another archive.")


def open_real(name: str, root: Path, complete: bool = True) -> ImageSet:
    """The set of REAL called `name`, found as `locate` does.

    Args:
        complete: hold the sets that come without lists of their own (cub200_2010 and cars196_half)
            to their official counts; the others are held to their lists. `verify` checks counts.

    Raises:
        UserError: not there; a list that is broken or names a missing image or class; a class
            with too few images; only training or only test classes.
    """
    spec = REAL[name]
    path, top = locate(name, root)
    if spec.layout is None:
        expect = (spec.classes, spec.images) if complete else None
        return open_folder(path, name, spec.title, spec.train_classes, expect=expect)
    files = Files(name, path, top)
    train, test = ({c: m for c, m in half.items() if m} for half in spec.layout(files))
    if not train or not test:
        raise files.error(f"it has {len(train)} training and {len(test)} test classes with images")
    members = {**train, **test}
    names = [f for m in members.values() for f in m]
    labels = np.repeat(np.arange(len(members)), [len(m) for m in members.values()])
    for f, k in zip(names, labels, strict=True):
        if f not in files.images:
            raise files.error(f"{f} of class '{list(members)[k]}' is listed, but not there")
    if spec.least < 4:
        few = [c for c, m in members.items() if len(m) < spec.least]
        if few:
            raise files.error(f"class '{few[0]}' has 1 image, which makes no pair")
    else:
        check_classes(name, labels, tuple(members), spec.least)
    return image_set(
        files.tree,
        name,
        spec.title,
        [top + f for f in names],
        labels,
        tuple(members),
        len(train),
        top=top,
    )
