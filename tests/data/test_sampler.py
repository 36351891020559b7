"""Batches of classes x images: shape, balance, no repeats, the same for the same seed."""

import itertools

import numpy as np
import pytest

from pddm_lite.data.sampler import class_balanced
from pddm_lite.store.errors import UserError


def labels_of(sizes, seed=0, names=None):
    """Shuffled labels with classes of the given sizes, named by `names` (10, 13, 16, ...)."""
    names = names or range(10, 10 + 3 * len(sizes), 3)
    labels = np.repeat(list(names), sizes)
    return np.random.default_rng(seed).permutation(labels)


def take(number, *args):
    return list(itertools.islice(class_balanced(*args), number))


SHAPES = [
    ((4, 4), 2, 4),
    ((4, 5, 9), 2, 4),
    ((5,) * 7, 4, 3),
    ((2, 30, 3, 8, 8), 5, 2),
    ((6,) * 40, 16, 4),
    ((4, 4, 4), 1, 1),
]


@pytest.mark.parametrize(("sizes", "classes", "images"), SHAPES)
def test_every_batch_has_its_classes_and_different_images_of_each(sizes, classes, images):
    labels = labels_of(sizes)
    for batch in take(60, labels, classes, images, 3):
        assert batch.shape == (classes * images,)
        assert len(set(batch.tolist())) == classes * images  # no image twice
        drawn = labels[batch].reshape(classes, images)
        assert (drawn == drawn[:, :1]).all()  # class by class
        assert len(set(drawn[:, 0].tolist())) == classes


@pytest.mark.parametrize(("sizes", "classes", "images"), SHAPES)
def test_classes_and_images_are_seen_about_equally_often(sizes, classes, images):
    labels = labels_of(sizes)
    batches = np.concatenate(take(600, labels, classes, images, 1))
    seen = np.bincount(batches, minlength=len(labels))
    per_class = {c: seen[labels == c].sum() for c in set(labels.tolist())}
    mean = len(batches) / len(sizes)
    assert all(0.9 * mean < n < 1.1 * mean for n in per_class.values()), per_class
    for c, n in per_class.items():
        own = seen[labels == c]
        assert own.min() > 0
        assert 0.75 * n / len(own) < own.min() and own.max() < 1.25 * n / len(own), own


def test_all_is_seen_within_two_rounds():
    labels = labels_of((6,) * 10)
    # a round of classes is 10 / 4 batches and one of images 6 / 4 visits: nothing waits longer
    batches = take(2 * 3 * 2 * 2, labels, 4, 4, 0)
    assert set(np.concatenate(batches).tolist()) == set(range(60))
    for a in range(len(batches) - 5):  # every class within any two rounds of three batches
        assert len(set(labels[np.concatenate(batches[a : a + 6])].tolist())) == 10


@pytest.mark.parametrize(
    ("sizes", "classes", "images", "named"),
    [
        ((4, 4, 4), 4, 4, ["4 classes", "only 3 train", "--set classes_per_batch=3"]),
        ((9, 1), 2, 2, ["one image", "needs two"]),
        ((7,), 2, 4, ["2 classes", "only 1 train"]),
    ],
)
def test_what_cannot_be_drawn_is_refused_at_once(sizes, classes, images, named):
    with pytest.raises(UserError) as error:
        class_balanced(labels_of(sizes), classes, images, 0)  # before the first batch
    assert "\n" not in str(error.value)
    assert all(part in str(error.value) for part in named), error.value


def test_a_small_class_repeats_its_images_and_shows_them_equally_often():
    labels = labels_of((2, 3, 9))
    drawn = np.concatenate(take(300, labels, 3, 4, 0))
    for c in np.unique(labels):
        counts = np.bincount(drawn, minlength=len(labels))[labels == c]
        assert counts.sum() == 300 * 4 and counts.max() - counts.min() <= 0.1 * counts.mean()
    first = next(class_balanced(labels, 3, 4, 0))
    of_two = np.flatnonzero(np.bincount(labels)[labels] == 2)
    assert [(first == i).sum() for i in of_two] == [2, 2]


def test_processes_draw_batches_of_their_own_and_the_first_draws_as_if_alone():
    labels = labels_of((5,) * 8)
    alone, others = (
        take(5, labels, 4, 3, 0),
        [
            [next(b) for _ in range(5)]
            for b in (class_balanced(labels, 4, 3, 0, r) for r in range(3))
        ],
    )
    assert np.array_equal(alone, others[0])
    assert not np.array_equal(others[0], others[1]) and not np.array_equal(others[1], others[2])
