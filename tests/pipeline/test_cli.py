"""run_all.py from outside: what the store saves, what a failure shows (more: test_bad_input.py)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from pddm_lite.pipeline import cli, notebooks
from pddm_lite.store.errors import UserError
from pddm_lite.training.study import Study

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("given", "folder"),
    [
        ({}, "quick"),
        ({"data": ["cub200_2010"], "backbone": "mobilenet_v2"}, "quick-cub200_2010"),
        ({"data": ["folder:a"], "backbone": "resnet18", "mode": "frozen"}, "quick-folder-a"),
        ({"mode": "finetune", "recipe": "letter"}, "quick-finetune-letter"),
        ({"profile": "paper"}, "paper"),
        (
            {"profile": "paper", "mode": "frozen", "settings": ["embedding_size=64"]},
            "paper-frozen-embedding_size=64",
        ),
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
    (folder / "study.json").write_text("torn", encoding="utf-8")
    assert "another study" not in run(*draw)


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
    torn.write_text("{}", encoding="utf-8")
    assert cli.main(small(tmp_path / "1", "--explain")) == 0
    assert "metrics.json was changed or torn" in capsys.readouterr().out
    assert cli.main(small(tmp_path / "1", "--stage", "runs")) == 0
    assert "made again" in capsys.readouterr().out
    assert without_seconds(tmp_path / "1") == one
    # a changed setting is explained
    assert cli.main(small(tmp_path / "1", "--explain", "--set", "alpha=0.25")) == 0
    assert "settings changed: alpha" in capsys.readouterr().out


def test_a_failing_notebook_shows_a_card_and_the_rest_goes_on(tmp_path, monkeypatch, here, capfd):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    source = json.loads((ROOT / "notebooks" / "60_retrieval.ipynb").read_text(encoding="utf-8"))
    for name, line in (("10_good", "print(6 * 7)"), ("20_bad", "first = 1\n1 / 0")):
        nb = json.loads(json.dumps(source))
        at = next(
            k for k, c in enumerate(nb["cells"]) if "parameters" in c["metadata"].get("tags", [])
        )
        cell = {"cell_type": "code", "id": "x", "metadata": {}, "outputs": [],
                "execution_count": None, "source": line}  # fmt: skip
        nb["cells"] = [*nb["cells"][: at + 1], cell]
        (folder / f"{name}.ipynb").write_text(json.dumps(nb), encoding="utf-8")
    monkeypatch.setattr(notebooks, "FOLDER", folder)
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
    record = json.loads(manifest.read_text(encoding="utf-8"))
    for path in old:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", encoding="utf-8")
        record["files"][str(path.relative_to(results))] = "e3b0c44298fc"
    manifest.write_text(json.dumps(record), encoding="utf-8")
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
    encoding="utf-8")  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    folder = results / "smoke-synthetic_birds"
    done = {p.stem for p in (folder / "notebooks").glob("*.json")}
    assert done == set(notebooks.notebooks())
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert 'src="http' not in page and 'href="http' not in page.replace('href="https://arxiv', "")
    for word in ("Claims by data set", "PDDM+Quadruplet", "data:image/png;base64"):
        assert word in page
    verdicts = pd.read_csv(folder / "tables" / "verdicts.csv")
    assert {"C1", "C4", "C7", "C10"} <= set(verdicts["claim"])
    again = subprocess.run(
        [sys.executable, "run_all.py", *small(results, "--methods", "Triplet,PDDM+Quadruplet,"
         "PDDM score,Euclidean+Quadruplet", "--seeds", "0,1,2")],
        cwd=ROOT, capture_output=True, text=True,
    encoding="utf-8")  # fmt: skip
    assert f"{len(done)} fresh, 0 to execute" in again.stdout
    assert ", 0 to make" in again.stdout


def test_torchrun_trains_by_two_processes_and_one_writes(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += [str(ROOT / "run_all.py"), "--profile", "smoke", "--data", "synthetic_birds"]
    command += ["--methods", "PDDM+Quadruplet", "--seeds", "0", "--variants", "none"]
    command += ["--device", "cpu", "--results", str(tmp_path)]
    done = subprocess.run(
        [*command, "--stage", "data,runs"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("runs        1/1") == 1  # one of the two speaks
    (run,) = (tmp_path / "runs").iterdir()
    assert json.loads((run / "config.json").read_text(encoding="utf-8"))["ranks"] == 2
    refused = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8"
    )
    assert refused.returncode != 0 and "torchrun is for training" in refused.stderr
