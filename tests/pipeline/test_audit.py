"""A run's name outlives a change of the code's text, and the audit tells what it no longer is."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pddm_lite.pipeline import cli
from pddm_lite.store.store import Store

ROOT = Path(__file__).resolve().parents[2]
IDS = """
from pddm_lite.training.runs import run_id
from pddm_lite.training.study import Study
study = Study.of(profile="smoke", variants=["all"], results="results")
print(*(run_id(e, study.load(e.data)) for e in study.experiments()))
"""


def test_a_comment_a_rename_or_a_move_leaves_every_id_as_it_is(tmp_path):
    shutil.copytree(ROOT / "pddm_lite", tmp_path / "pddm_lite")
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}

    def ids():
        command = [sys.executable, "-c", IDS]
        return subprocess.run(
            command,
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=True,
            encoding="utf-8",
        ).stdout.split()

    before = ids()
    assert len(set(before)) > 50
    package = tmp_path / "pddm_lite"
    for name in (
        "training/loop.py",
        "losses.py",
        "mining.py",
        "methods.py",
        "pddm.py",
        "training/runs.py",
    ):
        text = (package / name).read_text(encoding="utf-8")
        text = re.sub(r"\bstart_from_pca\b|\btake_step\b", r"another_name", text)
        (package / name).write_text("# a comment\n" + text, encoding="utf-8")
    text = (package / "losses.py").read_text(encoding="utf-8")
    moved = text[text.index("def scale(") : text.index("def double_header(")]
    (package / "scaling.py").write_text(
        "from __future__ import annotations\nimport torch\nfrom torch import Tensor\n" + moved,
        encoding="utf-8",
    )
    (package / "losses.py").write_text(
        text.replace(moved, "from .scaling import scale  # noqa: E402\n\n\n"), encoding="utf-8"
    )
    assert ids() == before


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    words = ["--profile", "smoke", "--data", "synthetic_birds", "--methods", "Triplet,PDDM score"]
    words += ["--seeds", "0", "--variants", "none", "--stage", "data,runs", "--jobs", "1"]
    assert cli.main([*words, "--results", str(results), "--device", "cpu"]) == 0
    return results


def audit(results, *more):
    return cli.main(["audit", "--results", str(results), "--profile", "smoke", *more])


def test_the_audit_fits_again_and_finds_the_same(made, capsys):
    assert audit(made) == 0
    out = capsys.readouterr().out
    assert "2 of 2 runs fitted again, 0 differ" in out and out.count(": the same to 1e-06") == 2


def test_the_audit_tells_a_run_that_is_no_longer_what_the_code_computes(made, capsys, tmp_path):
    shutil.copytree(made, tmp_path / "results")
    store = Store(tmp_path / "results" / "runs")
    run = store.ids()[0]
    files = {
        n: (store.path(run) / n).read_bytes() for n in store.json(run, "manifest.json")["files"]
    }
    history = store.csv(run, "history.csv")
    history.loc[1, "loss"] *= 1.001
    store.save(run, {**files, "history.csv": history}, store.json(run, "manifest.json"))
    assert audit(tmp_path / "results") == 1
    assert "1 differ" in capsys.readouterr().out
    assert store.csv(run, "history.csv").equals(history)  # the store is left as it is


@pytest.mark.parametrize("words", [["--number", "0"], ["--results", "nowhere"]])
def test_wrong_use_is_one_line(made, capsys, words):
    assert audit(made, *words) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1
    assert json.dumps(words[1]).strip('"') in err
