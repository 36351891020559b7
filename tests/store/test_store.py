"""Runs on disk: whole or absent, and found out when harmed."""

import itertools
import os
import pickle
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch

from pddm_lite.store.errors import UserError
from pddm_lite.store.files import write_atomic, write_text
from pddm_lite.store.store import Store, source_hash


def files():
    rng = np.random.default_rng(0)
    return {
        "table.csv": pd.DataFrame({"step": range(300), "x": rng.normal(size=300)}).assign(n="a,b"),
        "settings.json": {"lr": 1e-4, "name": "käfer", "list": [1, 2.5, None, True]},
        "arrays.npz": {
            "f": rng.normal(size=(5, 3)).astype(np.float16),
            "labels": np.arange(5),
            "empty": np.empty((0, 4)),
        },
        "weights.pt": {"W": torch.randn(3, 2), "half": torch.ones(2).half(), "n": torch.tensor(3)},
    }


@pytest.fixture
def saved(tmp_path):
    store = Store(tmp_path / "deep" / "runs")
    store.save("run1", files(), {"data": "d", "seconds": 1.5})
    return store


def test_what_is_saved_is_read(saved):
    want = files()
    assert saved.has("run1") and saved.problem("run1") == ""
    pd.testing.assert_frame_equal(
        saved.csv("run1", "table.csv"), want["table.csv"], check_exact=True
    )
    assert saved.json("run1", "settings.json") == want["settings.json"]
    arrays = saved.arrays("run1", "arrays.npz")
    assert arrays.keys() == want["arrays.npz"].keys()
    for k, v in want["arrays.npz"].items():
        assert arrays[k].dtype == v.dtype and np.array_equal(arrays[k], v)
    state = saved.state("run1", "weights.pt")
    assert state.keys() == want["weights.pt"].keys()
    manifest = saved.json("run1", "manifest.json")
    assert manifest["id"] == "run1" and manifest["seconds"] == 1.5
    assert set(manifest["files"]) == set(want)
    assert sorted(os.listdir(saved.folder)) == ["run1"]  # and nothing temporary is left
    assert saved.ids() == ["run1"]


NAMES = ["table.csv", "settings.json", "arrays.npz", "weights.pt"]


def flip(path):
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(bytes(raw))


def test_what_is_cached_is_made_once_and_again_when_harmed(tmp_path):
    store, made = Store(tmp_path / "s"), []

    def make():
        made.append(1)
        return {"a.json": {"n": len(made)}}

    for _ in range(2):
        store.cached("k", make, {"what": "a test"})
    assert made == [1] and store.json("k", "a.json") == {"n": 1}
    manifest = store.json("k", "manifest.json")
    assert manifest["what"] == "a test" and manifest["torch"] == torch.__version__
    (store.path("k") / "a.json").write_text("torn", encoding="utf-8")
    store.cached("k", make, {})
    assert store.json("k", "a.json") == {"n": 2}

    def fail():
        raise UserError("cannot be made")

    with pytest.raises(UserError, match="cannot be made"):
        store.cached("other", fail, {})
    assert list(store.ids()) == ["k"]


def test_who_waits_for_what_another_process_makes_finds_it(tmp_path):
    store = Store(tmp_path / "s")
    with ThreadPoolExecutor(1) as other:
        with store.alone("k"):
            waiting = other.submit(store.cached, "k", lambda: pytest.fail("made twice"), {})
            time.sleep(0.2)
            assert not waiting.done()
            store.save("k", {"a.json": {}}, {})
        waiting.result(timeout=10)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "harm",
    [
        lambda p: p.write_bytes(p.read_bytes()[:-1]),
        lambda p: p.write_bytes(b""),
        lambda p: p.write_bytes(p.read_bytes() + b" "),
        flip,
        lambda p: p.unlink(),
    ],
    ids=["torn", "empty", "longer", "edited", "missing"],
)
def test_a_harmed_file_is_found_out(saved, name, harm):
    harm(saved.path("run1") / name)
    problem = saved.problem("run1")
    assert problem and not saved.has("run1") and "\n" not in problem
    if (saved.path("run1") / name).exists():
        assert name in problem
    saved.save("run1", files(), {})  # made again in its place
    assert saved.has("run1")


@pytest.mark.parametrize(
    "manifest",
    [
        '{"files": {"a',
        "",
        "[]",
        '{"files": null}',
        "\xff\xfe",
    ],
)
def test_a_harmed_manifest_is_found_out(saved, manifest):
    (saved.path("run1") / "manifest.json").write_bytes(manifest.encode("latin-1"))
    assert saved.problem("run1") != "" and not saved.has("run1")


def test_a_run_without_manifest_is_not_made_yet(saved):
    assert saved.problem("run9") == "not made yet" and not saved.has("run9")
    (saved.path("run1") / "manifest.json").unlink()
    assert saved.problem("run1") == "not made yet"
    assert saved.ids() == []


class Refuses:
    def to_csv(self, **_):
        raise RuntimeError("half way")


@pytest.mark.parametrize(
    ("bad", "manifest", "error"),
    [
        ({"b.csv": Refuses()}, {}, RuntimeError),
        ({"b.json": {"x": object()}}, {}, TypeError),
        ({}, {"x": object()}, TypeError),
        ({"no/such/folder.json": {}}, {}, OSError),
    ],
)
def test_a_failing_save_leaves_nothing_behind(saved, bad, manifest, error):
    first = {"a.json": {"x": 1}}
    with pytest.raises(error):
        saved.save("run2", {**first, **bad}, manifest)
    assert sorted(os.listdir(saved.folder)) == ["run1"]
    with pytest.raises(error):
        saved.save("run1", {**first, **bad}, manifest)
    assert saved.has("run1")  # the finished run is not touched by a failing one
    assert sorted(os.listdir(saved.folder)) == ["run1"]


def test_write_atomic_is_whole_or_nothing(tmp_path):
    path = tmp_path / "a" / "b.txt"
    write_text(path, "first ü")
    assert path.read_text(encoding="utf-8") == "first ü"

    def fails(f):
        f.write(b"half")
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        write_atomic(path, fails)
    assert path.read_text(encoding="utf-8") == "first ü"
    write_atomic(path, lambda f: f.write(b"second"))
    assert path.read_bytes() == b"second"
    assert os.listdir(path.parent) == ["b.txt"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_folder_that_cannot_be_written_is_a_line_for_the_user(tmp_path):
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    below = tmp_path / "file" / "runs"
    for act in (
        lambda: write_text(below / "x.txt", "x"),
        lambda: write_text(tmp_path / "file" / "x.txt", "x"),
        lambda: Store(below).save("run", {"a.json": {}}, {}),
    ):
        with pytest.raises(UserError, match="cannot be written") as error:
            act()
        assert "\n" not in str(error.value) and str(tmp_path / "file") in str(error.value)


class Evil:
    def __reduce__(self):
        return (print, ("this must not run",))


def test_pickled_objects_are_not_unpickled(saved, capsys):
    path = saved.path("run1")
    torch.save({"W": Evil()}, path / "weights.pt")
    with pytest.raises(pickle.UnpicklingError):
        saved.state("run1", "weights.pt")
    np.savez(path / "arrays.npz", x=np.array([Evil()], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        saved.arrays("run1", "arrays.npz")
    assert "must not run" not in capsys.readouterr().out


BASE = '''"""Doc."""

import math


def area(r):
    """Of a circle."""
    return math.pi * r * r
'''
SOURCES = {
    "comments": (BASE.replace("    return", "    # a comment\n    return"), True),
    "no docstrings": (
        BASE.replace('"""Doc."""\n', "").replace('    """Of a circle."""\n', ""),
        True,
    ),
    "operator": (BASE.replace("r * r", "r + r"), False),
    "string in use": (BASE.replace("math.pi", '"s"'), False),
}


NUMBER = itertools.count()  # source_hash remembers a module by its name


@pytest.fixture
def hash_of(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)

    def of(*sources):
        names = [f"pddm_lite_made_up_{os.getpid()}_{next(NUMBER)}" for _ in sources]
        for name, source in zip(names, sources, strict=True):
            (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
        sys.path_importer_cache.pop(str(tmp_path), None)
        return source_hash(*names)

    return of


@pytest.mark.parametrize("name", SOURCES)
def test_source_hash_sees_code_and_not_words(hash_of, name):
    source, same = SOURCES[name]
    assert source != BASE
    assert (hash_of(source) == hash_of(BASE)) == same
