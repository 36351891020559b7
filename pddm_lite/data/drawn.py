"""NAME@N of a real data set: N classes drawn at random train, the others are new."""

from __future__ import annotations

import dataclasses

import numpy as np

from ..store.errors import UserError
from .base import ImageSet

SEED = 0  # of the draw: the same classes on every machine and for every run's seed


def draw_training_classes(data: ImageSet, number: str) -> ImageSet:
    """`data` with another class-disjoint split: `number` classes drawn at random train.

    The official order of some sets is no random one (that of WordNet's ids puts animals first and
    tools last), and a split in the middle of it asks for transfer between kingdoms. Images keep
    their order, name and fingerprint, and so cached features serve every split of a set.

    Raises:
        UserError: no whole number from 2 to the classes less 2.
    """
    classes = len(data.class_names)
    if not number.isdecimal() or not 2 <= int(number) <= classes - 2:
        raise UserError(
            f"data set '{data.name}@{number}': after @ stands how many of its {classes} classes "
            f"train, a whole number from 2 to {classes - 2}."
        )
    n = int(number)
    order = np.random.default_rng([SEED, 23]).permutation(classes)
    order = np.concatenate([np.sort(order[:n]), np.sort(order[n:])])  # new number -> old
    return dataclasses.replace(
        data,
        title=f"{data.title}, {n} random classes train",
        labels=np.argsort(order)[data.labels].astype(np.int64),
        class_names=tuple(data.class_names[c] for c in order),
        train_classes=n,
    )
