"""verify, stats and their command line: on small trees, and on the real sets where they are."""

import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from trees import picture

from pddm_lite.data.__main__ import main
from pddm_lite.data.real import REAL, Archive
from pddm_lite.data.verify import stats, verify
from pddm_lite.store.errors import UserError

SHARED = Path(__file__).parents[3] / "shared" / "data"


def omniglot(root, changed=None):
    """A tiny Omniglot below `root`: 2 + 1 characters of 4 images; `changed` replaces files."""
    files = {
        f"images_{part}/A/character{c:02d}/{part}{n}.png": picture(mode="1", seed=n)
        for part, characters in (("background", (1, 2)), ("evaluation", (3,)))
        for c in characters
        for n in range(4)
    }
    for name, content in (files | (changed or {})).items():
        path = root / "omniglot" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


FIRST = "images_background/A/character01/background0.png"


def test_a_part_is_well_where_a_part_is_asked_for(tmp_path):
    report = verify("omniglot", omniglot(tmp_path), partial=True, bar=False)
    assert not report.problems and not report.warnings
    assert report.facts == [
        "Omniglot: 3 classes, 12 images, 8 train and 4 test",
        "12 images decoded",
        "converted to RGB: 12 of mode 1",
    ]


def test_other_counts_than_the_official_ones(tmp_path):
    problems = verify("omniglot", omniglot(tmp_path), bar=False).problems
    assert [p.split(" belong")[0] for p in problems] == [
        "3 classes, but 1,623",
        "12 images, but 32,460",
        "8 training images, but 19,280",
        "4 test images, but 13,180",
    ]


# what a file is replaced by -> words of the problem, or of the warning
CONTENT = {
    "truncated": (picture(size=(80, 80))[:900], "problem", ["cannot be read as an image"]),
    "empty": (b"", "problem", ["cannot be read as an image"]),
    "text": (b"<html>404</html>", "problem", ["cannot be read as an image"]),
    "one pixel": (picture(size=(1, 1)), "warning", ["1 images smaller than 8", "(1 x 1)"]),
    "long": (picture(size=(10_001, 9)), "warning", ["larger than 10,000", "(10001 x 9)"]),
}


@pytest.mark.parametrize("case", CONTENT)
def test_every_image_is_decoded(tmp_path, case):
    content, kind, named = CONTENT[case]
    report = verify("omniglot", omniglot(tmp_path, {FIRST: content}), partial=True, bar=False)
    lines, none = (report.problems, report.warnings)[:: 1 if kind == "problem" else -1]
    assert len(lines) == 1 and not none
    assert FIRST in lines[0] and "\n" not in lines[0]
    assert all(part in lines[0] for part in named), lines[0]
    assert f"{11 if kind == 'problem' else 12} images decoded" in report.facts


def test_the_archive_beside_is_held_to_its_md5(tmp_path, monkeypatch):
    right = hashlib.md5(b"archive").hexdigest()
    spec = REAL["omniglot"].__class__(
        **{**vars(REAL["omniglot"]), "archives": (Archive("o.zip", right),)}
    )
    monkeypatch.setitem(REAL, "omniglot", spec)
    root = omniglot(tmp_path)
    for content, well in ((b"archive", True), (b"archivf", False)):
        (root / "o.zip").write_bytes(content)
        report = verify("omniglot", root, bar=False)
        lines = report.facts if well else report.problems
        (line,) = [x for x in lines if "md5" in x]
        assert str(root / "o.zip") in line and (well or right in line)


def test_what_cannot_be_loaded_is_a_problem_and_wrong_use_an_error(tmp_path):
    assert "no omniglot" in verify("omniglot", tmp_path).problems[0]
    root = omniglot(tmp_path, {"images_background/x.png": picture()})
    assert "<Alphabet>" in verify("omniglot", root).problems[0]
    for name, root, named in (
        ("omniglott", tmp_path, "Did you mean 'omniglot'"),
        ("omniglot", "", "--data-root"),
        ("omniglot", tmp_path / "no", "does not exist"),
    ):
        with pytest.raises(UserError, match=named):
            verify(name, root)


def test_your_own_folder_and_the_synthetic_world_are_verified_too(tmp_path):
    for c in "ab":
        (tmp_path / c).mkdir()
        for n in range(4):
            (tmp_path / c / f"{n}.png").write_bytes(picture())
    report = verify("folder", tmp_path, bar=False)
    assert not report.problems and "no official counts to compare with" in report.facts
    (tmp_path / "a" / "0.png").write_bytes(b"x")
    assert len(verify("folder", tmp_path, bar=False).problems) == 1
    assert any(
        "classes      40: 20 train, 20 test" in x for x in stats("synthetic_birds", "", "smoke")
    )


def folders(root, pictures):
    """Class folders below `root` of {class: its pictures' bytes}."""
    for c, own in pictures.items():
        (root / c).mkdir(parents=True)
        for n, content in enumerate(own):
            (root / c / f"{n}.png").write_bytes(content)
    return root


def test_a_class_of_thumbnails_alone_is_named(tmp_path):
    large, small = [picture(size=(80, 60), seed=n) for n in range(4)], picture(size=(20, 15))
    thumbs = "all images of class 'ant', which blur gives away"
    root = folders(tmp_path / "one", {"ant": [small] * 4, "bee": large, "cat": large})
    (warning,) = verify("folder", root, bar=False).warnings
    assert warning.startswith("4 images have less than half") and thumbs in warning
    root = folders(tmp_path / "some", {"ant": [*large, small], "bee": large, "cat": large})
    (warning,) = verify("folder", root, bar=False).warnings
    assert warning.startswith("1 images have less than half") and "class" not in warning


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_what_is_all_but_black_is_told(tmp_path, bits):
    x = np.linspace(0, 2**bits - 1, 300).reshape(15, 20).astype(np.uint16)
    out = io.BytesIO()
    Image.fromarray(x).save(out, "PNG")
    own = [picture(size=(20, 15), seed=n) for n in range(4)]
    root = folders(tmp_path / "root", {"ant": [*own, out.getvalue()], "bee": own})
    found = verify("folder", root, bar=False).warnings
    if bits == 16:
        assert not found
    else:
        assert len(found) == 1 and "1 images are all but black" in found[0]
        assert "ant/4.png" in found[0]


def test_stats(tmp_path):
    root = omniglot(tmp_path, {FIRST.replace("0.png", "9.png"): picture(size=(30, 40))})
    lines = "\n".join(stats("omniglot", root))
    for part in (
        "3: 2 train, 1 test",
        "13: 9 train, 4 test",
        "a class has  4 / 4 / 5 images",
        "width        12 / 12 / 30 pixels",
        "height       9 / 9 / 40 pixels",
        "modes        1 12, RGB 1",
    ):
        assert part in lines, lines


# ------------------------------------------------------------------------ command line


def test_the_command_line(tmp_path, capsys):
    root = str(omniglot(tmp_path))
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in [*REAL, "folder:NAME", "synthetic_birds"])
    assert "train 1" in listed and "5,864" in listed and "MIT" in listed
    assert main(["verify", "omniglot", "--data-root", root, "--partial"]) == 0
    assert capsys.readouterr().out.endswith("all well\n")
    assert main(["verify", "omniglot", "--data-root", root]) == 1
    out = capsys.readouterr().out
    assert out.count("problem: ") == 4 and "all well" not in out
    assert main(["stats", "omniglot", "--data-root", root]) == 0
    assert "Omniglot (omniglot)" in capsys.readouterr().out


def test_at_most_twenty_problems_are_told(tmp_path, capsys):
    folder = FIRST.rsplit("/", 1)[0]
    root = omniglot(tmp_path, {f"{folder}/bad{n}.png": b"x" for n in range(23)})
    assert main(["verify", "omniglot", "--data-root", str(root), "--partial"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("problem: ") for line in lines) == 20
    assert lines[-1] == "and 3 problems more"


WRONG = [
    ([], "COMMAND"),
    (["verfy", "sop"], "verfy"),
    (["verify"], "NAME"),
    (["verify", "sopp", "--data-root", "."], "Did you mean 'sop'"),
    (["verify", "sop"], "--data-root"),
    (["verify", "sop", "--data-root", "/no/such"], "/no/such"),
    (["stats", "synthetic_birds", "--profile", "quik"], "Did you mean 'quick'"),
    (["download", "imagenet", "--data-root", "/no/such"], "image-net.org"),
    (["verify", "folder", "--data-root", ""], "--data-root is empty"),
    (["stats", "folder", "--data-root= "], "--data-root is empty"),
    (["verify", ""], "an argument is empty"),
    (["verify", "sop", "--data-rot", "."], "Did you mean '--data-root'? See"),
]


@pytest.mark.parametrize(("argv", "named"), WRONG, ids=[" ".join(a) for a, _ in WRONG])
def test_wrong_use_is_one_line(capsys, argv, named):
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert not out and err.count("\n") == 1 and err.startswith("error: ") and named in err


@pytest.mark.parametrize("command", ["stats omniglot", "verify omniglot --partial", "list", "-h"])
def test_who_stops_reading_sees_no_broken_pipe(tmp_path, command):
    argv = command.split() + (["--data-root", str(omniglot(tmp_path))] if "omni" in command else [])
    reader, writer = os.pipe()
    os.close(reader)  # as head is gone by the time that there is something to say
    done = subprocess.run(
        [sys.executable, "-m", "pddm_lite.data", *argv],
        stdout=writer, stderr=subprocess.PIPE, text=True, encoding="utf-8",
    )  # fmt: skip
    os.close(writer)
    # argparse of newer Pythons passes over a pipe that broke under its own help
    allowed = (0, 141) if argv == ["-h"] else (141,)
    assert not done.stderr and done.returncode in allowed


# --------------------------------------------------------------------------- real data


@pytest.mark.parametrize("name", ["cub200_2010", "cars196_half", "omniglot", "tiny_imagenet"])
def test_real_data_are_well(name):
    if name != "cub200_2010" and not os.environ.get("PDDM_ALL_DATA"):
        pytest.skip("takes a while: set PDDM_ALL_DATA=1 to try all four sets")
    archives = [SHARED / f"{f}.zip" for f in REAL[name].folders]
    if not any(a.exists() for a in archives):
        pytest.skip(f"no {' or '.join(a.name for a in archives)} in {SHARED}")
    report = verify(name, SHARED, bar=False)
    assert not report.problems and not report.warnings
    assert f"{REAL[name].images:,} images decoded" in report.facts
