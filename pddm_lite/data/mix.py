"""mix:A,B,C: several data sets as one, each with its own class-disjoint split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from ..store.errors import UserError
from .base import ImageSet, fingerprint
from .names import MIX, world_of


def join(parts: Sequence[ImageSet]) -> ImageSet:
    """One set of two or more: part after part, class names as in "cub200_2010/Laysan Albatross".

    The training classes of all parts come first, then all their test classes, so that each part
    keeps its split. Images keep their order within a part. Negatives lie within a part: a batch
    comes from one (sampler.in_turn) and pairs are measured within one.

    Raises:
        UserError: fewer than two parts; a set twice, whose classes would join; one without pictures
            or that is a mix itself.
    """
    name = MIX + ",".join(p.name for p in parts)
    if len(parts) < 2:
        raise UserError(f"data set '{name}': a mix needs two sets or more, as in {MIX}A,B.")
    for k, p in enumerate(parts):
        if p.parts:
            raise UserError(f"data set '{name}': a mix cannot hold a mix; name the sets in a row.")
        if (drawn := world_of(p.name)) and not drawn.painted:
            raise UserError(f"data set '{name}': {p.name} has no pictures to mix with others.")
        for q in parts[:k]:
            if p.fingerprint == q.fingerprint or p.name == q.name:
                raise UserError(
                    f"data set '{name}': {q.name} and {p.name} are the same set, whose classes "
                    "would join; name each set once."
                )
    classes = [(k, c) for k, p in enumerate(parts) for c in range(p.train_classes)]
    train = len(classes)
    classes += [
        (k, c) for k, p in enumerate(parts) for c in range(p.train_classes, len(p.class_names))
    ]
    new = {of: n for n, of in enumerate(classes)}  # (part, its class) -> class of the mix
    renumbered = [
        np.array([new[k, c] for c in range(len(p.class_names))], dtype=np.int64)
        for k, p in enumerate(parts)
    ]
    ends = np.cumsum([len(p) for p in parts])

    def at(i: int) -> tuple[ImageSet, int]:
        k = int(np.searchsorted(ends, i, side="right"))
        return parts[k], i - int(ends[k - 1] if k else 0)

    def read(i: int) -> Image.Image:
        p, n = at(i)
        return p.read(n)

    def size(i: int) -> tuple[int, int]:
        p, n = at(i)
        return p.size(n) if p.size else p.read(n).size

    return ImageSet(
        name=name,
        title="mix of " + ", ".join(p.title for p in parts),
        labels=np.concatenate([own[p.labels] for own, p in zip(renumbered, parts, strict=True)]),
        class_names=tuple(f"{parts[k].name}/{parts[k].class_names[c]}" for k, c in classes),
        read=read,
        fingerprint=fingerprint("mix", *((p.name, p.fingerprint, p.train_classes) for p in parts)),
        train_classes=train,
        size=size,
        notes=tuple(f"{p.name}: {note}" for p in parts for note in p.notes),
        parts=tuple(parts),
    )
