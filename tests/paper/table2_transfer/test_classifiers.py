"""The protocol of transfer: who asks and who makes means, nested subsets, tidy frames, errors."""

import numpy as np
import pytest
import torch

from pddm_lite.measures.learned import linear_classifier
from pddm_lite.measures.ncm import Rows, accuracy, class_means, knn
from pddm_lite.paper.table2_transfer.classifiers import (
    check_disjoint,
    check_images,
    curves,
    linear,
    log_grid,
    nearest_mean,
    neighbours,
    split_images,
)
from pddm_lite.store.errors import UserError

NEW = np.arange(10, 40)
NCM = {"NCM": nearest_mean}


def data(seed=0, spread=1.0):
    """40 classes of 8 to 12 images in random order, 6 dimensions."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(40), 8 + np.arange(40) % 5))
    x = rng.standard_normal((40, 6))[labels] + spread * rng.standard_normal((len(labels), 6))
    return torch.from_numpy(x).float(), labels


def test_each_class_is_split_and_the_same_images_ask_for_every_n():
    _, labels = data()
    pool, asking = split_images(labels, seed=3)
    for c in range(40):
        own, asked = set(pool[c].tolist()), set(asking[labels[asking] == c].tolist())
        assert not own & asked and own | asked == set(np.flatnonzero(labels == c).tolist())
        assert len(asked) == len(own | asked) // 2  # 11 images: 5 ask
    again, other = split_images(labels, seed=3), split_images(labels, seed=4)
    assert all(np.array_equal(again[0][c], pool[c]) for c in pool)
    assert np.array_equal(again[1], asking) and not np.array_equal(other[1], asking)
    two = split_images(np.array([0, 1, 0, 1]), seed=0, queries=0.9)
    assert [len(p) for p in two[0].values()] == [1, 1] and len(two[1]) == 2


def test_the_grid_of_numbers_of_classes():
    assert log_grid(10_000) == [10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000]
    assert log_grid(70) == [10, 20, 50, 70] and log_grid(10) == [10] and log_grid(4) == [4]


def test_a_row_is_what_the_parts_say():
    x, labels = data()
    every = NCM | {"k-NN": neighbours, "linear": linear}
    frame = curves(x, labels, NEW, every, [30], per_mean=[2], draws=1, seed=5)
    order = np.random.default_rng([5, 0, 19]).permutation(NEW)
    images = np.flatnonzero(np.isin(labels, NEW))
    pool, asking = split_images(labels[images], 5000)
    number = {c: i for i, c in enumerate(order.tolist())}
    train = np.sort(np.concatenate([images[p[:2]] for p in pool.values()]))
    y = np.array([number[c] for c in labels[train]])
    q, asked = x[images[asking]], np.array([number[c] for c in labels[images[asking]]])
    got = frame.set_index(["classifier", "k"])["accuracy"]
    want = accuracy(q, asked, class_means(x[train], y, 30))
    assert (got["NCM", 1], got["NCM", 5]) == (want[1], want[5])
    near = knn(q, x[train], y, 2).numpy()
    assert got["k-NN", 1] == pytest.approx(100 * (near == asked).mean())
    W, b = linear_classifier(Rows(x, train), y, 30, seed=5000)
    assert got["linear", 1] == accuracy(q, asked, W, b)[1]
    assert (frame["images"] == 2).all() and (frame["queries"] == len(asked)).all()
    assert 5 < got["NCM", 1] < 95


def test_the_frame_is_tidy_seeded_and_falls_with_classes_and_rises_with_images():
    x, labels = data(1, spread=0.7)
    kw = dict(classifiers=NCM, sizes=[5, 10, 30], per_mean=[1, 4, 100, 0], draws=6)
    frame = curves(x, labels, NEW, **kw)
    assert list(frame.columns) == [
        "classifier", "classes", "per_mean", "images", "queries", "draw", "k", "accuracy",
    ]  # fmt: skip
    assert len(frame) == 3 * 4 * 6 * 2 and not frame.duplicated(list(frame.columns)[:-1]).any()
    assert frame.equals(curves(x.numpy(), labels, NEW, **kw))
    assert not frame.equals(curves(x, labels, NEW, **kw, seed=1))
    of = frame.groupby(["classes", "per_mean", "k"])["accuracy"].mean()
    for k in (1, 5):
        assert of[5, 4, k] >= of[10, 4, k] > of[30, 4, k]
        assert of[30, 1, k] < of[30, 4, k]
        assert of[30, 100, k] == of[30, 0, k]  # those who have fewer give all
    assert of[5, 4, 5] == 100  # 5 of 5
    all_images = frame[frame.per_mean == 0].groupby("classes")["images"].max()
    assert all_images.between(4, 6).all()


def test_subsets_of_classes_are_nested():
    seen = {}

    def spy(x, y, queries, asked, classes, ks, seed, device):
        seen[seed, classes] = set(labels[x.index].tolist()), set(queries.index.tolist())
        return {1: 0.0}

    x, labels = data()
    curves(x, labels, NEW, {"spy": spy}, log_grid(30), per_mean=[1], ks=(1,), draws=2)
    for draw in (0, 1):
        for small, large in ((10, 20), (20, 30)):
            assert all(a < b for a, b in zip(seen[draw, small], seen[draw, large], strict=True))
    assert seen[0, 10] != seen[1, 10] and seen[0, 30][0] == set(NEW.tolist())


def test_errors_are_one_clear_line():
    x, labels = data()
    names = [f"bird {c}" for c in range(41)]
    with pytest.raises(UserError, match=r"2 classes are both source and new: 10, 11;"):
        check_disjoint(range(12), NEW)
    with pytest.raises(UserError, match="both source and new: wren;"):
        check_disjoint(["wren", "owl"], ["gull", "wren"])
    with pytest.raises(UserError, match=r"1 new classes have no image: bird 40\."):
        check_images(labels, [10, 11, 40], names)
    one = np.r_[np.flatnonzero(labels != 12), np.flatnonzero(labels == 12)[:1]]
    with pytest.raises(UserError, match=r"have one image, and none to ask about: 12\."):
        check_images(labels[one], NEW)
    x[int(np.flatnonzero(labels == 20)[0]), 0] = torch.nan
    with pytest.raises(UserError, match="not finite"):
        curves(x, labels, NEW, NCM, [30], per_mean=[0])
