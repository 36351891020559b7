"""What was saved and imported before the files moved to their folders still works."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pddm_lite.data import load
from pddm_lite.own_data.metric import Metric
from pddm_lite.pipeline import pack
from pddm_lite.store import saving
from pddm_lite.store.store import Store
from pddm_lite.training.experiments import Experiment
from pddm_lite.training.runs import Run

BEFORE = Path(__file__).parent / "before"  # made by the code of then: see the test's own names
SAID = json.loads((BEFORE / "about.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pictures():
    data = load("synthetic_birds", profile="smoke")
    return [data.read(i) for i in range(4)]


def test_a_metric_saved_before_embeds_as_then(pictures):
    f = Metric.load(BEFORE / "metric.safetensors").embed(pictures)
    torch.testing.assert_close(f, torch.tensor(SAID["f"]), rtol=0, atol=1e-4)


def test_a_unit_saved_before_scores_as_then():
    unit, f = saving.load_unit(BEFORE / "unit.safetensors"), torch.tensor(SAID["f"])
    S = unit.pairs(f, torch.tensor([0, 0, 2]), torch.tensor([1, 2, 3]))
    torch.testing.assert_close(S, torch.tensor(SAID["S"]), rtol=0, atol=1e-5)


def test_a_pack_made_before_is_unpacked_and_its_run_read(tmp_path):
    store = Store(tmp_path / "runs")
    found = pack.unpack([BEFORE / "pack.zip"], store)
    assert found.taken == [SAID["run"]] and found.refused == {}
    run = Run(Experiment(**store.json(SAID["run"], "config.json")), SAID["run"], store)
    assert run.similarity().W_u.in_features == len(SAID["f"][0]) and len(run.history) > 0


MOVED = {
    "own_metric": ("own_data.metric", "Metric"),
    "reference": ("pipeline.reference", "main"),
    "pretrain": ("training.pretrain", "main"),
}


@pytest.mark.parametrize("old", MOVED)
def test_an_old_name_gives_the_same_and_says_the_new_one(old):
    new, name = MOVED[old]
    sys.modules.pop(f"pddm_lite.{old}", None)
    with pytest.warns(FutureWarning, match=rf"pddm_lite\.{old} is now pddm_lite\.{new}"):
        module = importlib.import_module(f"pddm_lite.{old}")
    assert getattr(module, name) is getattr(importlib.import_module(f"pddm_lite.{new}"), name)


@pytest.mark.parametrize("old", ["reference", "pretrain", "data"])
def test_an_old_command_still_helps(old):
    done = subprocess.run(
        [sys.executable, "-m", f"pddm_lite.{old}", "--help"],
        capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    assert "usage" in done.stdout or "copy its results" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "module, names",
    [("pddm", "PDDM LMDM Euclidean Mahalanobis Similarity r SIMILARITIES"),
     ("mining", "hard_quadruplets"), ("losses", "double_header"), ("methods", "METHODS"),
     ("layer", "PDDMLoss"), ("interop", "QuadrupletMiner ScoreAccuracy SimilarityDistance"),
     ("data", "load known ImageSet split fingerprint")],
)  # fmt: skip
def test_what_the_readme_imports_lies_where_it_lay(module, names):
    if module == "interop":
        pytest.importorskip("pytorch_metric_learning")
    found = importlib.import_module(f"pddm_lite.{module}")
    assert all(hasattr(found, name) for name in names.split())
