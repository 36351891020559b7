"""Folders named as parts of a set are no classes: no class trains and tests."""

import io
import unicodedata

import numpy as np
import pytest
from PIL import Image
from trees import picture, write

from pddm_lite.data import open_folder
from pddm_lite.data.verify import verify
from pddm_lite.store.errors import UserError

CLASSES = ("ant", "bee", "cat", "dog")


kinds = pytest.mark.parametrize("kind", ["directory", "zip", "zip of Windows"])
PAIRS = [
    ("train", "val"),
    ("train", "valid"),
    ("Train", "Validation"),
    ("TRAIN", "TEST"),
    ("training", "testing"),
    ("train", "val", "test"),
    ("train2017", "val2017"),
    ("images_train", "images_test"),
]
LAYOUTS = {
    "parts above": "{part}/{c}/{part}{n}.png",
    "below one top folder": "birds/{part}/{c}/{part}{n}.png",
    "below two": "a/birds/{part}/{c}/{part}{n}.png",
    "parts below the class": "{c}/{part}/{n}.png",
    "of the same file names": "{part}/{c}/{n}.png",
}


@kinds
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("parts", PAIRS, ids="+".join)
def test_parts_are_put_together(tmp_path, kind, layout, parts):
    names = [
        LAYOUTS[layout].format(part=p, c=c, n=n) for p in parts for c in CLASSES for n in range(2)
    ]
    path = write(kind, tmp_path / "t", names)
    s = open_folder(path, "mine")
    assert s.class_names == CLASSES and s.train_classes == 2
    assert np.bincount(s.labels).tolist() == [2 * len(parts)] * 4
    for i, name in enumerate(s.read.names):  # each image in its own class, and read
        assert CLASSES[s.labels[i]] in name.split("/")
        assert np.array_equal(
            np.asarray(s.read(i)),
            np.asarray(Image.open(io.BytesIO(picture(names.index(name))))),
        )
    species = {k: {CLASSES[c] for c in s.labels[idx]} for k, idx in (("a", s.train), ("b", s.test))}
    assert not species["a"] & species["b"]
    (note,) = s.notes
    assert all(p in note for p in parts) and "4 classes, 4 of them in more" in note
    assert note in verify("folder", path, bar=False).warnings


@kinds
def test_classes_of_one_part_alone_stay_and_may_differ(tmp_path, kind):
    names = [f"train/{c}/{n}.png" for c in CLASSES[:3] for n in range(4)]
    names += [f"test/{c}/{n}.png" for c in CLASSES[2:] for n in range(4)]
    s = open_folder(write(kind, tmp_path / "t", names), "mine")
    assert s.class_names == CLASSES and np.bincount(s.labels).tolist() == [4, 4, 8, 4]
    assert "1 of them in more" in s.notes[0]


@kinds
def test_classes_that_are_named_as_parts_stay_classes(tmp_path, kind):
    names = [f"{c}/{n}.png" for c in ("bus", "test tube", "train", "train 2") for n in range(4)]
    s = open_folder(write(kind, tmp_path / "t", names), "mine")
    assert s.class_names == ("bus", "test tube", "train", "train 2")


REFUSED = {
    "an unlabelled test part": (
        [f"train/{c}/{n}.png" for c in CLASSES for n in range(4)] + ["test/1.png"],
        "test/1.png lies in no class folder",
    ),
    "another folder beside them": (
        [f"{p}/{c}/{n}.png" for p in ("train", "val", "extra") for c in CLASSES for n in range(4)],
        "one class",
    ),
    "parts of one of several sets": (
        [f"a/{p}/{c}/{n}.png" for p in ("train", "val") for c in CLASSES for n in range(4)]
        + [f"b/{c}/{n}.png" for c in CLASSES for n in range(4)],
        "one class",
    ),
    "names that differ in case": (
        [f"train/{c}/{n}.png" for c in CLASSES for n in range(4)]
        + [f"val/{c.title()}/{n}.png" for c in CLASSES for n in range(4)],
        "'ant' and 'Ant' one class",
    ),
}


@kinds
@pytest.mark.parametrize("case", REFUSED)
def test_what_could_put_a_class_on_both_sides_is_refused(tmp_path, kind, case):
    names, named = REFUSED[case]
    with pytest.raises(UserError) as error:
        open_folder(write(kind, tmp_path / "t", names), "mine")
    message = str(error.value)
    assert named in message and message.startswith("mine: ") and "\n" not in message


def test_a_name_spelt_in_two_ways_of_unicode_is_one(tmp_path):
    spelt = {f: unicodedata.normalize(f, "Türkentaube") for f in ("NFC", "NFD")}
    names = [f"train/{spelt['NFC']}/{n}.png" for n in range(4)]
    names += [f"val/{spelt['NFD']}/{n}.png" for n in range(4)]
    names += [f"{p}/ant/{n}.png" for p in ("train", "val") for n in range(4)]
    s = open_folder(write("directory", tmp_path / "t", names), "mine")
    assert s.class_names == (spelt["NFC"], "ant")


def test_an_empty_class_folder_in_one_part_is_no_class_and_in_all_is_told(tmp_path):
    names = [f"{p}/{c}/{n}.png" for p in ("train", "val") for c in CLASSES for n in range(4)]
    path = write("directory", tmp_path / "t", names)
    for image in (path / "val" / "dog").iterdir():
        image.unlink()
    assert open_folder(path, "mine").class_names == CLASSES
    for part in ("train", "val"):
        (path / part / "elk").mkdir()
    with pytest.raises(UserError, match="train/elk holds no image \\(1 such"):
        open_folder(path, "mine")
