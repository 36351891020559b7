"""A class-per-folder tree, as a directory and as a zip, with all that lies about in real ones."""

import io

import numpy as np
import pytest
from PIL import Image
from trees import picture, write

from pddm_lite import data
from pddm_lite.data.base import split
from pddm_lite.data.folder import open_folder
from pddm_lite.store.errors import UserError


def tree(classes=("ant", "bee", "cat"), images=4, top="", suffix=".png"):
    names = [f"{top}{c}/{n}{suffix}" for c in classes for n in range(images)]
    return {name: picture(seed=k) for k, name in enumerate(names)}


both = pytest.mark.parametrize("kind", ["directory", "zip"])


def contents(s):
    pictures = [np.asarray(s.read(i)) for i in range(len(s))]
    return s.labels.tolist(), s.class_names, s.fingerprint, s.train_classes, pictures


def assert_same(a, b):
    *rest_a, pictures_a = contents(a)
    *rest_b, pictures_b = contents(b)
    assert rest_a == rest_b
    assert all(np.array_equal(x, y) for x, y in zip(pictures_a, pictures_b, strict=True))


def test_a_directory_and_its_zip_are_the_same_set(tmp_path):
    files = (
        tree()
        | {"dog/a.JPG": picture(fmt="JPEG")}
        | {f"dog/{n}.jpeg": picture(fmt="JPEG") for n in "bcd"}
    )
    a = open_folder(write("directory", tmp_path / "d", files), "mine", "My set")
    b = open_folder(write("zip", tmp_path / "z", files), "mine", "My set")
    assert_same(a, b)
    assert a.class_names == ("ant", "bee", "cat", "dog") and a.train_classes == 2
    assert a.labels.tolist() == [c for c in range(4) for _ in range(4)]
    assert a.labels.dtype == np.int64 and len(a) == 16
    assert (a.name, a.title, a.side) == ("mine", "My set", 9)
    assert a.train.tolist() == list(range(8)) and a.test.tolist() == list(range(8, 16))
    want = np.asarray(Image.open(io.BytesIO(files["bee/2.png"])))
    assert np.array_equal(np.asarray(a.read(6)), want)


@both
@pytest.mark.parametrize("top", ["data/", "a/b/c/"])
def test_common_top_folders_are_no_classes(tmp_path, kind, top):
    plain = open_folder(write(kind, tmp_path / "plain", tree()), "n")
    below = open_folder(write(kind, tmp_path / "below", tree(top=top)), "n")
    assert below.class_names == plain.class_names == ("ant", "bee", "cat")
    assert below.labels.tolist() == plain.labels.tolist()
    assert np.array_equal(np.asarray(below.read(7)), np.asarray(plain.read(7)))


@both
def test_deeper_levels_count_to_the_class(tmp_path, kind):
    files = tree(("x/one", "x/two", "y/one"))
    assert open_folder(write(kind, tmp_path / "t", files), "n").class_names == (
        "x/one",
        "x/two",
        "y/one",
    )


BROKEN = {
    "truncated jpeg": ("ant/1.jpg", picture(fmt="JPEG", size=(80, 80))[:900]),
    "truncated png": ("ant/1.png", picture(fmt="PNG", size=(80, 80))[:2000]),
    "bad ppm header": ("ant/1.ppm", b"P6\n16 \x986\n255\n" + bytes(99)),
}


@both
@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_image_is_named_when_it_is_read(tmp_path, kind, case):
    name, content = BROKEN[case]
    files = {k: v for k, v in tree().items() if not k.startswith("ant/1.")} | {name: content}
    s = open_folder(write(kind, tmp_path / "b", files), "n")
    assert s.read(0).mode == "RGB"
    with pytest.raises(UserError, match="cannot be read as an image") as error:
        s.read(1)
    assert name in str(error.value) and "\n" not in str(error.value)
    assert s.read(2).mode == "RGB"  # the others still can


UNFIT = [
    ({}, ["no image below", "<class>/<image>.jpg"]),
    ({"readme.txt": b"x", "ant/notes.txt": b"x"}, ["no image below"]),
    (tree(("ant",)), ["1 class found", "at least 2", "one folder a class"]),
    (tree(("ant",), top="a/b/"), ["1 class found"]),
    ({f"{n}.png": picture() for n in range(6)}, ["1 class found"]),
    (tree(top="a/b/") | {"a/b/dog/1.heic": b"x"}, ["a/b/dog holds no image", "1 such", "fill it"]),
    (tree() | {"dog/.hidden": b"x", "elk/.hidden": b"x"}, ["dog holds no image", "2 such"]),
    (tree() | tree(("dog",), images=3), ["'dog' has 3 images", "draws 4", "1 such class"]),
    (tree() | tree(("dog", "elk"), images=1), ["'dog' has 1 images", "2 such classes"]),
]


@both
@pytest.mark.parametrize(("files", "named"), UNFIT, ids=range(len(UNFIT)))
def test_an_unfit_tree_is_a_line_for_the_user(tmp_path, kind, files, named):
    path = write(kind, tmp_path / "u", files)
    with pytest.raises(UserError) as error:
        open_folder(path, "mine")
    message = str(error.value)
    assert "\n" not in message and message.startswith("mine: ")
    assert all(part in message for part in named), message


@both
def test_images_beside_the_class_folders_are_not_a_class_without_name(tmp_path, kind):
    path = write(kind, tmp_path / "u", tree() | {"cover.png": picture()})
    with pytest.raises(UserError) as error:
        open_folder(path, "mine")
    assert "''" not in str(error.value) and "cover.png" in str(error.value)


ALIKE = {
    "case": (["Robin", "robin", "wren"], "'Robin' and 'robin' are counted as 2 classes:"),
    "case of another script": (["Ворона", "ворона", "wren"], "'Ворона' and 'ворона'"),
    "blanks": (["black bird", "black_bird", "wren"], "'black bird' and 'black_bird'"),
    "three": (["A-b", "a b", "a_b", "c"], "'A-b' and 'a b' and 'a_b' are counted as 3 classes"),
    "two such": (["A", "B", "a", "b"], "2 classes (and 1 more such names)"),
    "deeper": (["x/Robin", "x/robin", "y/wren"], "'x/Robin' and 'x/robin'"),
    "none": (["1.1", "11", "ant", "ants"], ""),
}


@both
@pytest.mark.parametrize("case", ALIKE)
def test_classes_whose_names_are_alike_are_told(tmp_path, kind, case):
    classes, said = ALIKE[case]
    s = open_folder(write(kind, tmp_path / "t", tree(classes)), "mine")
    assert len(s.class_names) == len(classes)
    assert len(s.notes) == bool(said) and said in "".join(s.notes)


def test_missing_paths_and_files_that_are_no_zip(tmp_path):
    with pytest.raises(UserError, match="does not exist") as error:
        open_folder(tmp_path / "nowhere", "mine")
    assert "--data-root" in str(error.value)
    for content in (
        b"",
        b"<html>404</html>",
        write("zip", tmp_path / "z", tree()).read_bytes()[:700],
    ):
        path = tmp_path / "broken.zip"
        path.write_bytes(content)
        with pytest.raises(UserError, match="not a readable zip file") as error:
            open_folder(path, "mine")
        assert "broken.zip" in str(error.value) and "\n" not in str(error.value)


@both
def test_folders_by_name(tmp_path, kind):
    path = write(kind, tmp_path / "mine", tree())
    by_name, whole = data.load("folder:mine", tmp_path), data.load("folder", path)
    assert_same(by_name, whole)
    assert (by_name.name, by_name.title) == ("folder:mine", "mine")
    for name, root, named in (
        ("folder:other", tmp_path, "does not exist"),
        ("folder", "", "--data-root"),
        ("folder", tmp_path / "no", "does not exist"),
        ("cub200_2010", tmp_path, "cub200_2010.zip"),
        ("cub2010", tmp_path, "Did you mean 'cub200_2010'"),
        ("synthetic_bird", "", "Did you mean 'synthetic_birds'"),
        ("synthetic_birds@2", "", "from 0 to 1"),
        ("synthetic_birds@x", "", "from 0 to 1"),
    ):
        with pytest.raises(UserError) as error:
            data.load(name, root)
        assert named in str(error.value) and "\n" not in str(error.value)


def test_the_split_is_class_disjoint_and_the_seed_chooses_the_held_out(tmp_path):
    names = tuple(f"c{n:02}" for n in range(20))
    s = open_folder(write("directory", tmp_path / "d", tree(names)), "n")
    held = set()
    for seed in range(5):
        parts = split(s, 0.3, seed)
        classes = [set(s.labels[i].tolist()) for i in (parts.fit, parts.val, parts.test)]
        assert [len(c) for c in classes] == [7, 3, 10]
        assert not (classes[0] & classes[1]) and classes[0] | classes[1] == set(range(10))
        assert classes[2] == set(range(10, 20))
        assert sorted(np.concatenate([parts.fit, parts.val, parts.test])) == list(range(80))
        assert np.array_equal(split(s, 0.3, seed).val, parts.val)
        held.add(tuple(sorted(classes[1])))
    assert len(held) > 1
    assert len(split(s, 0, 0).val) == 0 and len(split(s, 0, 0).fit) == 40
