"""run_all.py from outside: what bad input says, what the store saves, what a failure shows."""

import io
import json
import os
import subprocess
import sys
import zipfile
from concurrent.futures import Executor, Future
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from pddm_lite.errors import UserError
from pddm_lite.pipeline import cli, executors, notebooks
from pddm_lite.study import Study
from pddm_lite.training import fit_or_load

ROOT = Path(__file__).parents[2]


def image_bytes(seed: int, kind: str = "PNG") -> bytes:
    rng = np.random.default_rng(seed)
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (20, 20, 3), dtype=np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def tree(root: Path, classes: int, images: int) -> Path:
    for c in range(classes):
        folder = root / f"class_{c:02d}"
        folder.mkdir(parents=True)
        for n in range(images):
            (folder / f"{n}.png").write_bytes(image_bytes(100 * c + n))
    return root


def damaged(root: Path, data: bytes) -> Path:
    (tree(root, 40, 4) / "class_03" / "1.png").write_bytes(data)
    return root


def broken_zip(root: Path) -> Path:
    root.mkdir()
    (root / "cub200_2010.zip").write_bytes(b"PK no zip")
    return root


def cub_with_too_few(root: Path) -> Path:
    root.mkdir()
    with zipfile.ZipFile(root / "cub200_2010.zip", "w") as z:
        for c in range(3):
            for n in range(4):
                z.writestr(f"cub200_2010/{c:03d}.Bird/{n}.png", image_bytes(n))
    return root


def saved(path: Path, value: object) -> Path:
    torch.save(value, path)
    return path


FOLDER = ["--data", "folder", "--backbone", "smallnet", "--weights", "none", "--profile", "smoke"]
# what is wrong -> (function of a temporary folder giving the options, words the error must hold)
BAD = {
    "profile": (lambda t: ["--profile", "quik"], ["profile 'quik'", "quick"]),
    "data set": (lambda t: ["--data", "synthetic_bird"], ["synthetic_birds"]),
    "data set, real": (lambda t: ["--data", "cub200_2011x", "--backbone", "resnet18"], ["cub200"]),
    "heterogeneity": (lambda t: ["--data", "synthetic_birds@2"], ["from 0 to 1"]),
    "method": (lambda t: ["--methods", "PDDM+Quadruple"], ["PDDM+Quadruplet"]),
    "backbone": (lambda t: ["--backbone", "mobilenet"], ["mobilenet_v2"]),
    "recipe": (lambda t: ["--recipe", "leter"], ["letter"]),
    "mode": (lambda t: ["--mode", "thawed"], ["frozen, finetune"]),
    "variant": (lambda t: ["--variants", "2 quadruplets"], ["1 quadruplet"]),
    "seed": (lambda t: ["--seeds", "0,one"], ["integers", "0,one"]),
    "seed below 0": (lambda t: ["--seeds=-1"], ["-1"]),
    "jobs": (lambda t: ["--jobs", "0"], ["--jobs", "1 or more"]),
    "jobs no number": (lambda t: ["--jobs", "two"], ["--jobs", "two"]),
    "notebook": (lambda t: ["--only", "60_retrival"], ["60_retrieval"]),
    "stage": (lambda t: ["--stage", "run"], ["runs"]),
    "setting": (lambda t: ["--set", "alfa=0.2"], ["alpha"]),
    "setting without value": (lambda t: ["--set", "alpha"], ["NAME=VALUE"]),
    "setting of another type": (lambda t: ["--set", "steps=many"], ["steps", "int"]),
    "setting with its own option": (lambda t: ["--set", "seed=3"], ["option of its own"]),
    "batch size": (lambda t: ["--set", "batch_size=60"], ["60", "16 x 4 = 64"]),
    "parameter": (
        lambda t: ["--only", "60_retrieval", "-p", "profil", "quick"],
        ["60_retrieval", "profile"],
    ),
    "parameter of another type": (
        lambda t: ["--only", "60_retrieval", "-p", "seeds", "0"],
        ["seeds", "list[int]"],
    ),
    "no data root": (lambda t: FOLDER, ["--data-root"]),
    "missing data root": (lambda t: [*FOLDER, "--data-root", str(t / "no")], ["does not exist"]),
    "empty data root": (lambda t: [*FOLDER, "--data-root", str(t)], ["no image"]),
    "one class": (
        lambda t: [*FOLDER, "--data-root", str(tree(t / "d", 1, 6))],
        ["at least 2"],
    ),
    "few images": (
        lambda t: [*FOLDER, "--data-root", str(tree(t / "d", 40, 3))],
        ["3 images", "class_00"],
    ),
    "few classes": (
        lambda t: [*FOLDER, "--data-root", str(tree(t / "d", 6, 5))],
        ["16 classes", "--set classes"],
    ),
    "truncated image": (
        lambda t: [*FOLDER, "--data-root", str(damaged(t / "d", image_bytes(1)[:300]))],
        ["class_03/1.png", "replace or remove"],
    ),
    "no image inside": (
        lambda t: [*FOLDER, "--data-root", str(damaged(t / "d", b"text"))],
        ["class_03/1.png"],
    ),
    "broken zip": (
        lambda t: ["--data", "cub200_2010", "--backbone", "smallnet", "--weights", "none",
                   "--data-root", str(broken_zip(t / "d"))],
        ["cub200_2010.zip", "zip"],
    ),
    "incomplete set": (
        lambda t: ["--data", "cub200_2010", "--backbone", "smallnet", "--weights", "none",
                   "--data-root", str(cub_with_too_few(t / "d"))],
        ["3 classes", "200"],
    ),
    "set not there": (
        lambda t: ["--data", "cub200_2010", "--backbone", "resnet18", "--data-root", str(t)],
        ["cub200_2010.zip"],
    ),
    "shipped weights on real data": (
        lambda t: ["--data", "folder", "--backbone", "smallnet", "--data-root", str(t)],
        ["smallnet"],
    ),
    "weights missing": (lambda t: ["--weights", str(t / "no.pth")], ["no such file"]),
    "weights no state dict": (
        lambda t: ["--weights", str(saved(t / "w.pth", [1, 2]))],
        ["not a state dict"],
    ),
    "weights of another network": (
        lambda t: ["--weights", str(saved(t / "w.pth", {"a.weight": torch.ones(2)}))],
        ["not of smallnet"],
    ),
    "weights that are code": (
        lambda t: ["--weights", str(saved(t / "w.pth", Path("a")))],
        ["weights_only"],
    ),
    "name with a folder": (lambda t: ["--name", "../a"], ["'../a'", "letters, digits"]),
    "name that is taken": (lambda t: ["--name", "runs"], ["'runs'", "reference"]),
    "pack into no folder": (
        lambda t: ["--pack", str(t / "no" / "runs.zip")],
        ["--pack", "no folder"],
    ),
    "pack into a folder": (lambda t: ["--pack", str(t)], ["--pack", "name of a file"]),
    "pack size": (lambda t: ["--pack-size", "small"], ["--pack-size", "MiB", "small"]),
    "pack size 0": (lambda t: ["--pack-size", "0"], ["--pack-size", "above 0"]),
    "unpack nothing": (lambda t: ["--unpack", str(t / "no.zip")], ["no.zip", "no such file"]),
    "unpack something else": (
        lambda t: ["--unpack", str(broken_zip(t / "d") / "cub200_2010.zip")],
        ["cub200_2010.zip", "--pack", "Nothing was unpacked"],
    ),
    "unpack pictures": (
        lambda t: ["--unpack", str(cub_with_too_few(t / "d") / "cub200_2010.zip")],
        ["cub200_2010/000.Bird/0.png", "no file of a run"],
    ),
    "unpack with more": (
        lambda t: ["--unpack", "runs.zip", "--pack-size", "3"],
        ["--unpack", "--results", "pack-size"],
    ),
    "results not writable": (
        lambda t: ["--results", str(saved(t / "file", {}) / "results")],
        ["cannot be written", "--results"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(case, tmp_path, capsys):
    make, words = BAD[case]
    (tmp_path / "in").mkdir()
    options = make(tmp_path / "in")
    results = tmp_path / "results"
    if "--results" not in options:
        options = [*options, "--results", str(results)]
    assert cli.main(options) == 2
    err = capsys.readouterr().err.strip()
    assert err.startswith("error: ") and "\n" not in err
    for word in words:
        assert word in err
    left = [p for p in results.rglob("*") if p.is_file() and p.name != ".lock"]
    assert left == []


@pytest.mark.parametrize(
    ("given", "folder"),
    [
        ({}, "quick"),
        ({"data": ["cub200_2010"], "backbone": "mobilenet_v2"}, "quick-cub200_2010"),
        ({"data": ["folder:a"], "backbone": "resnet18", "mode": "frozen"}, "quick-folder-a"),
        ({"mode": "finetune", "recipe": "letter"}, "quick-finetune-letter"),
        ({"profile": "paper"}, "paper"),
        ({"profile": "paper", "mode": "frozen", "settings": ["dim=64"]}, "paper-frozen-dim=64"),
        ({"profile": "smoke", "mode": "finetune", "name": "Mine_1.2-b"}, "Mine_1.2-b"),
    ],
)
def test_the_folder_is_named_after_the_study(given, folder):
    assert Study.of(**given).folder.name == folder


@pytest.mark.parametrize("name", [".", "..", ".lock", "-a", "a/b", "a b", "ä", "a\\b", "a\n"])
def test_a_name_that_could_leave_the_results_is_refused(name):
    with pytest.raises(UserError, match="cannot be a study's folder"):
        Study.of(name=name)


def test_a_folder_of_another_study_is_not_overwritten_silently(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path / "none")  # nothing to execute
    results = tmp_path / "r"
    draw = ("--stage", "notebooks")

    def run(*more, code=0):
        assert cli.main(small(results, *more)) == code
        out, err = capsys.readouterr()
        return out + err

    assert "another study" not in run(*draw)
    folder = results / "smoke-synthetic_birds"
    old = folder / "figures" / "of_another_study.png"
    old.parent.mkdir()
    old.touch()
    assert "another study" not in run(*draw, "--jobs", "1")  # the same
    changed = ("--backbone", "resnet18", "--weights", "none", "--seeds", "0,1")
    both = "backbone smallnet -> resnet18; weights default -> none; seeds 0 -> 0, 1"
    # the report alone would show the other's figures under this one's name
    said = run("--stage", "report", *changed, code=2)
    assert both in said and "--name" in said and said.count("\n") == 1
    assert both in run("--dry-run", *draw, *changed) and old.exists()
    assert "another study" not in run(*draw, *changed, "--name", "mine")
    assert old.exists() and (results / "mine" / "study.json").exists()
    said = run(*draw, *changed)
    (line,) = [x for x in said.splitlines() if "another study" in x]
    assert both in line and "made again; --name keeps both" in line
    assert not old.exists()
    assert "another study" not in run(*draw, *changed)
    (folder / "study.json").write_text("torn")
    assert "another study" not in run(*draw)


def test_an_unknown_option_ends_with_2(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["--profil", "smoke"])
    assert end.value.code == 2 and "--profil" in capsys.readouterr().err


def small(results: Path, *more: str) -> list[str]:
    return ["--profile", "smoke", "--data", "synthetic_birds", "--methods",
            "Triplet,PDDM+Quadruplet", "--seeds", "0", "--variants", "none", "--results",
            str(results), *more]  # fmt: skip


def test_list_dry_run_and_explain_write_nothing(tmp_path, capsys):
    for option in ("--list", "--dry-run", "--explain"):
        assert cli.main(small(tmp_path / "r", option)) == 0
    out = capsys.readouterr().out
    assert "PDDM+Quadruplet" in out and "not made yet" in out and "papermill notebooks/" in out
    assert not (tmp_path / "r").exists()


def without_seconds(folder: Path) -> dict[str, bytes]:
    """Everything of the runs that must not change from one making to the next."""
    names = ("history.csv", "histograms.csv", "metrics.json", "embeddings.npz", "config.json")
    return {
        f"{p.parent.name}/{p.name}": p.read_bytes()
        for p in sorted(folder.glob("runs/*/*"))
        if p.name in names
    }


def test_one_job_and_two_give_the_same_bytes_and_the_store_saves_work(tmp_path, capsys):
    for jobs in ("1", "2"):
        options = small(tmp_path / jobs, "--stage", "data,runs", "--jobs", jobs)
        assert cli.main(options) == 0
    one, two = (without_seconds(tmp_path / jobs) for jobs in "12")
    assert one == two and len(one) == 10
    capsys.readouterr()
    assert cli.main(small(tmp_path / "1", "--stage", "runs")) == 0
    assert "2 in the store, 0 to make" in capsys.readouterr().out
    # a torn file is named and made again, to the same bytes
    torn = next((tmp_path / "1" / "runs").glob("*/metrics.json"))
    torn.write_text("{}")
    assert cli.main(small(tmp_path / "1", "--explain")) == 0
    assert "metrics.json was changed or torn" in capsys.readouterr().out
    assert cli.main(small(tmp_path / "1", "--stage", "runs")) == 0
    assert "made again" in capsys.readouterr().out
    assert without_seconds(tmp_path / "1") == one
    # a changed setting is explained
    assert cli.main(small(tmp_path / "1", "--explain", "--set", "alpha=0.25")) == 0
    assert "settings changed: alpha" in capsys.readouterr().out


def test_a_failing_notebook_shows_a_card_and_the_rest_goes_on(tmp_path, monkeypatch, capfd):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    source = json.loads((ROOT / "notebooks" / "60_retrieval.ipynb").read_text())
    for name, line in (("10_good", "print(6 * 7)"), ("20_bad", "first = 1\n1 / 0")):
        nb = json.loads(json.dumps(source))
        at = next(
            k for k, c in enumerate(nb["cells"]) if "parameters" in c["metadata"].get("tags", [])
        )
        cell = {"cell_type": "code", "id": "x", "metadata": {}, "outputs": [],
                "execution_count": None, "source": line}  # fmt: skip
        nb["cells"] = [*nb["cells"][: at + 1], cell]
        (folder / f"{name}.ipynb").write_text(json.dumps(nb))
    monkeypatch.setattr(notebooks, "FOLDER", folder)

    class Here(Executor):  # a pool's child would not see the changed folder
        def submit(self, f, *args):
            future = Future()
            try:
                future.set_result(f(*args))
            except Exception as err:
                future.set_exception(err)
            return future

    monkeypatch.setattr(executors, "pool", lambda jobs: Here())
    monkeypatch.setenv("PDDM_BATCH", "")  # set in a worker, which this process is now
    results = tmp_path / "r"
    code = cli.main(small(results, "--stage", "notebooks"))
    out, err = capfd.readouterr()
    assert code == 1
    assert "10_good: executed" in out and "1 failed" in out
    for word in ("20_bad, cell", "first = 1", "ZeroDivisionError", "run_all.py --only 20_bad"):
        assert word in err

    # a figure that a notebook draws no more goes when it is executed again; what it measured stays
    (manifest,) = results.glob("*/notebooks/10_good.json")
    old = [manifest.parents[1] / "figures" / "10_old.png", results / "cost" / "x" / "cost.csv"]
    record = json.loads(manifest.read_text())
    for path in old:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        record["files"][str(path.relative_to(results))] = "e3b0c44298fc"
    manifest.write_text(json.dumps(record))
    assert cli.main(small(results, "--stage", "notebooks", "--only", "10_good")) == 0
    assert [path.exists() for path in old] == [False, True]
    executed = results / "smoke-synthetic_birds" / "notebooks"
    assert (executed / "10_good.json").exists() and not (executed / "20_bad.json").exists()
    # the good one is fresh now, the bad one is tried again
    cli.main(small(results, "--stage", "notebooks"))
    assert "1 fresh, 1 to execute" in capfd.readouterr().out


def test_smoke_from_the_command_line_to_the_report(tmp_path):
    """A user's whole way: every notebook executed, a report without outside address."""
    results = tmp_path / "results"
    run = subprocess.run(
        [sys.executable, "run_all.py", *small(results, "--methods", "Triplet,PDDM+Quadruplet,"
         "PDDM score,Euclidean+Quadruplet", "--seeds", "0,1,2")],
        cwd=ROOT, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    folder = results / "smoke-synthetic_birds"
    done = {p.stem for p in (folder / "notebooks").glob("*.json")}
    assert done == set(notebooks.notebooks())
    page = (folder / "report.html").read_text()
    assert 'src="http' not in page and 'href="http' not in page.replace('href="https://arxiv', "")
    for word in ("What was reproduced", "PDDM+Quadruplet", "data:image/png;base64"):
        assert word in page
    verdicts = pd.read_csv(folder / "tables" / "verdicts.csv")
    assert {"C1", "C4", "C7", "C10"} <= set(verdicts["claim"])
    again = subprocess.run(
        [sys.executable, "run_all.py", *small(results, "--methods", "Triplet,PDDM+Quadruplet,"
         "PDDM score,Euclidean+Quadruplet", "--seeds", "0,1,2")],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert f"{len(done)} fresh, 0 to execute" in again.stdout
    assert ", 0 to make" in again.stdout


def test_fit_or_load_is_what_a_notebook_calls(tmp_path):
    study = Study.of("smoke", ["synthetic_cars"], methods=["Triplet"], seeds=[0], variants=[],
                     results=str(tmp_path))  # fmt: skip
    first = study.run("synthetic_cars", "Triplet", 0)
    stamp = (first.store.path(first.id) / "manifest.json").stat().st_mtime_ns
    second = fit_or_load(first.experiment, study.load("synthetic_cars"), str(tmp_path))
    assert second.id == first.id
    assert (second.store.path(second.id) / "manifest.json").stat().st_mtime_ns == stamp
    assert first.metrics == second.metrics


def test_torchrun_trains_by_two_processes_and_one_writes(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += [str(ROOT / "run_all.py"), "--profile", "smoke", "--data", "synthetic_birds"]
    command += ["--methods", "PDDM+Quadruplet", "--seeds", "0", "--variants", "none"]
    command += ["--device", "cpu", "--results", str(tmp_path)]
    done = subprocess.run(
        [*command, "--stage", "data,runs"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("runs        1/1") == 1  # one of the two speaks
    (run,) = (tmp_path / "runs").iterdir()
    assert json.loads((run / "config.json").read_text())["ranks"] == 2
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode != 0 and "torchrun is for training" in refused.stderr
