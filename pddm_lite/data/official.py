"""Real data sets in their official layouts: where each lies, and which class each image has.

An entry of REAL and, where the layout is a new one, a function from its files to (training
classes, test classes) are all that another set needs.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from ..errors import UserError
from .base import ImageSet, check_classes, shown
from .folder import open_folder
from .tree import Reader, image_set, open_zip, scan, zip_members

Classes = dict[str, list[str]]  # class name -> its image files, both in the order of the labels
WNID = re.compile(r"n\d{8}")  # WordNet's name of a class


class Files:
    """The files of one set: those below the folder `top` ("" or "a/b/") of a directory or zip."""

    def __init__(self, name: str, path: Path, top: str = ""):
        self.name, self.path, self.top = name, path, top
        self.tree = scan(path)
        self.images = {f[len(top) :] for f in self.tree.images if f.startswith(top)}

    def bytes(self, file: str) -> bytes:
        try:
            return Reader(self.path, []).raw(self.top + file)
        except Exception as err:  # OSError, KeyError, BadZipFile, zlib.error, ...
            raise self.error(f"{file} cannot be read ({type(err).__name__})") from None

    def error(self, what: str) -> UserError:
        return UserError(
            f"{self.name}: {what}; unpack the official archive again ({shown(self.path)})."
        )

    def table(self, file: str, *columns: str) -> dict[str, list[str]]:
        """First column -> the other columns of a text list, the last of which may hold blanks.

        A first line that names the columns is left out.

        Raises:
            UserError: no such text, a line with fewer columns, the same first column twice.
        """
        try:
            lines = self.bytes(file).decode("utf-8-sig").splitlines()
        except UnicodeDecodeError:
            raise self.error(f"{file} is no text") from None
        rows = {}
        for number, line in enumerate(lines, 1):
            row = line.split(maxsplit=len(columns) - 1)
            if not row or row == list(columns):
                continue
            if len(row) < len(columns):
                raise self.error(f"{file}, line {number}: expected {' '.join(columns)}")
            if row[0] in rows:
                raise self.error(f"{file}, line {number}: {columns[0]} {row[0]} comes twice")
            rows[row[0]] = [*row[1:-1], row[-1].rstrip()]
        return rows


# ---------------------------------------------------- layouts: files -> (train, test) classes


def _cub(files: Files) -> tuple[Classes, Classes]:
    """images.txt, image_class_labels.txt and classes.txt; the first half of the classes trains."""
    names = {c: row[0] for c, row in files.table("classes.txt", "class_id", "name").items()}
    images = files.table("images.txt", "image_id", "path")
    labels = files.table("image_class_labels.txt", "image_id", "class_id")
    if lone := sorted(images.keys() ^ labels.keys()):
        raise files.error(
            f"image {lone[0]} is not in both of images.txt and image_class_labels.txt"
        )
    members: dict[str, list[str]] = {c: [] for c in names}
    for image, (path,) in images.items():
        (c,) = labels[image]
        if c not in members:
            raise files.error(
                f"image_class_labels.txt: class id {c} of image {image} is not among the "
                f"{len(names)} of classes.txt"
            )
        members[c].append(f"images/{path}")
    return _halves({names[c]: m for c, m in members.items()})


def _cars(files: Files) -> tuple[Classes, Classes]:
    """cars_annos.mat, which lists both official halves; the first half of the classes trains.

    Images are whole: the annotated boxes go unused, as in the papers that report on CARS196.
    """
    from scipy.io import loadmat  # here, since no other set needs it

    raw = files.bytes("cars_annos.mat")
    try:
        mat = loadmat(io.BytesIO(raw), squeeze_me=True)
        names = [str(n) for n in np.atleast_1d(mat["class_names"])]
        notes = np.atleast_1d(mat["annotations"])
        listed = [(str(a["relative_im_path"]), int(a["class"])) for a in notes]
    except Exception as err:  # scipy raises many kinds, all of which mean the same here
        reason = f"{type(err).__name__}: {err}".split("\n")[0]
        raise files.error(f"cars_annos.mat is not the official one ({reason})") from None
    # The same names as cars196_half has, so that runs on the two can be set side by side.
    names = [
        f"{k:03d}.{n.replace(' ', '_').replace('/', '-')}" for k, n in enumerate(names, start=1)
    ]
    members: Classes = {n: [] for n in names}
    for path, c in listed:
        if not 1 <= c <= len(names):
            raise files.error(
                f"cars_annos.mat: class id {c} of {path} is out of range 1 to {len(names)}"
            )
        members[names[c - 1]].append(path)
    return _halves(members)


def _sop(files: Files) -> tuple[Classes, Classes]:
    """Ebay_train.txt and Ebay_test.txt; a class is called "<super class>/<class id>"."""
    halves: list[Classes] = []
    seen: set[str] = set()
    for file in ("Ebay_train.txt", "Ebay_test.txt"):
        members: dict[str, list[str]] = {}
        for image, (c, _, path) in files.table(
            file, "image_id", "class_id", "super_class_id", "path"
        ).items():
            if not c.isdecimal() or not 1 <= int(c) <= 22634:
                raise files.error(f"{file}: class id {c} of image {image} is out of range 1-22634")
            if c in seen:
                raise files.error(f"{file}: class id {c} is in Ebay_train.txt already")
            members.setdefault(c, []).append(path)
        seen |= members.keys()
        kind = {c: m[0].split("/")[0].removesuffix("_final") for c, m in members.items()}
        halves.append({f"{kind[c]}/{c}": m for c, m in members.items()})
    return halves[0], halves[1]


def _omniglot(files: Files) -> tuple[Classes, Classes]:
    """images_background/ (train) and images_evaluation/ (test): <Alphabet>/<character>/<image>."""
    parts: dict[str, Classes] = {"images_background": {}, "images_evaluation": {}}
    for file in sorted(files.images):
        part, *folders, _ = file.split("/") if "/" in file else ("", "")
        if part not in parts:
            continue  # other things lie here too, such as strokes
        if len(folders) != 2:
            raise files.error(f"{file} is not {part}/<Alphabet>/<character>/<image>")
        parts[part].setdefault("/".join(folders), []).append(file)
    train, test = parts.values()
    if both := sorted(train.keys() & test.keys()):
        raise files.error(f"{both[0]} is in both images_background and images_evaluation")
    return train, test


def _tiny_imagenet(files: Files) -> tuple[Classes, Classes]:
    """{train,val}/<wnid>/<image>, the two together; the first half of the wnids trains."""
    parts = [f for f in files.images if f.startswith(("train/", "val/"))]
    return _wnids(files, {f: f.partition("/")[2] for f in parts})


def _imagenet(files: Files) -> tuple[Classes, Classes]:
    """<wnid>/<image>; the first half of the wnids trains."""
    return _wnids(files, {f: f for f in files.images})


def _wnids(files: Files, below: dict[str, str]) -> tuple[Classes, Classes]:
    members: Classes = {}
    for file, inner in sorted(below.items(), key=lambda item: (item[1].split("/")[0], item[0])):
        wnid = inner.split("/")[0]
        if "/" not in inner or not WNID.fullmatch(wnid):
            raise UserError(
                f"{files.name}: {file} in {files.path} lies in no folder named by a WordNet id "
                "(n and 8 digits, as in n01440764); move it away."
            )
        members.setdefault(wnid, []).append(file)
    return _halves(members)


def _halves(members: Classes) -> tuple[Classes, Classes]:
    names = list(members)
    half = len(names) // 2
    return {c: members[c] for c in names[:half]}, {c: members[c] for c in names[half:]}


# ---------------------------------------------------------------------------- the sets


@dataclass(frozen=True)
class Archive:
    """A file to fetch. `url` is "" where no link is known to live."""

    file: str
    md5: str
    url: str = ""


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
        layout=_cub,
        archives=(
            Archive(
                "CUB_200_2011.tgz",
                "97eceeb196236b17998738112f37df78",
                CALTECH + "CUB_200_2011.tgz",
            ),
        ),
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
        layout=_cars,
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
        layout=_sop,
        least=2,  # many classes have two images; the sampler knows how to draw from those
        archives=(
            Archive(
                "Stanford_Online_Products.zip",
                "7f73d41a2f44250d4779881525aea32e",
                "ftp://cs.stanford.edu/cs/cvgl/Stanford_Online_Products.zip",
            ),
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
        layout=_imagenet,
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
        layout=_tiny_imagenet,
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
        layout=_omniglot,
        archives=(
            Archive(
                "images_background.zip",
                "68d2efa1b9178cc56df9314c21c6e718",
                GITHUB + "images_background.zip",
            ),
            Archive(
                "images_evaluation.zip",
                "6b91aef0f799c5bb55b94e3f2daec811",
                GITHUB + "images_evaluation.zip",
            ),
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
        f"data root {root} has no {name}: looked for {', '.join(looked)}{inside}. "
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
    raise UserError(f"{name}: {path} has no {mark} in it, so it is another archive.")


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
