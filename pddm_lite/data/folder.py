"""A class-per-folder tree of images, in a directory or in a zip file, read where it lies."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import numpy as np

from ..store.errors import UserError
from .base import ImageSet, check_classes, shown
from .tree import Tree, image_set, scan

# parts of a data set, which are no classes; as words, so that train2017 and seg_test are parts too
HALVES = ("train", "training", "val", "valid", "validation", "test", "testing")
_HALF = re.compile(rf"(?<![a-z])({'|'.join(HALVES)})(?![a-z])", re.IGNORECASE)


def open_folder(
    path: Path,
    name: str,
    title: str = "",
    train_classes: int = 0,
    images: int = 4,
    expect: tuple[int, int] | None = None,
) -> ImageSet:
    """The ImageSet of a tree `<class>/<image>`, deeper levels counting to the class.

    Folders named as parts of a set are no classes: of train/<class>/, val/<class>/, or of
    <class>/train/, <class>/val/, the images of a class are put together, and its classes split
    anew, so that none is on both sides.

    Args:
        path: a directory or a .zip with the class folders at its top or below one common folder.
        title: how figures call it; the name where empty.
        train_classes: the first that many classes (sorted by name) train; 0: half of them.
        images: least images a class (the sampler's draw).
        expect: (classes, images) that must be found.

    Raises:
        UserError: missing or empty path, one class only, none or too few images in a class, parts
            that cannot be told from classes, other counts than expected. Images are opened on
            reading, where a truncated one is named.
    """
    if not path.exists():
        raise UserError(f"{name}: {shown(path)} does not exist; give its folder with --data-root.")
    tree = scan(path)
    if not tree.images:
        left = tree.left_out()
        raise UserError(
            f"{name}: no image below {shown(path)}; expected <class>/<image>.jpg (or .png ...)"
            + (f"; left out: {left}." if left else ".")
        )
    names = sorted(tree.images)
    folders = [n.split("/")[:-1] for n in names]
    top, deepest = "", max(map(len, folders))
    while deepest > 1 and all(folders) and len({f[0] for f in folders}) == 1:
        top += f"{folders[0][0]}/"  # a common top folder is no class
        folders, deepest = [f[1:] for f in folders], deepest - 1
    if loose := [n for n, f in zip(names, folders, strict=True) if not f]:
        if any(folders):
            raise UserError(f"{name}: {loose[0]} lies beside the class folders; move it away.")
    level, parts = _parts(folders)
    classes = [_without(f, level) for f in folders]
    if parts and not all(classes):
        lone = names[classes.index([])]
        raise UserError(
            f"{name}: {lone} lies in no class folder, but {' and '.join(parts)} are parts of a "
            "set; expected <part>/<class>/<image>: move it into a class folder or away."
        )
    _check_folders(tree, name, top, level, {c[0] for c in classes if c})
    class_of = [unicodedata.normalize("NFC", "/".join(c)) for c in classes]
    class_names = tuple(sorted(set(class_of)))
    notes = _check_parts(name, class_of, [f[level] for f in folders] if parts else [])
    notes += _alike(class_names)
    if expect and (len(class_names), len(names)) != expect:
        raise UserError(
            f"{name}: {shown(path)} holds {len(class_names)} classes and {len(names)} images, but "
            f"{expect[0]} and {expect[1]} belong there; fetch it again."
        )
    index = {c: k for k, c in enumerate(class_names)}
    labels = np.array([index[c] for c in class_of], dtype=np.int64)
    check_classes(name, labels, class_names, images)
    order = np.argsort(labels, kind="stable")
    return image_set(
        tree,
        name,
        title or name,
        [names[i] for i in order],
        labels[order],
        class_names,
        train_classes or len(class_names) // 2,
        notes=notes,
    )


def _without(folders: list[str], level: int | None) -> list[str]:
    return folders if level is None else folders[:level] + folders[level + 1 :]


def _parts(folders: list[list[str]]) -> tuple[int | None, list[str]]:
    """(level, names) of the folders that are parts of a set, as train and val; (None, []): none.

    They are all folders of one level, and differ in nothing but the word for the part.
    """
    for level in range(min(map(len, folders))):
        here = sorted({f[level] for f in folders})
        alike = {_HALF.sub("", f.lower()) for f in here}
        deep = len(here) > 1 or any(len(f) > 1 for f in folders)
        if deep and len(alike) == 1 and all(map(_HALF.search, here)):
            return level, here
    return None, []


def _check_parts(name: str, class_of: list[str], part_of: list[str]) -> tuple[str, ...]:
    """What to say of the parts put together; UserError where a class could be on both sides."""
    parts_of: dict[str, set[str]] = {}
    for c, part in zip(class_of, part_of or class_of, strict=True):
        parts_of.setdefault(c, set()).add(part)
    seen: dict[str, str] = {}
    for c, own in parts_of.items():
        # of parts put together, "Ant" here and "ant" there are one; else a word may be left
        key = c.lower() if part_of else "/".join(p for p in c.split("/") if p.lower() not in HALVES)
        other = seen.setdefault(key, c)
        if other != c and not (part_of and own & parts_of[other]):
            raise UserError(
                f"{name}: are '{other}' and '{c}' one class? Its images must lie in folders of one "
                "name, <class>/ or train/<class>/ and val/<class>/ with nothing beside these two; "
                "rename or move them."
            )
    if not part_of:
        return ()
    parts, both = sorted(set(part_of)), sum(len(p) > 1 for p in parts_of.values())
    return (
        f"{', '.join(parts)} are put together: {len(parts_of):,} classes, {both:,} of them in more "
        "than one; which classes train is decided anew",
    )


def _alike(class_names: tuple[str, ...]) -> tuple[str, ...]:
    """What to say of classes whose names differ by no more than letters' case or blanks."""
    by_key: dict[str, list[str]] = {}
    for c in class_names:
        key = unicodedata.normalize("NFKC", c).casefold()
        by_key.setdefault(re.sub(r"[\s_-]+", " ", key).strip(), []).append(c)
    if not (groups := [own for own in by_key.values() if len(own) > 1]):
        return ()
    names = " and ".join(f"'{c}'" for c in groups[0])
    more = f" (and {len(groups) - 1} more such names)" if groups[1:] else ""
    return (
        f"{names} are counted as {len(groups[0])} classes{more}: if they are one, put their images "
        "into one folder, else one may train and the other test",
    )


def _check_folders(tree: Tree, name: str, top: str, level: int | None, classes: set[str]) -> None:
    """UserError for a class folder without images."""
    empty = {}
    for folder in tree.folders:
        if folder.startswith(top) and (inner := folder[len(top) :]):
            parts = _without(inner.split("/"), level)
            if parts and parts[0] not in classes:
                empty.setdefault(parts[0], []).append(folder)
    if empty:
        first = min(empty)
        left = tree.left_out(empty[first])
        raise UserError(
            f"{name}: class folder {min(empty[first])} holds no image ({len(empty)} such"
            + (f"; left out there: {left}" if left else "")
            + "); fill it or take it away."
        )
