"""Where things lie: "~" in a notebook, folders in the place of files, cores that may be used."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pddm_lite.pipeline import notebooks, options
from pddm_lite.store import cores
from pddm_lite.store.errors import UserError
from pddm_lite.store.files import write_text
from pddm_lite.training.study import Study

ROOT = Path(__file__).parents[2]


def test_a_tilde_is_home_in_a_notebook_too(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    study = Study.of("smoke", ["folder"], "~/images", results="~/results", backbone="resnet18",
                     weights="~/w.pth")  # fmt: skip
    assert study.folder.parent == tmp_path / "results"
    assert (study.data_root, study.weights) == (str(tmp_path / "images"), str(tmp_path / "w.pth"))
    args = options.parser().parse_args(["--results", "~/results"])
    assert options.study_of(args).results == str(tmp_path / "results")


def test_a_folder_in_the_place_of_a_notebooks_record_is_one_line(tmp_path):
    study = Study.of("smoke", results=str(tmp_path))
    for name in ("60_retrieval.json", "60_retrieval.ipynb"):
        path = study.folder / "notebooks" / name
        path.mkdir(parents=True)
        assert notebooks.stale(study, "60_retrieval", {})
        with pytest.raises(UserError, match=f"{name} is a folder, where a file belongs; move it"):
            notebooks.execute(study, "60_retrieval", {}, "again")
        with pytest.raises(UserError, match=f"{name} is a folder"):
            write_text(path, "x")
        assert [p.name for p in path.parent.iterdir()] == [name]
        path.rmdir()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="not on this system")
def test_jobs_are_the_cores_that_the_process_may_use():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    code += (
        "from pddm_lite.pipeline import cli, check\nfrom pddm_lite.store.store import environment\n"
    )
    code += "print(cli.parser().parse_args([]).jobs, environment()['cores'], check.gpu())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8"
    )
    jobs, cores, said = done.stdout.strip().split(" ", 2)
    assert (jobs, cores) == ("1", "1") and ("; 1 CPU cores" in said or "GiB" in said)


COUNTS = {"cpu_count", "process_cpu_count", "sched_getaffinity", "ThreadPoolExecutor"}


def test_cores_are_counted_in_one_place():
    """Threads and processes are as many as cores.cores says, or a pool takes all there are."""
    counted = []
    for folder in ("pddm_lite", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path == Path(cores.__file__):
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                f = getattr(node, "func", None)
                name = getattr(f, "attr", getattr(f, "id", ""))
                if name in COUNTS and not (name == "ThreadPoolExecutor" and node.args):
                    counted.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert counted == []


@pytest.mark.parametrize(("quota", "most"), [("50000 100000", 1), ("150000 100000", 2)])
def test_a_containers_quota_counts(quota, most, tmp_path, monkeypatch):
    monkeypatch.setattr(cores, "QUOTA", tmp_path / "cpu.max")
    free = cores.cores()
    (tmp_path / "cpu.max").write_text("max 100000\n", encoding="utf-8")
    assert cores.cores() == free
    (tmp_path / "cpu.max").write_text(f"{quota}\n", encoding="utf-8")
    assert cores.cores() == min(free, most)
