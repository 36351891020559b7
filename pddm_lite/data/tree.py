"""The files of a data set, found in a directory or in a zip."""

from __future__ import annotations

import os
import posixpath
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..store.errors import UserError
from . import pictures
from .base import ImageSet, fingerprint, shown
from .contents import File, checksums
from .reader import Reader, open_zip, zip_members

# What systems put among pictures, in lower case; names that begin with a dot besides
LITTER = {"__macosx", "lost+found", "$recycle.bin", "recycler", "system volume information"}
LITTER |= {"@eadir", "@recycle", "#recycle", "#snapshot", "__pycache__", "thumbs.db", "desktop.ini"}

PLURAL = {  # of what is left out besides files
    "link to nothing": "links to nothing",
    "link to a file that is counted already": "links to files that are counted already",
    "link to a folder that is counted already": "links to folders that are counted already",
    "link in the zip": "links in the zip",
    "thing that is no file": "things that are no files",
}


@dataclass
class Tree:
    """What lies below a directory or in a zip, by names with "/" that people can read."""

    path: Path
    images: dict[str, File] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    left: dict[str, Counter] = field(default_factory=dict)  # folder -> suffix -> files
    aside: Counter = field(default_factory=Counter)  # other things left out -> how many

    def left_out(self, folders: Iterable[str] | None = None) -> str:
        """Files in `folders` (all if None) that are no pictures by suffix: "13 .heic, 2 .txt"."""
        folders = self.left if folders is None else folders
        total = sum((self.left.get(f, Counter()) for f in set(folders)), Counter())
        by_number = sorted(total.items(), key=lambda item: (-item[1], item[0]))
        text = ", ".join(f"{n:,} {s or 'without suffix'}" for s, n in by_number)
        if total.keys() & {".heic", ".heif"}:
            text += " (pip install pillow-heif reads HEIC)"
        return text

    def notes(self, names: Iterable[str]) -> tuple[str, ...]:
        """What was left out around the images called `names`, a line each."""
        left = self.left_out(posixpath.dirname(n) for n in names)
        lines = [f"left out, as no images by their suffix: {left}"] if left else []
        for one, n in self.aside.items():
            lines.append(f"left out: {n:,} {one if n == 1 else PLURAL.get(one, one)}")
        return tuple(lines)

    def contents(self, names: list[str]) -> list[str]:
        """Size and checksum (CRC-32) of these images' bytes, the same in a directory and its zip.

        A zip holds the checksums. In a directory every file is read once; where that took a while,
        its checksum is kept in the user's cache for as long as size, times and inode stay.
        """
        files = [self.images[n] for n in names]
        if self.path.is_dir():
            crcs = checksums(self.path, names, files)
        else:
            crcs = [f.crc for f in files]
        return [f"{f.size}:{crc:08x}" for f, crc in zip(files, crcs, strict=True)]


# ------------------------------------------------------------------------------- finding


def scan(path: Path) -> Tree:
    """All images below a directory or in a zip.

    Links to files and folders are followed; what is met a second time is left out, so that no loop
    of links is endless.

    Raises:
        UserError: neither a directory nor a readable zip; a folder that may not be read.
    """
    tree, known = Tree(path), pictures.suffixes()
    for folder, files in _walk(tree) if path.is_dir() else _walk_zip(tree):
        inside = f"{folder}/" if folder else ""
        tree.folders |= {folder} if folder else set()
        for name, file in files:
            suffix = posixpath.splitext(name)[1].lower()
            if suffix in known:
                tree.images[inside + name] = file
            else:
                tree.left.setdefault(folder, Counter())[suffix] += 1
    return tree


Listing = tuple[str, list[tuple[str, File]]]  # a folder, its files and what they are called there


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.lower() in LITTER


def _is_results(folder: str, dirs: Iterable[str], files: Iterable[str]) -> bool:
    """Whether a run of this kit made the folder: no class, though it holds figures."""
    dirs = set(dirs)
    if not folder or any(f.lower().endswith(pictures.suffixes()) for f in files):
        return False
    made = {"runs", "features"} <= dirs or any(d.startswith(".tmp-") for d in dirs)
    return made or posixpath.basename(folder).lower() == "results"


def _walk(tree: Tree) -> Iterator[Listing]:
    root = os.path.realpath(tree.path)
    seen = {root, *map(str, Path(root).parents)}  # real paths of folders
    todo, links = [("", root)], []
    files_by_link, real = [], set()
    while todo or links:
        if not todo:  # links last, so that a folder has the name of where it lies
            links.sort(reverse=True)
            folder, path = links.pop()
            path = os.path.realpath(path)
            if path in seen:
                tree.aside["link to a folder that is counted already"] += 1
                continue
            todo.append((folder, path))
        folder, path = todo.pop()
        seen.add(path)
        try:
            with os.scandir(path) as found:
                entries = sorted(found, key=lambda e: e.name)
        except OSError as err:
            raise _closed(tree, folder, err) from None
        names = [e.name for e in entries]
        if _is_results(folder, names, names):
            tree.aside[f"folder of a run's results, {folder}"] += 1
            continue
        files = []
        try:
            for e in entries:
                if _is_litter(e.name):
                    continue
                name, link = _text(e.name), e.is_symlink()
                if _true(e.is_dir):
                    (links if link else todo).append((f"{folder}/{name}".lstrip("/"), e.path))
                elif not _true(e.is_file):  # nowhere, or no file at all
                    tree.aside["link to nothing" if link else "thing that is no file"] += 1
                elif link:
                    files_by_link.append((folder, name, e.path))
                else:
                    real.add(e.path)
                    files.append((name, _file(root, e.path)))
        except PermissionError as err:  # its names may be read, and nothing of what they name
            raise _closed(tree, folder, err, e.name) from None
        yield folder, files
    for folder, name, path in files_by_link:
        if os.path.realpath(path) in real:
            tree.aside["link to a file that is counted already"] += 1
        else:
            yield folder, [(name, _file(root, path))]


def _closed(tree: Tree, folder: str, err: OSError, inside: str = "") -> UserError:
    """The error for a folder that may not be read, or what it holds under the name `inside`."""
    what = f"{_text(inside)} in folder {folder or '.'}" if inside else f"folder {folder or '.'}"
    return UserError(
        f"{shown(tree.path)}: {what} cannot be read ({err.strerror}); give yourself the right to, "
        "or move it away."
    )


def _true(test: Callable[[], bool]) -> bool:
    """test(), False for a link that leads in a circle.

    Raises:
        PermissionError: one may not look there; what it is cannot be told.
    """
    try:
        return test()
    except PermissionError:
        raise
    except OSError:
        return False


def _text(raw: str) -> str:
    """The name `raw` of a file as people read it; the same in every locale."""
    if raw.isascii():
        return shown(raw)
    return shown(os.fsencode(raw).decode("utf-8", "surrogateescape"))


def _file(root: str, path: str) -> File:
    s = os.stat(path)
    stamp = f"{s.st_size} {s.st_ino} {s.st_mtime_ns} {s.st_ctime_ns}"
    return File(path.removeprefix(root + os.sep), s.st_size, stamp)


def _walk_zip(tree: Tree) -> Iterator[Listing]:
    dirs: dict[str, set[str]] = {"": set()}  # folder -> folders in it
    files: dict[str, list[tuple[str, File]]] = {}
    with open_zip(tree.path) as z:
        for name, i in zip_members(z).items():
            folder, _, file = name.rpartition("/")
            if file and stat.S_ISLNK(i.external_attr >> 16):
                tree.aside["link in the zip"] += 1
            elif file:
                entry = file, File(i.filename, i.file_size, crc=i.CRC)
                files.setdefault(folder, []).append(entry)
            parts = folder.split("/") if folder not in dirs else []
            for k, part in enumerate(parts):
                dirs.setdefault("/".join(parts[:k]), set()).add(part)
            dirs.setdefault(folder, set())
    todo = [""]
    while todo:
        folder = todo.pop()
        own, here = dirs[folder], files.get(folder, [])
        if _is_results(folder, own, [f for f, _ in here]):
            tree.aside[f"folder of a run's results, {folder}"] += 1
            continue
        todo += [f"{folder}/{d}".lstrip("/") for d in own if not _is_litter(d)]
        yield folder, [(f, file) for f, file in here if not _is_litter(f)]


def image_set(
    tree: Tree,
    name: str,
    title: str,
    names: list[str],
    labels: np.ndarray,
    class_names: tuple[str, ...],
    train_classes: int,
    top: str = "",
    notes: tuple[str, ...] = (),
) -> ImageSet:
    """The ImageSet of the images of `tree` called `names`, of classes `labels` [N].

    Its fingerprint knows names below `top`, labels, and content.
    """
    rows = zip(names, tree.contents(names), labels.tolist(), strict=True)
    read = Reader(tree.path, names, {n: r for n in names if (r := tree.images[n].raw) != n})
    return ImageSet(
        name=name,
        title=title,
        labels=labels.astype(np.int64),
        class_names=class_names,
        read=read,
        fingerprint=fingerprint(
            pictures.VERSION, *(f"{n.removeprefix(top)}:{c}:{k}" for n, c, k in rows)
        ),
        train_classes=train_classes,
        size=read.size,
        notes=(*notes, *tree.notes(names)),
    )
