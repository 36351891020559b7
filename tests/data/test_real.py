"""Every official layout, built small: found where it lies, read right, and broken in each way."""

import io
import pickle
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from trees import picture, zipped
from trees import unpacked as write

from pddm_lite import data
from pddm_lite.data import reader
from pddm_lite.data.reader import Reader
from pddm_lite.data.real import REAL
from pddm_lite.data.verify import verify
from pddm_lite.store.errors import UserError
from pddm_lite.training.experiments import make
from pddm_lite.training.runs import fit_or_load


def pictures(names):
    return {n: picture(k, "PNG" if n.endswith("png") else "JPEG") for k, n in enumerate(names)}


def cub(classes=(1, 2, 3, 4), images=4, named=None):
    """CUB_200_2011/ with the lists in an order that is not the files'."""
    rows = [(c, f"{c:03d}.Bird/b_{c}_{n}.jpg") for c in classes for n in range(images)]
    return {
        "classes.txt": "".join(f"{c} {c:03d}.Bird\n" for c in named or classes).encode(),
        "images.txt": "".join(f"{i} {f}\n" for i, (_, f) in enumerate(rows, 1)).encode(),
        "image_class_labels.txt": "".join(
            f"{i} {c}\n" for i, (c, _) in enumerate(rows, 1)
        ).encode(),
        "README": b"x",
        "parts/parts.txt": b"x",
    } | pictures(f"images/{f}" for _, f in rows)


def cars(classes=(1, 2, 3, 4), images=4, names=4, fields=("relative_im_path", "class", "test")):
    """cars_annos.mat, in which both halves are mixed, and car_ims/."""
    rows = [(f"car_ims/{6 * n + c:06d}.jpg", c, n % 2) for n in range(images) for c in classes]
    notes = np.empty((1, len(rows)), dtype=[(f, object) for f in fields])
    for k, row in enumerate(rows):
        notes[0, k] = row[: len(fields)]
    titles = np.array([[f"Make Model C/V {k}" for k in range(names)]], dtype=object)
    out = io.BytesIO()
    savemat(out, {"annotations": notes, "class_names": titles})
    return {"cars_annos.mat": out.getvalue()} | pictures(f for f, _, _ in rows)


def sop(train=(1, 2), test=(11319, 11320), images=2):
    files, image = {}, 0
    for file, classes in (("Ebay_train.txt", train), ("Ebay_test.txt", test)):
        text = "image_id class_id super_class_id path\n"
        for c in classes:
            for n in range(images):
                image += 1
                text += f"{image} {c} 1 bicycle_final/{c}00_{n}.JPG\n"
                files[f"bicycle_final/{c}00_{n}.JPG"] = picture(image)
        files[file] = text.encode()
    return files


def omniglot():
    parts = {"images_background": ("Greek", "Latin"), "images_evaluation": ("Ulog",)}
    return pictures(
        f"{part}/{alphabet}/character{c:02d}/{c:04d}_{n:02d}.png"
        for part, alphabets in parts.items()
        for alphabet in alphabets
        for c in (1, 2)
        for n in range(4)
    )


WNIDS = ("n01443537", "n01629819", "n02000000", "n12267677")


def tiny():
    return pictures(
        f"{p}/{w}/{p}_{w}_{n}.jpg" for w in WNIDS for p in ("train", "val") for n in range(3)
    )


def imagenet(wnids=WNIDS):
    return pictures(f"{w}/{w}_{n}.JPEG" for w in wnids for n in range(4))


def under(top, files):
    return {top + name: content for name, content in files.items()}


SETS = {
    "cub200_2011": cub,
    "cars196": cars,
    "sop": sop,
    "omniglot": omniglot,
    "tiny_imagenet": tiny,
    "imagenet": imagenet,
}
# set -> folders below the data root in which it is found
PLACES = {
    "cub200_2011": ["", "CUB_200_2011/", "cub200_2011/", "cub200_2011/CUB_200_2011/"],
    "cars196": ["", "cars196/"],
    "sop": ["", "Stanford_Online_Products/", "sop/", "sop/Stanford_Online_Products/"],
    "omniglot": ["", "omniglot/", "omniglot-py/"],
    "tiny_imagenet": ["", "tiny_imagenet/"],
    "imagenet": ["", "imagenet/", "imagenet/train/", "train/"],
}
ZIPS = {
    "cub200_2011": ("CUB_200_2011.zip", "CUB_200_2011/"),
    "sop": ("Stanford_Online_Products.zip", "Stanford_Online_Products/"),
    "omniglot": ("omniglot.zip", "omniglot/"),
    "tiny_imagenet": ("tiny_imagenet_80.zip", "tiny_imagenet/"),
    "imagenet": ("imagenet.zip", ""),
}
NAMES = {  # classes in label order, how many train
    "cub200_2011": (("001.Bird", "002.Bird", "003.Bird", "004.Bird"), 2),
    "cars196": (tuple(f"{k:03d}.Make_Model_C-V_{k - 1}" for k in (1, 2, 3, 4)), 2),
    "sop": (("bicycle/1", "bicycle/2", "bicycle/11319", "bicycle/11320"), 2),
    "omniglot": (
        tuple(f"{a}/character{c}" for a in ("Greek", "Latin", "Ulog") for c in ("01", "02")),
        4,
    ),
    "tiny_imagenet": (WNIDS, 2),
    "imagenet": (WNIDS, 2),
}
LITTER = {"._x.jpg": b"fork", "__MACOSX/images/._a.jpg": b"fork", ".DS_Store": b"x"}


def test_every_set_with_a_layout_is_tried_here():
    assert set(SETS) == {n for n, s in REAL.items() if s.layout}
    assert set(REAL) < set(data.known())


@pytest.mark.parametrize(("name", "place"), [(n, p) for n, ps in PLACES.items() for p in ps])
def test_a_set_is_found_and_read_where_it_may_lie(tmp_path, name, place):
    files = SETS[name]()
    s = data.load(name, write(tmp_path / "root", under(place, files)))
    assert (s.class_names, s.train_classes) == NAMES[name]
    assert (s.name, s.title) == (name, REAL[name].title)
    images = {f: c for f, c in files.items() if f.lower().endswith(("jpg", "png", "jpeg"))}
    assert len(s) == len(images) and s.labels.dtype == np.int64
    assert np.all(np.diff(s.labels) >= 0) and s.labels[-1] == len(s.class_names) - 1
    for i in range(len(s)):  # each image is the one of its name, and in the class of its path
        want = Image.open(io.BytesIO(images[s.read.names[i]])).convert("RGB")
        assert np.array_equal(np.asarray(s.read(i)), np.asarray(want))
        label = s.class_names[s.labels[i]]
        last = label.split("/")[-1] if name != "cars196" else ""
        assert last in s.read.names[i]
    assert len(s.train) + len(s.test) == len(s)


def test_the_labels_of_cars_are_those_of_the_annotations(tmp_path):
    s = data.load("cars196", write(tmp_path, cars()))
    by_class = [int(n[8:14]) % 6 for n in s.read.names]
    assert by_class == [c for c in (1, 2, 3, 4) for _ in range(4)]


@pytest.mark.parametrize("name", ZIPS)
def test_a_zip_and_litter_give_the_same_set(tmp_path, name):
    files, (archive, top) = SETS[name](), ZIPS[name]
    plain = data.load(name, write(tmp_path / "a", under(PLACES[name][1], files)))
    (tmp_path / "b").mkdir()
    zipped(tmp_path / "b" / archive, under("__MACOSX/", files) | under(top, files | LITTER))
    inside = data.load(name, tmp_path / "b")
    littered = data.load(name, write(tmp_path / "c", under(PLACES[name][1], files | LITTER)))
    for other in (inside, littered):
        assert other.fingerprint == plain.fingerprint
        assert other.class_names == plain.class_names
        assert np.array_equal(other.labels, plain.labels)
        assert np.array_equal(np.asarray(other.read(5)), np.asarray(plain.read(5)))


def test_a_part_of_the_official_classes_keeps_the_official_split(tmp_path):
    part = cub(classes=(1, 2, 150), named=range(1, 201))
    s = data.load("cub200_2011", write(tmp_path, part))
    assert s.class_names == ("001.Bird", "002.Bird", "150.Bird") and s.train_classes == 2


def edit(files, name, old, new):
    assert old in files[name]
    return files | {name: files[name].replace(old, new, 1)}


def without(files, *names):
    return {k: v for k, v in files.items() if k not in names}


CUB_IMAGE = "images/001.Bird/b_1_1.jpg"
BROKEN = {
    "cub, image missing": ("cub200_2011", without(cub(), CUB_IMAGE), [CUB_IMAGE, "not there"]),
    "cub, class id too high": (
        "cub200_2011",
        edit(cub(), "image_class_labels.txt", b"3 1\n", b"3 201\n"),
        ["class id 201 of image 3", "4 of classes.txt"],
    ),
    "cub, image without label": (
        "cub200_2011",
        edit(cub(), "image_class_labels.txt", b"3 1\n", b""),
        ["image 3", "image_class_labels.txt"],
    ),
    "cub, a column missing": (
        "cub200_2011",
        edit(cub(), "images.txt", b"3 001.Bird/b_1_2.jpg", b"3"),
        ["images.txt, line 3", "image_id path"],
    ),
    "cub, an id twice": (
        "cub200_2011",
        edit(cub(), "images.txt", b"\n3 ", b"\n2 "),
        ["images.txt, line 3", "image_id 2 comes twice"],
    ),
    "cub, no classes.txt": (
        "cub200_2011",
        without(cub(), "classes.txt"),
        ["classes.txt cannot be read"],
    ),
    "cub, a list is no text": (
        "cub200_2011",
        cub() | {"images.txt": b"\xff\xfe\x00"},
        ["images.txt is no text"],
    ),
    "cub, path leads out": (
        "cub200_2011",
        edit(cub(), "images.txt", b"001.Bird/b_1_0.jpg", b"../../etc/passwd.jpg"),
        ["../../etc/passwd.jpg", "not there"],
    ),
    "cars, class id too high": (
        "cars196",
        cars(names=3),
        ["class id 4 of car_ims/000004.jpg", "1 to 3"],
    ),
    "cars, annotation is no mat": (
        "cars196",
        cars() | {"cars_annos.mat": b"<html>404</html>"},
        ["cars_annos.mat is not the official one"],
    ),
    "sop, class id too high": (
        "sop",
        edit(sop(), "Ebay_test.txt", b"5 11319 ", b"5 22635 "),
        ["Ebay_test.txt", "class id 22635 of image 5"],
    ),
    "sop, class in both": ("sop", sop(test=(2, 3)), ["class id 2", "Ebay_train.txt already"]),
    "sop, one image": ("sop", sop(images=1), ["'bicycle/1' has 1 image"]),
    "omniglot, a level missing": (
        "omniglot",
        omniglot() | {"images_background/Greek/x.png": picture()},
        ["images_background/Greek/x.png", "<Alphabet>/<character>"],
    ),
    "omniglot, class in both": (
        "omniglot",
        omniglot() | {"images_background/Ulog/character01/1.png": picture()},
        ["Ulog/character01 is in both"],
    ),
    "imagenet, no wnid": (
        "imagenet",
        imagenet() | {"goldfish/1.jpg": picture()},
        ["goldfish/1.jpg", "n01440764"],
    ),
    "nothing there": ("sop", {"a.txt": b""}, ["Stanford_Online_Products/", "download sop"]),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_set_is_a_line_for_the_user(tmp_path, case):
    name, files, named = BROKEN[case]
    with pytest.raises(UserError) as error:
        data.load(name, write(tmp_path / "root", files))
    message = str(error.value)
    assert "\n" not in message and name in message and len(message) < 400
    assert all(part in message for part in named), message


# ------------------------------------------------------------------------------ reading


RED, GREY = Image.new("RGB", (16, 16), (200, 20, 20)), Image.new("L", (2, 1), 77)
RGBA = Image.new("RGBA", (2, 1), (200, 0, 0, 0))
RGBA.putpixel((1, 0), (0, 0, 200, 255))


def test_the_smallest_and_the_largest_image(tmp_path, monkeypatch):
    sizes = {"one.png": (1, 1), "large.jpg": (2400, 2400), "large.png": (2400, 2400)}
    for name, size in sizes.items():
        Image.new("RGB", size, (10, 200, 30)).save(tmp_path / name)
    read = Reader(tmp_path, list(sizes))
    assert read(0).size == (1, 1) and read(1).size == (2400, 2400)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2_000_000)  # as 20,000 x 20,000 to the real one
    rgb, mode, size = read.look(1)
    assert rgb.size == (1200, 1200) and (mode, size) == ("RGB", (2400, 2400))
    assert np.abs(np.asarray(rgb).reshape(-1, 3)[0].astype(int) - (10, 200, 30)).max() < 5
    with pytest.raises(UserError, match="too many pixels") as error:
        read(2)
    assert "large.png" in str(error.value) and "\n" not in str(error.value)


def test_a_forked_process_opens_the_zip_for_itself(tmp_path, monkeypatch):
    zipped(tmp_path / "s.zip", {"a.jpg": picture(1), "b.jpg": picture(2)})
    read = Reader(tmp_path / "s.zip", ["a.jpg", "b.jpg"])
    read(0)
    first = read._zip
    read(1)
    assert read._zip is first
    monkeypatch.setattr("os.getpid", lambda: -1)
    read(1)
    assert read._zip is not first
    assert np.array_equal(np.asarray(pickle.loads(pickle.dumps(read))(0)), np.asarray(read(0)))


def test_threads_that_begin_at_once_all_read(tmp_path, monkeypatch):
    zipped(tmp_path / "s.zip", {f"{n}.png": picture(n, "PNG") for n in range(8)})
    listed = reader.zip_members
    monkeypatch.setattr(reader, "zip_members", lambda z: (time.sleep(0.1), listed(z))[1])
    read = Reader(tmp_path / "s.zip", [f"{n}.png" for n in range(8)])
    with ThreadPoolExecutor(8) as pool:
        waits = (0, 0, 0.03, 0.06, 0.09, 0.12, 0.15, 0.3)
        images = list(pool.map(lambda i: (time.sleep(waits[i]), read(i))[1], range(8)))
    for n, image in enumerate(images):
        want = Image.open(io.BytesIO(picture(n, "PNG")))
        assert np.array_equal(np.asarray(image), np.asarray(want))


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("mode", ["frozen", "finetune"])
def test_every_layout_is_verified_and_trained_on(tmp_path, name, mode):
    """From the tree as it is unpacked to a stored run, as run_all.py --profile smoke makes it."""
    root = write(tmp_path / "root", SETS[name]())
    assert verify(name, root, partial=True, bar=False).problems == []
    e = make(
        profile="smoke", data=name, backbone="smallnet", weights="none", mode=mode, dim=8,
        steps=2, eval_every=1, holdout=0.0, batch_size=8, classes=2, images=4,
    )  # fmt: skip
    run = fit_or_load(e, data.load(name, root, "smoke"), tmp_path, bar=False)
    assert 0 <= run.metrics["test"]["score"]["recall_1"] <= 100
    assert run.manifest["crop"] == 64 and run.manifest["data"] == name
