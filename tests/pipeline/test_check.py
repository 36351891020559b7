"""run_all.py check: what it finds, and that it finds what is missing."""

import importlib.metadata
import os
import shutil
from dataclasses import replace

import pytest
from trees import picture, unpacked

from pddm_lite import data as data_sets
from pddm_lite.pipeline import check, cli
from pddm_lite.store.errors import UserError

WHAT = "Python packages GPU kernel results settings data batches hierarchy weights folder disk"


def asked(capsys, tmp_path, *more: str, code: int) -> dict[str, str]:
    """What -> the line about it, with its mark in front."""
    results = () if "--results" in more else ("--results", str(tmp_path / "r"))
    assert cli.main(["check", *more, *results]) == code
    lines = capsys.readouterr().out.splitlines()
    assert [line[7:].split(":")[0] for line in lines] == WHAT.split()
    return {line[7:].split(":")[0]: line for line in lines}


def test_all_is_there_and_nothing_is_left_behind(tmp_path, capsys):
    said = asked(capsys, tmp_path, "--profile", "smoke", "--variants", "none", code=0)
    assert all(line.startswith("[OK]   ") for line in said.values())
    assert "40 classes (20 train, 20 test)" in said["data"] and "16 classes" in said["batches"]
    assert "crops of 64 px" in said["weights"] and "the taxonomy" not in said["hierarchy"]
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_fails_with_its_remedy_and_the_rest_is_told(tmp_path, capsys):
    blocked = tmp_path / "file"
    blocked.touch()
    options = ["--data", "cub200_2010", "--data-root", str(tmp_path / "no"), "--backbone"]
    options += ["mobilenet_v2", "--weights", str(tmp_path / "no.pth"), "--results"]
    said = asked(capsys, tmp_path, *options, str(blocked / "r"), code=1)
    failed = {what for what, line in said.items() if line.startswith("[FAIL]")}
    assert failed == {"results", "data", "weights"}
    for what, remedy in (("results", "--results"), ("data", "no does not"), ("weights", "no.pth")):
        assert remedy in said[what]
    assert said["batches"] == "[--]   batches: not looked at, for what failed above"


def tree(root, classes: int, images: int = 4):
    names = [f"c{c:02d}/{n}.png" for c in range(classes) for n in range(images)]
    return unpacked(root, {name: picture(k, size=(20, 20)) for k, name in enumerate(names)})


OWN = ["--data", "folder", "--backbone", "smallnet", "--weights", "none", "--variants", "none"]
# what a run would trip over only later: options of a temporary folder -> (what fails, its words)
LATER = {
    "fewer classes than a batch": (
        lambda t: [*OWN, "--data-root", str(tree(t / "d", 10))],
        "batches",
        ["a batch holds 16 classes", "classes_per_batch="],
    ),
    "fewer classes than a variant's batch": (
        lambda t: ["--profile", "smoke", "--variants", "m = 132"],
        "batches",
        ["a batch holds 33 classes", "only 16 train"],
    ),
    "one class to test": (
        lambda t: [*OWN, "--data-root", str(tree(t / "d", 3))],
        "data",
        ["1 of 3 classes train", "4 or more"],
    ),
    "an unknown notebook": (lambda t: ["--only", "60_x"], "settings", ["60_retrieval"]),
    "an embedding longer than the features": (
        lambda t: ["--profile", "smoke", "--set", "embedding_size=300", "--set", "head_init=pca"],
        "weights",
        ["embedding_size <= 256", "head_init=random"],
    ),
    "a crop that the network cannot take": (
        lambda t: ["--profile", "smoke", "--set", "crop=20", "--backbone", "alexnet", "--weights",
                   "none"],
        "weights",
        ["crop 20", "its own is 224"],
    ),
    "another study's folder": (
        lambda t: [*OWN, "--data-root", str(tree(t / "d", 40)), *held_by_another(t)],
        "folder",
        ["study of other data", "content of folder 123 ->"],
    ),
    "a broken WordNet": (
        lambda t: ["--data", "tiny_imagenet", "--data-root", str(broken_wordnet(t)),
                   "--backbone", "smallnet", "--weights", "none", "--variants", "none"],
        "hierarchy",
        ["is_a.txt", "line 1"],
    ),
}  # fmt: skip


def held_by_another(folder) -> list[str]:
    held = folder / "r" / "mine" / "study.json"
    held.parent.mkdir(parents=True)
    held.write_text('{"inputs": {"folder": "123"}}', encoding="utf-8")
    return ["--name", "mine", "--results", str(folder / "r")]


def broken_wordnet(folder):
    (folder / "wordnet").mkdir()
    for name in ("is_a.txt", "words.txt"):
        (folder / "wordnet" / name).write_text("nothing\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("case", LATER)
def test_what_would_stop_a_run_later_is_foreseen(case, tmp_path, capsys, monkeypatch):
    make, what, words = LATER[case]
    if case == "a broken WordNet":  # without its 100,000 images
        data = data_sets.load("synthetic_birds", "", "smoke")
        fake = replace(data, name="tiny_imagenet")
        monkeypatch.setattr(data_sets, "load", lambda *args, **more: fake)
    monkeypatch.setattr(check, "kernel", lambda: "is looked at elsewhere")
    said = asked(capsys, tmp_path, *make(tmp_path), code=1)
    assert [w for w, line in said.items() if line.startswith("[FAIL]")] == [what]
    assert all(word in said[what] for word in words), said[what]


def test_features_that_do_not_fit_the_disk_are_foreseen(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(check, "kernel", lambda: "is looked at elsewhere")
    free = check.LEAST + 10**6
    monkeypatch.setattr(
        check.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 9, free)
    )
    root = str(tree(tmp_path / "d", 40, 30))
    words = [*OWN, "--data-root", root, "--methods", "Triplet", "--seeds", "0"]
    assert asked(capsys, tmp_path, *words, code=0)
    # 1,200 images of 64 x 64 pixels, and the networks
    said = asked(capsys, tmp_path, *words, "--mode", "finetune", code=1)
    assert "GiB free" in said["disk"] and said["disk"].startswith("[FAIL]")


@pytest.mark.parametrize("version", ["3.10.14", "3.14.0", "2.7"])
def test_a_python_out_of_range(version):
    with pytest.raises(UserError, match="is needed"):
        check.python(version)
    assert check.python("3.12.1") == "3.12.1"


def test_packages_out_of_range_and_missing():
    def installed(name: str) -> str:
        if name == "papermill":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0" if name == "numpy" else "99"

    with pytest.raises(UserError) as err:
        check.packages(installed)
    assert "papermill is missing" in str(err.value) and "numpy 1.0 is not >=1.26" in str(err.value)
    assert "torch" not in str(err.value) and "pip install" in str(err.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="cannot be written"):
        check.writable(tmp_path / "r")


def test_weights_that_a_run_would_fetch_are_not_fetched(capsys, monkeypatch):
    def no(*args, **more):
        raise AssertionError("fetched")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", no)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", no)
    for weights in ([], ["--weights", "imagenet"], ["--weights", "IMAGENET1K_V1"]):
        code = cli.main(["check", "--backbone", "mobilenet_v2", "--profile", "smoke", *weights])
        assert code == 0 and "to be fetched" in capsys.readouterr().out
