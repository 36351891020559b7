"""A fingerprint knows the bytes of every image, whatever their names, sizes and times say."""

import json
import os
import time
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from trees import picture

from pddm_lite import data
from pddm_lite.data import contents
from pddm_lite.data import tree as data_tree
from pddm_lite.data.tree import scan


def flat(seed, fmt):
    """Bytes whose number is the same for every seed."""
    return picture(seed, fmt, **({"compress_level": 0} if fmt == "PNG" else {}))


def folder(suffix):
    return [f"mine/{c}/{n}{suffix}" for c in "abcd" for n in range(4)]


def omniglot(suffix):
    parts = (("background", 1), ("background", 2), ("evaluation", 3), ("evaluation", 4))
    return [f"omniglot/images_{p}/A/character{c}/{n}{suffix}" for p, c in parts for n in range(4)]


def tiny(suffix):
    return [
        f"tiny_imagenet/{p}/n0000000{w}/{p}{n}{suffix}"
        for w in range(4)
        for p in ("train", "val")
        for n in range(2)
    ]


LAYOUTS = {"folder:mine": folder, "omniglot": omniglot, "tiny_imagenet": tiny}
FORMATS = {".bmp": "BMP", ".tif": "TIFF", ".png": "PNG"}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The user's cache, in which every tree's checksums are kept however fast they were read."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(contents, "REMEMBERED", -1)
    return tmp_path / "cache"


def tree(root, names, fmt, age=100):
    """Files of one size and, as an archive unpacks them, of one time long ago."""
    then = time.time_ns() - age * 10**9
    for k, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(flat(k, fmt))
        os.utime(root / name, ns=(then, then))
    return root


def exchange(a, b, how):
    """Exchange the contents of two files; size and time of change are as before."""
    times = [(os.stat(f).st_atime_ns, os.stat(f).st_mtime_ns) for f in (a, b)]
    if how == "renamed":
        os.rename(a, f"{a}.x")
        os.rename(b, a)
        os.rename(f"{a}.x", b)
    else:
        one, other = a.read_bytes(), b.read_bytes()
        a.write_bytes(other)
        b.write_bytes(one)
    for f, t in zip((a, b), times, strict=True):
        os.utime(f, ns=t)


@pytest.mark.parametrize("how", ["renamed", "written"])
@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("name", LAYOUTS)
def test_two_images_of_one_size_exchanged(tmp_path, cache, name, suffix, how):
    names = LAYOUTS[name](suffix)
    root = tree(tmp_path / "root", names, FORMATS[suffix])
    before = data.load(name, root)
    sizes = {os.stat(root / n).st_size for n in names}
    assert len(sizes) == 1  # nothing but content tells them apart
    exchange(root / names[0], root / names[-1], how)
    after = data.load(name, root)
    assert after.fingerprint != before.fingerprint
    assert np.array_equal(np.asarray(after.read(0)), np.asarray(before.read(0)))  # of one file
    exchange(root / names[0], root / names[-1], how)
    assert data.load(name, root).fingerprint == before.fingerprint


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_zip_knows_its_contents_as_the_folder_does(tmp_path, cache, name):
    names, prints = LAYOUTS[name](".png"), []
    for k, order in enumerate((range(16), [15, *range(1, 15), 0])):
        root = tmp_path / str(k)
        root.mkdir()
        top = names[0].split("/")[0]
        with zipfile.ZipFile(root / f"{top}.zip", "w") as z:
            for file, seed in zip(names, order, strict=True):
                inner = file if name != "folder:mine" else file.removeprefix("mine/")
                z.writestr(inner, flat(seed, "PNG"))
        prints.append(data.load(name, root).fingerprint)
    assert prints[0] != prints[1]
    assert data.load(name, tree(tmp_path / "d", names, "PNG")).fingerprint == prints[0]


def test_what_did_not_change_is_not_read_again(tmp_path, cache, monkeypatch):
    names = folder(".png")
    root = tree(tmp_path / "root", names, "PNG")
    read = []
    crc = contents._crc
    monkeypatch.setattr(contents, "_crc", lambda path: read.append(path.name) or crc(path))
    monkeypatch.setattr(time, "time_ns", lambda t=time.time_ns: t() + 10 * 10**9)  # later
    prints = [data.load("folder:mine", root).fingerprint for _ in range(3)]
    assert len(read) == 16 and len(set(prints)) == 1
    (root / names[3]).write_bytes(flat(99, "PNG"))
    assert data.load("folder:mine", root).fingerprint != prints[0]
    assert len(read) == 17
    (root / names[5]).touch()
    (root / names[6]).rename(root / "mine/b/new.png")
    data.load("folder:mine", root)
    assert len(read) == 19


@pytest.mark.parametrize("field", ["st_size", "st_ino", "st_mtime_ns", "st_ctime_ns"])
def test_each_of_size_inode_and_times_says_that_a_file_is_another(tmp_path, monkeypatch, field):
    """Each by itself: some systems have no inode, and some a time of making in place of ctime."""
    known = {"st_size": 7, "st_ino": 7, "st_mtime_ns": 7, "st_ctime_ns": 7}
    stamps = set()
    for changed in ({}, {field: 8}):
        monkeypatch.setattr(data_tree.os, "stat", lambda p, s=known | changed: SimpleNamespace(**s))
        stamps.add(data_tree._file(str(tmp_path), str(tmp_path / "0.png")).stamp)
        monkeypatch.undo()
    assert len(stamps) == 2


def test_files_as_new_as_the_look_are_read_again(tmp_path, cache):
    """A file that changes twice within one tick of the clock has the same times."""
    names = folder(".png")
    root = tree(tmp_path / "root", names, "PNG", age=0)
    data.load("folder:mine", root)
    (kept,) = (cache / "pddm-lite").iterdir()
    assert json.loads(kept.read_text(encoding="utf-8")) == {}


@pytest.mark.parametrize("bad", [b"", b"{", b"\xff\xfe", b"[1]", b"null", b'{"a": 1}'])
def test_a_broken_cache_is_made_anew(tmp_path, cache, monkeypatch, bad):
    root = tree(tmp_path / "root", folder(".png"), "PNG")
    monkeypatch.setattr(time, "time_ns", lambda t=time.time_ns: t() + 10 * 10**9)
    want = data.load("folder:mine", root).fingerprint
    (kept,) = (cache / "pddm-lite").iterdir()
    good = kept.read_bytes()
    kept.write_bytes(bad.replace(b'"a"', b'"a/0.png"'))
    assert data.load("folder:mine", root).fingerprint == want
    assert kept.read_bytes() == good


def test_small_trees_leave_nothing_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(contents, "REMEMBERED", 60)
    data.load("folder:mine", tree(tmp_path / "root", folder(".png"), "PNG"))
    assert not (tmp_path / "cache").exists()


def test_a_file_that_cannot_be_read_stops_nothing_but_is_told(tmp_path, cache, monkeypatch):
    root = tree(tmp_path / "root", folder(".png"), "PNG")
    crc = contents._crc

    def failing(path):
        return crc(path.with_name("gone") if path.name == "2.png" else path)

    monkeypatch.setattr(contents, "_crc", failing)
    got = scan(root).contents(["mine/a/1.png", "mine/a/2.png"])
    assert got[1].endswith(f":{contents.UNREAD:08x}") and got[0] != got[1]
