"""What every data set looks like to the rest of the kit, and the paper's class-disjoint split."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from ..store.errors import UserError

SAMPLE = 200  # images that tell a set's typical size


@dataclass(frozen=True)
class ImageSet:
    """N labelled images, read one at a time.

    labels [N] int64 are 0..C-1 in the order of class_names; the first `train_classes` classes
    train, the others test (the class-disjoint split of the paper, Sec. 4).
    """

    name: str  # as on the command line
    title: str  # as figures and tables call it
    labels: np.ndarray
    class_names: tuple[str, ...]
    read: Callable[[int], Image.Image]  # image i in RGB
    fingerprint: str  # changes with the content
    train_classes: int
    # (width, height) of image i, where that is to be had without decoding it
    size: Callable[[int], tuple[int, int]] | None = None
    notes: tuple[str, ...] = ()  # what a user should know: files left out, halves put together
    parts: tuple[ImageSet, ...] = ()  # of a mix, whose images they are in turn; see mix.join
    latents: np.ndarray | None = None  # [N, 16] of a synthetic world: what its pictures show

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def side(self) -> int:
        """The typical shorter side in pixels: the median over images from all over the set.

        Raises:
            UserError: none of them can be read.
        """
        sides = []
        for i in spread(len(self), SAMPLE):
            try:
                sides.append(min(self.size(int(i)) if self.size else self.read(int(i)).size))
            except UserError as err:  # who reads it will say so
                broken = err
        if not sides:
            raise broken
        return int(np.median(sides))

    @property
    def part(self) -> np.ndarray:
        """[N] which part of a mix each image is of; 0 for all of a set that is no mix."""
        return np.repeat(np.arange(max(len(self.parts), 1)), [len(p) for p in self.parts or [self]])

    @property
    def train(self) -> np.ndarray:
        """Indices of the training classes' images."""
        return np.flatnonzero(self.labels < self.train_classes)

    @property
    def test(self) -> np.ndarray:
        """Indices of the test classes' images, none of them seen in training."""
        return np.flatnonzero(self.labels >= self.train_classes)


@dataclass(frozen=True)
class Split:
    """Indices into an ImageSet: fit trains, val (held-out classes) chooses, test reports."""

    fit: np.ndarray
    val: np.ndarray
    test: np.ndarray


def split(data: ImageSet, holdout: float, seed: int) -> Split:
    """The class-disjoint split, with a share `holdout` of the training classes set aside as val.

    Which classes are held out depends on the seed, so that the spread over seeds covers it.
    """
    order = np.random.default_rng([seed, 7]).permutation(data.train_classes)
    held = order[: round(holdout * data.train_classes)]
    if len(held) == 1:  # Recall among one class is always 100 and chooses nothing
        held = held[:0]
    is_val = np.isin(data.labels, held)
    train = data.labels < data.train_classes
    return Split(
        np.flatnonzero(train & ~is_val), np.flatnonzero(train & is_val), np.flatnonzero(~train)
    )


def spread(n: int, most: int) -> np.ndarray:
    """At most `most` of the indices 0..n-1, in order: one drawn from each of as many equal parts.

    Drawn, since equal steps could meet the first image of every class and no other; always alike.
    """
    most = min(most, n)
    edges = np.arange(most + 1) * n // max(most, 1)
    within = np.random.default_rng(0).random(most) * np.diff(edges)
    return edges[:-1] + within.astype(int)


def shown(name: object) -> str:
    """A file's name as text for people: bytes that are no UTF-8 and control characters as \\xNN.

    It is one line and fit for a file in UTF-8.
    """
    text = str(name)
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(c: str) -> str:
    if "\udc80" <= c <= "\udcff":  # how Python keeps a byte of a name that it cannot decode
        return f"\\x{ord(c) - 0xDC00:02x}"
    return ascii(c)[1:-1] if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c


def fingerprint(*parts: object) -> str:
    """A short hash of the parts' text or bytes."""
    h = hashlib.sha256()
    for part in parts:
        h.update(part if isinstance(part, bytes) else str(part).encode())
        h.update(b"\0")
    return h.hexdigest()[:16]


def check_classes(name: str, labels: np.ndarray, class_names: tuple[str, ...], least: int) -> None:
    """UserError unless there are two classes or more, each with at least `least` images."""
    if len(class_names) < 2:
        raise UserError(
            f"{name}: {len(class_names)} class found, but at least 2 are needed: "
            "one folder a class, images inside."
        )
    counts = np.bincount(labels, minlength=len(class_names))
    few = np.flatnonzero(counts < least)
    if len(few):
        raise UserError(
            f"{name}: class '{class_names[few[0]]}' has {counts[few[0]]} images, but the sampler "
            f"draws {least} a class ({len(few)} such classes); add images or leave those out."
        )
