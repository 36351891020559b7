"""Official layouts: which class each image of a real data set has, and which classes train.

A layout is a function from a set's files to (training classes, test classes).
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np

from ..store.errors import UserError
from .base import shown
from .reader import Reader
from .tree import scan

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


def cub(files: Files) -> tuple[Classes, Classes]:
    """images.txt, image_class_labels.txt and classes.txt; the first half of the classes trains."""
    names = {c: row[0] for c, row in files.table("classes.txt", "class_id", "name").items()}
    images = files.table("images.txt", "image_id", "path")
    labels = files.table("image_class_labels.txt", "image_id", "class_id")
    if lone := sorted(images.keys() ^ labels.keys()):
        raise files.error(f"image {lone[0]} is not in both images.txt and image_class_labels.txt")
    members: dict[str, list[str]] = {c: [] for c in names}
    for image, (path,) in images.items():
        (c,) = labels[image]
        if c not in members:
            where = f"image_class_labels.txt: class id {c} of image {image}"
            raise files.error(f"{where} is not among the {len(names)} of classes.txt")
        members[c].append(f"images/{path}")
    return _halves({names[c]: m for c, m in members.items()})


def cars(files: Files) -> tuple[Classes, Classes]:
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
            raise files.error(f"cars_annos.mat: class id {c} of {path} is not in 1 to {len(names)}")
        members[names[c - 1]].append(path)
    return _halves(members)


def sop(files: Files) -> tuple[Classes, Classes]:
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


def omniglot(files: Files) -> tuple[Classes, Classes]:
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


def tiny_imagenet(files: Files) -> tuple[Classes, Classes]:
    """{train,val}/<wnid>/<image>, the two together; the first half of the wnids trains."""
    parts = [f for f in files.images if f.startswith(("train/", "val/"))]
    return _wnids(files, {f: f.partition("/")[2] for f in parts})


def imagenet(files: Files) -> tuple[Classes, Classes]:
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
