"""NAME@N: N random classes train; the images stay where they are."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from pddm_lite import data as data_sets
from pddm_lite.data.base import ImageSet
from pddm_lite.data.drawn import draw_training_classes
from pddm_lite.store.errors import UserError


def image_set(classes=50, images=3):
    labels = np.repeat(np.arange(classes), images)
    names = tuple(f"c{c}" for c in range(classes))
    return ImageSet("made_up", "made up", labels, names, lambda i: i, "f", classes // 2)


def test_each_image_keeps_its_class_and_the_split_is_random_and_disjoint():
    data = image_set()
    drawn = draw_training_classes(data, "30")
    old, new = (np.array(d.class_names)[d.labels] for d in (data, drawn))
    assert np.array_equal(old, new) and drawn.labels.dtype == np.int64
    assert drawn.train_classes == 30 and len(drawn.train) == 90 and len(drawn.test) == 60
    trained = set(drawn.class_names[:30])
    assert not trained & set(drawn.class_names[30:])
    assert trained != set(data.class_names[:30]) and trained != set(data.class_names[-30:])
    again = draw_training_classes(data, "30")
    assert again.class_names == drawn.class_names
    assert "30 random classes train" in drawn.title
    # cached features of the set serve every split of it
    assert (drawn.name, drawn.fingerprint) == (data.name, data.fingerprint)


@pytest.mark.parametrize("number", ["", "1", "49", "0.5", "-3", "all"])
def test_what_is_no_number_of_classes_is_refused_in_one_line(number):
    with pytest.raises(UserError, match=rf"made_up@{number}.* from 2 to 48") as err:
        draw_training_classes(image_set(), number)
    assert "\n" not in str(err.value)


def test_it_is_part_of_the_name_of_a_real_set(tmp_path):
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "PNG")
    with zipfile.ZipFile(tmp_path / "tiny_imagenet.zip", "w") as z:
        for c in range(6):
            for n in range(4):
                z.writestr(f"train/n0000000{c}/{n}.png", out.getvalue())
    whole = data_sets.load("tiny_imagenet", tmp_path)
    drawn = data_sets.load("tiny_imagenet@4", tmp_path)
    assert (whole.train_classes, drawn.train_classes) == (3, 4)
    assert set(whole.class_names) == set(drawn.class_names) and drawn.name == "tiny_imagenet"
    with pytest.raises(UserError, match="tiny_imagenet@5.* from 2 to 4"):
        data_sets.load("tiny_imagenet@5", tmp_path)
    with pytest.raises(UserError, match="unknown data set 'tiny@4'"):
        data_sets.load("tiny@4", tmp_path)
