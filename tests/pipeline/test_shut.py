"""Files and folders that may not be opened, and folders in the place of files: one line each."""

import os
import shutil
import stat
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from trees import unpacked

from pddm_lite.data import __main__ as data_command
from pddm_lite.data import load
from pddm_lite.pipeline import check, cli, compare

NOBODY = 65534
STUDY = ["--profile", "smoke", "--data", "synthetic_birds", "--methods", "Triplet", "--seeds", "0",
         "--variants", "none"]  # fmt: skip
FOLDER = ["--data", "folder", "--backbone", "smallnet", "--weights", "none", "--variants", "none"]


@contextmanager
def as_somebody():
    """With the rights of a user: root may read everything."""
    if os.geteuid():
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def root():
    """A tree of three classes in a folder that everybody may enter, unlike pytest's own."""
    if not hasattr(os, "seteuid"):
        pytest.skip("no such rights on this system")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        tree = Path(folder) / "around" / "tree"
        yield unpacked(tree, [f"{c}/{n}.png" for c in ("ant", "bee", "cat") for n in range(4)])
        for path in (tree.parent, tree, tree / "bee", tree.parent / "closed"):
            if path.exists():
                path.chmod(0o755)


def zipped(tree: Path) -> Path:
    path = tree.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as z:
        for file in tree.rglob("*.png"):
            z.write(file, file.relative_to(tree))
    path.chmod(0)
    return path


def link_to_closed(tree: Path) -> Path:
    """A class folder that lies, as a link says, where one may not look."""
    inner = tree.parent / "closed" / "dog"
    shutil.copytree(tree / "bee", inner)
    (tree / "dog").symlink_to(inner)
    inner.parent.chmod(0)
    return tree


CLOSED = {  # makes a path, words of the one line
    "class folder": (lambda t: (t / "bee").chmod(0) or t, ["folder bee cannot be read"]),
    "names without contents": (
        lambda t: (t / "bee").chmod(stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH) or t,
        ["0.png in folder bee cannot be read"],
    ),
    "root": (lambda t: t.chmod(0) or t, ["folder . cannot be read"]),
    "above the root": (lambda t: t.parent.chmod(0) or t, ["tree", "cannot be opened"]),
    "zip": (zipped, ["tree.zip cannot be opened"]),
    "one picture": (lambda t: (t / "bee/2.png").chmod(0) or t, ["bee/2.png: cannot be read"]),
    "linked class": (link_to_closed, ["dog in folder . cannot be read"]),
}


@pytest.mark.parametrize("case", CLOSED)
def test_what_may_not_be_read_is_one_line(root, case, capsys):
    assert len(load("folder", root)) == 12
    make, words = CLOSED[case]
    path = make(root)
    with as_somebody():
        code = data_command.main(["verify", "folder", "--data-root", str(path)])
    said = "".join(capsys.readouterr())
    (line,) = [x for x in said.splitlines() if x.startswith(("problem: ", "error: "))]
    assert code == 1 and all(w in line for w in [*words, "Permission denied", "the right to"])
    if case != "one picture":  # which only who reads it notices
        with as_somebody():
            assert cli.main([*FOLDER, "--data-root", str(path), "--dry-run"]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and all(w in err for w in [*words, "Permission denied"])


def test_check_goes_on_behind_what_may_not_be_opened(root, tmp_path, capsys, monkeypatch):
    for slow in ("kernel", "gpu", "packages"):
        monkeypatch.setattr(check, slow, lambda: "")
    root.parent.chmod(0)
    with as_somebody():
        argv = ["--data", "folder", "--data-root", str(root), "--results", "/"]
        assert check.main(argv) == 1
    out = capsys.readouterr().out
    assert f"[FAIL] data: {root} cannot be opened (Permission denied)" in out and "disk: " in out


def test_a_folder_for_a_table_is_one_line(tmp_path, capsys):
    for side in "ab":
        (tmp_path / side / "tables").mkdir(parents=True)
    (tmp_path / "a/tables/x.csv").mkdir()
    (tmp_path / "b/tables/x.csv").write_text("k\n1\n", encoding="utf-8")
    for sides in ("ab", "ba", "aa"):
        assert cli.main(["compare", *(str(tmp_path / s) for s in sides)]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and "a/tables/x.csv is a folder, where a file belongs" in err
    assert compare.main([str(tmp_path / "b")] * 2) == 0


def test_a_folder_for_features_is_one_line(tmp_path, capsys, here):
    argv = [*STUDY, "--results", str(tmp_path), "--stage", "data"]
    assert cli.main(argv) == 0
    (features,) = (tmp_path / "features").glob("*.npy")
    features.unlink()
    features.mkdir()
    capsys.readouterr()
    assert cli.main(argv) == 2
    err = capsys.readouterr().err.splitlines()
    assert err == [f"error: {features} is a folder, where a file belongs; move it away."]
