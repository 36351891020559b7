"""Folders as they really are: odd names, links, litter, zips of Windows, files left out."""

import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from trees import picture, zipped
from trees import unpacked as write

from pddm_lite import data
from pddm_lite.data import open_folder
from pddm_lite.data.__main__ import main
from pddm_lite.data.verify import verify
from pddm_lite.store.errors import UserError

NAMES = [f"{c}/{n}.png" for c in ("ant", "bee", "cat") for n in range(4)]


def assert_same(a, b):
    assert a.class_names == b.class_names and a.labels.tolist() == b.labels.tolist()
    for i in range(len(a)):
        assert np.array_equal(np.asarray(a.read(i)), np.asarray(b.read(i)))


# ------------------------------------------------------------------------ names


def odd(path, raw):
    """A tree with the bytes `raw` in the name of a class, of a file and of the folder itself."""
    root = os.fsencode(path) + b"/" + raw
    for c in (b"ant", b"c" + raw):
        os.makedirs(root + b"/" + c)
        for n in range(4):
            with open(root + b"/" + c + b"/" + raw + b"%d.png" % n, "wb") as f:
                f.write(picture(n))
    return root


ODD = {
    "Latin-1": (b"M\xfcller", "M\\xfcller"),
    "a line's end": (b"a\nb", "a\\nb"),
    "an escape of terminals": (b"a\x1b[31mb", "a\\x1b[31mb"),
    "Japanese": ("鳥\u3000類".encode(), "鳥\u3000類"),
    "Cyrillic": ("птица".encode(), "птица"),
    "a dot": (b"birds_v1.2", "birds_v1.2"),
}


@pytest.mark.parametrize("case", ODD)
def test_names_in_any_bytes(tmp_path, capsys, case):
    raw, text = ODD[case]
    root = os.fsdecode(odd(tmp_path, raw))
    s = data.load("folder", root)
    assert s.class_names == ("ant", f"c{text}") and s.title == text
    for part in (s.title, *s.class_names, *s.read.names):
        part.encode()  # fit for files in UTF-8
        assert "\n" not in part
    again = pickle.loads(pickle.dumps(s.read))
    for i in range(8):
        assert np.array_equal(np.asarray(again(i)), np.asarray(s.read(i)))
    assert s.side == 9
    for command in ("verify", "stats"):
        assert main([command, "folder", "--data-root", root]) == 0
        assert text in capsys.readouterr().out
    with open(os.fsencode(root) + b"/ant/" + raw + b"0.png", "wb") as f:
        f.write(b"broken")
    with pytest.raises(UserError) as error:
        data.load("folder", root).read(0)
    assert text in str(error.value) and "\n" not in str(error.value) and str(error.value).encode()


def test_names_are_the_same_in_every_locale(tmp_path):
    root = os.fsdecode(odd(tmp_path, "Grünfink".encode()))
    said = "from pddm_lite import data; import sys; d = data.load('folder', sys.argv[1]);"
    said += "print(d.fingerprint, ascii(d.class_names), d.read(5).size)"
    found = []
    for env in (
        {"PYTHONUTF8": "1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "de_DE.ISO-8859-1", "PYTHONUTF8": "0"},
    ):
        done = subprocess.run(
            [sys.executable, "-c", said, os.fsencode(root)],
            env={**os.environ, **env}, capture_output=True, text=True, encoding="utf-8",
        )  # fmt: skip
        found.append(done.stdout or done.stderr)
    assert "cGr\\xfcnfink" in found[0] and len(set(found)) == 1, found


@pytest.mark.parametrize("name", ["birds_v1.2", "v2.0.1", "a.zip", "x.tar"])
def test_a_folders_name_has_no_suffix(tmp_path, name):
    write(tmp_path / name, NAMES)
    for s in (data.load("folder", tmp_path / name), data.load(f"folder:{name}", tmp_path)):
        assert s.title == name
    zipped(tmp_path / f"{name}.w.zip", NAMES)
    assert data.load("folder", tmp_path / f"{name}.w.zip").title == f"{name}.w"


# ------------------------------------------------------------------------ zips


@pytest.mark.parametrize("top", ["", "my birds\\"])
@pytest.mark.parametrize("system", [0, 3])
def test_backslashes_in_zips(tmp_path, top, system):
    names = [top + n.replace("/", "\\") for n in NAMES]
    made = zipped(tmp_path / "w.zip", names, create_system=system)
    assert_same(open_folder(made, "mine"), open_folder(write(tmp_path / "d", NAMES), "mine"))


@pytest.mark.parametrize("system", [0, 3])
def test_backslashes_beside_slashes_divide_in_zips_of_windows_alone(tmp_path, system):
    """Elsewhere they may be letters of a name."""
    names = [n.replace("/", "\\") if n.startswith("bee") else n for n in NAMES]
    names = [n if system == 0 else n.replace("bee\\", "bee/x\\") for n in names]
    s = open_folder(zipped(tmp_path / "m.zip", names, create_system=system), "mine")
    assert_same(s, open_folder(write(tmp_path / "d", NAMES), "mine"))
    inner = {n.removeprefix("bee/") for n in s.read.names if n.startswith("bee")}
    assert inner == {("x\\" if system else "") + f"{n}.png" for n in range(4)}


def test_dots_in_front_of_names_and_links_in_zips(tmp_path):
    made = zipped(tmp_path / "u.zip", [f"./{n}" for n in NAMES])
    for said, name in (("1 link", "ant/link.png"), ("2 links", "bee/link.png")):
        with zipfile.ZipFile(made, "a") as z:
            link = zipfile.ZipInfo(name)
            link.create_system, link.external_attr = 3, 0o120777 << 16
            z.writestr(link, "0.png")
        s = open_folder(made, "mine")
        assert_same(s, open_folder(write(tmp_path / "d", NAMES), "mine"))
        assert s.notes == (f"left out: {said} in the zip",)


# ------------------------------------------------------------------------ links


def test_linked_class_folders_and_files_are_followed(tmp_path):
    pool = write(tmp_path / "pool", NAMES)
    root = tmp_path / "root"
    root.mkdir()
    (root / "ant").symlink_to(pool / "ant")
    (root / "bee").symlink_to("../pool/bee", target_is_directory=True)
    (root / "cat").mkdir()
    for n in range(4):
        (root / "cat" / f"{n}.png").symlink_to(pool / "cat" / f"{n}.png")
    assert_same(open_folder(root, "mine"), open_folder(pool, "mine"))
    assert not open_folder(root, "mine").notes
    (tmp_path / "alias").symlink_to(root)
    assert_same(open_folder(tmp_path / "alias", "mine"), open_folder(pool, "mine"))


LOOPS = {
    "to the root": ("loop", "."),
    "to a folder above the root": ("loop", ".."),
    "to /": ("loop", "/"),
    "in a class, to the root": ("ant/loop", ".."),
    "in a class, to itself": ("ant/loop", "."),
    "to another class": ("the bee", "bee"),
}


@pytest.mark.parametrize("case", LOOPS)
def test_loops_and_second_names_are_left_out(tmp_path, case):
    root = write(tmp_path / "above" / "root", NAMES)
    plain = open_folder(root, "mine")
    name, target = LOOPS[case]
    (root / name).symlink_to(target)
    s = open_folder(root, "mine")
    assert_same(s, plain)
    assert s.fingerprint == plain.fingerprint
    assert s.notes == ("left out: 1 link to a folder that is counted already",)


def test_links_that_lead_nowhere_or_to_what_is_counted(tmp_path):
    root = write(tmp_path / "root", NAMES)
    (root / "ant" / "gone.png").symlink_to("nothing.png")
    (root / "ant" / "circle.png").symlink_to("circle.png")
    (root / "gone").symlink_to("nothing")
    (root / "bee" / "again.png").symlink_to("0.png")
    s = open_folder(root, "mine")
    assert len(s) == 12
    assert set(s.notes) == {
        "left out: 3 links to nothing",
        "left out: 1 link to a file that is counted already",
    }


# ------------------------------------------------------------------------ litter, files left out

SYSTEMS = ["lost+found", "$RECYCLE.BIN", "$Recycle.Bin", "@eaDir", "__MACOSX", "#recycle",
           "System Volume Information", ".Trash-1000", "@Recycle"]  # fmt: skip


@pytest.mark.parametrize("place", ["", "ant/"])
@pytest.mark.parametrize("name", SYSTEMS)
def test_what_systems_leave_is_no_class(tmp_path, name, place):
    root = write(tmp_path / "root", NAMES)
    plain = open_folder(root, "mine")
    (root / place / name).mkdir()
    for inside in (None, "x.png", "ant/0.png"):  # empty, a thumbnail, more below
        if inside:
            write(root / place / name, [inside])
        s = open_folder(root, "mine")
        assert_same(s, plain)
        assert s.fingerprint == plain.fingerprint
    made = zipped(tmp_path / "z.zip", [*NAMES, f"{place}{name}/x.png", f"{place}{name}/a/0.png"])
    assert_same(open_folder(made, "mine"), plain)


RESULTS = {
    "just made": (".tmp-host-12-x/", "results"),
    "empty": ("", "results"),
    "by another name": ("runs/a/metrics.json", "features/x.npy", "mine/figures/1.png", "out"),
    "the default": ("quick/figures/10.png", "runs/a/metrics.json", "results"),
}


@pytest.mark.parametrize("case", RESULTS)
def test_what_a_run_makes_in_the_data_root_is_no_class(tmp_path, case):
    *made, name = RESULTS[case]
    root = write(tmp_path / "root", NAMES)
    plain = open_folder(root, "mine")
    (root / name).mkdir()
    for file in made:
        if file.endswith("/"):
            (root / name / file).mkdir()
        elif file:
            write(root / name, [file])
    s = open_folder(root, "mine")
    assert_same(s, plain)
    assert s.notes == (f"left out: 1 folder of a run's results, {name}",)


def test_a_class_called_results_is_one(tmp_path):
    root = write(tmp_path / "root", [*NAMES, *(f"results/{n}.png" for n in range(4))])
    assert open_folder(root, "mine").class_names == ("ant", "bee", "cat", "results")


@pytest.mark.parametrize("kind", ["directory", "zip"])
def test_what_is_left_out_is_counted_by_suffix(tmp_path, kind, capsys):
    others = ["ant/a.xyz", "ant/b.XYZ", "bee/notes.txt", "cat/raw", "cat/x.pdf", "ant/Thumbs.db"]
    names = [*NAMES, *others, "README.md", "ant/.hidden.txt"]
    path = (
        write(tmp_path / "d", names) if kind == "directory" else zipped(tmp_path / "z.zip", names)
    )
    s = open_folder(path, "mine")
    assert len(s) == 12
    (note,) = s.notes
    assert note.endswith("suffix: 2 .xyz, 1 without suffix, 1 .pdf, 1 .txt")
    assert verify("folder", path, bar=False).warnings == [note]
    assert main(["stats", "folder", "--data-root", str(path)]) == 0
    assert note in capsys.readouterr().out


def test_a_mix_tells_what_each_of_its_parts_leaves_out(tmp_path):
    write(tmp_path / "x", [*NAMES, "ant/a.xyz"])
    write(
        tmp_path / "y",
        [*NAMES, "bee/notes.txt", "dog/0.png", "dog/1.png", "dog/2.png", "dog/3.png"],
    )
    notes = data.load("mix:folder:x,folder:y", tmp_path).notes
    assert [n.split(": ")[0] + n[-6:] for n in notes] == ["folder:x1 .xyz", "folder:y1 .txt"]


def test_a_class_of_files_that_cannot_be_read_says_so(tmp_path):
    root = write(tmp_path / "root", [*NAMES, *(f"dog/{n}.svg" for n in range(3))])
    with pytest.raises(UserError, match=r"dog holds no image \(1 such; left out there: 3 \.svg\)"):
        open_folder(root, "mine")
    with pytest.raises(UserError, match=r"no image below .*; left out: 3 \.svg"):
        open_folder(root / "dog", "mine")


def test_heic_left_out_says_what_would_read_it(tmp_path, monkeypatch):
    from pddm_lite.data import pictures

    kinds = (pictures._kinds()[0], tuple(s for s in pictures.suffixes() if "hei" not in s))
    monkeypatch.setattr(pictures, "_kinds", lambda: kinds)
    s = open_folder(write(tmp_path, [*NAMES, *(f"ant/{n}.HEIC" for n in range(13))]), "mine")
    assert "13 .heic (pip install pillow-heif reads HEIC)" in s.notes[0]


def test_a_read_only_tree_and_no_place_for_a_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(write(tmp_path / "root", NAMES) / "ant" / "0.png"))
    monkeypatch.setattr("pddm_lite.data.contents.REMEMBERED", -1)
    assert len(open_folder(tmp_path / "root", "mine")) == 12
