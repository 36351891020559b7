"""mix:A,B: one set, each part's own class-disjoint split, negatives within a part."""

import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from pddm_lite import data as data_sets
from pddm_lite import methods
from pddm_lite.data.base import ImageSet
from pddm_lite.data.mix import join
from pddm_lite.data.sampler import class_balanced, in_turn
from pddm_lite.measures.retrieval import recall_at_k
from pddm_lite.store.errors import UserError
from pddm_lite.training import loop
from pddm_lite.training.experiments import make
from pddm_lite.training.inputs import Frozen


def image_set(name, classes, images, train, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(classes), images))
    names = tuple(f"c{c}" for c in range(classes))
    return ImageSet(
        name, name.upper(), labels, names, lambda i: (name, i), f"print of {name}", train
    )


PARTS = image_set("a", 7, 3, 5, 0), image_set("b", 4, 5, 2, 1), image_set("c", 6, 2, 3, 2)


def test_every_part_keeps_its_split_and_its_class_names():
    mix = join(PARTS)
    assert mix.name == "mix:a,b,c" and len(mix) == 21 + 20 + 12 and mix.train_classes == 10
    assert mix.labels.dtype == np.int64 and len(set(mix.class_names)) == 17
    assert np.array_equal(np.unique(mix.labels), np.arange(17))
    at = 0
    for k, p in enumerate(PARTS):
        own = np.arange(at, at + len(p))
        assert (mix.part[own] == k).all()
        assert np.array_equal(np.isin(own, mix.train), p.labels < p.train_classes)
        named = [f"{p.name}/{p.class_names[c]}" for c in p.labels]
        assert named == [mix.class_names[c] for c in mix.labels[own]]
        assert [mix.read(i) for i in own.tolist()] == [(p.name, i) for i in range(len(p))]
        at += len(p)
    assert not set(mix.labels[mix.train]) & set(mix.labels[mix.test])
    # held-out classes are of the training classes of some part
    parts = data_sets.split(mix, 0.3, 1)
    assert not set(mix.labels[parts.val]) & (set(mix.labels[parts.fit]) | set(range(10, 17)))


def test_a_set_that_is_no_mix_has_one_part():
    assert np.array_equal(PARTS[0].part, np.zeros(21))


def test_a_batch_is_of_one_part_and_parts_take_turns():
    mix = join(PARTS)
    train = mix.train
    part, labels = mix.part[train], mix.labels[train]
    drawn = in_turn(part, lambda own: class_balanced(labels[own], 2, 2, 3))
    batches = list(itertools.islice(drawn, 30))
    for n, batch in enumerate(batches):
        assert set(part[batch]) == {n % 3} and len(set(labels[batch])) == 2
    alone = class_balanced(labels[part == 1], 2, 2, 3)
    of_b = [np.flatnonzero(part == 1)[next(alone)] for _ in range(10)]
    assert np.array_equal(of_b, batches[1::3])
    with pytest.raises(UserError, match="5 classes, but only 2 train"):
        in_turn(part, lambda own: class_balanced(labels[own], 5, 2, 3))
    one = in_turn(np.zeros(len(labels)), lambda own: class_balanced(labels[own], 2, 2, 3))
    assert np.array_equal(next(one), next(class_balanced(labels, 2, 2, 3)))


def test_the_fingerprint_knows_parts_and_their_splits():
    a, b, c = PARTS
    other = image_set("b", 4, 5, 3, 1)
    prints = {join(p).fingerprint for p in ((a, b), (b, a), (a, c), (a, b, c), (a, other))}
    assert len(prints) == 5


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("mix:synthetic_birds", "two sets or more"),
        ("mix:", "two sets or more"),
        ("mix:synthetic_birds,synthetic_birds@0.7", "same set.*would join"),
        ("mix:synthetic_birds,given_birds@1", "given_birds@1 has no pictures"),
        ("mix:synthetic_birds,cub200_2010", "cub200_2010.*--data-root"),
        ("mix:synthetic_birds,cubs", "unknown data set 'cubs'"),
    ],
)
def test_what_cannot_be_mixed_is_one_line(name, says):
    with pytest.raises(UserError, match=says) as err:
        data_sets.load(name, profile="smoke")
    assert "\n" not in str(err.value)


def test_mixes_do_not_nest():
    with pytest.raises(UserError, match="cannot hold a mix"):
        join([join(PARTS[:2]), PARTS[2]])


def test_folders_and_worlds_mix_by_name(tmp_path):
    for c, side in (("x", 9), ("y", 12)):
        (tmp_path / "mine" / c).mkdir(parents=True)
        for n in range(4):
            image = Image.fromarray(np.full((side, 30, 3), 40 * n + side, np.uint8))
            image.save(tmp_path / "mine" / c / f"{n}.png")
    mix = data_sets.load("mix:folder:mine,synthetic_cars", tmp_path, "smoke")
    assert mix.class_names[0] == "folder:mine/x" and mix.side == 64
    assert len(mix) == 8 + 320 and mix.read(8).size == (64, 64) and mix.read(7).size == (30, 12)
    assert [mix.class_names[c].split("/")[0] for c in (1, 20, 21)] == [
        "synthetic_cars", "synthetic_cars", "folder:mine"]  # fmt: skip


def test_training_on_a_mix_takes_a_set_at_a_time_and_measures_within_sets(monkeypatch):
    mix = join([image_set("a", 12, 6, 8, 0), image_set("b", 10, 5, 6, 1)])
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(len(mix), 9)).astype(np.float32))
    # the sets share their features' places: across them nothing could be told apart
    e = make(
        data=mix.name, method="PDDM score", mode="metric", embedding_size=4, holdout=0.4, steps=4,
        eval_every=2, classes_per_batch=2, samples_per_class=3, batch_size=6,
    )  # fmt: skip
    source, seen = Frozen(x, 9), []
    real = methods.objective

    def objective(f, labels, *more):
        seen.append(labels.tolist())
        return real(f, labels, *more)

    monkeypatch.setattr(loop, "objective", objective)
    fitted = loop.fit(e, mix, source, None, bar=False)
    parts = data_sets.split(mix, 0.4, 0)
    classes = np.unique(mix.labels[parts.fit])  # targets number them
    of_set = {c: mix.class_names[c].split("/")[0] for c in classes}
    batches = [{of_set[classes[t]] for t in labels} for labels in seen]
    assert all(len(b) == 1 for b in batches) and {"a"} in batches and {"b"} in batches
    f = loop.embed(fitted.at("distance").model, source, parts.val)
    labels = torch.from_numpy(mix.labels[parts.val])
    own = [torch.from_numpy(mix.part[parts.val] == p) for p in (0, 1)]
    hits = [recall_at_k(labels[o], features=f[o], ks=(1,))[1] * int(o.sum()) for o in own]
    row = fitted.history[fitted.history["step"] == fitted.chosen_step]
    assert row["val_recall_1"].item() == pytest.approx(sum(hits) / len(f))
