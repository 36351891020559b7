"""Batches, features and quadruplets of finished runs."""

import dataclasses

import numpy as np
import pytest
import torch

from pddm_lite.data import base
from pddm_lite.paper.fig3_mining import mined
from pddm_lite.training.study import Study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    return Study.of(
        profile="smoke",
        data=["synthetic_birds"],
        methods=["PDDM+Quadruplet"],
        seeds=[0],
        variants=[],
        settings=["steps=2"],
        results=folder,
        device="cpu",
    )


def test_features_are_those_that_the_run_stored(study):
    (run,), data = study.runs().values(), study.load("synthetic_birds")
    f, stored = mined.features(run, data, study.results), run.embeddings
    assert f.shape == (len(data), 128) and torch.isfinite(f).all()
    assert f[stored["index"]].numpy() == pytest.approx(stored["f"], abs=2e-3)


def test_batches_are_the_first_of_the_training(study):
    (run,), data = study.runs().values(), study.load("synthetic_birds")
    index = mined.batches(run, data, 3)
    assert index.shape == (3, 64)
    assert np.isin(index, base.split(data, run.experiment.holdout, 0).fit).all()


def test_a_fine_tuned_run_is_asked_on_the_batches_that_it_was_trained_on(study):
    tuned = dataclasses.replace(study, mode="finetune")
    (run,), data = tuned.runs().values(), study.load("synthetic_birds")
    f, index = mined.features(run, data, study.results), mined.batches(run, data, 2)
    assert np.isin(index, base.split(data, run.experiment.holdout, 0).fit).all()
    assert torch.isfinite(f).all()
    stored = run.embeddings
    assert f[stored["index"]].numpy() == pytest.approx(stored["f"], abs=2e-3)


def test_the_quadruplet_is_the_extreme_of_all_pairs(study):
    (run,), data = study.runs().values(), study.load("synthetic_birds")
    index = mined.batches(run, data, 1)[0]
    own, every = mined.quadruplet(run, data, mined.features(run, data, study.results), index)
    assert len(every) == 64 * 63 // 2 and own["pair"].tolist() == ["ij", "ik", "jl"]
    own = own.set_index("pair")
    assert own["S"]["ij"] == pytest.approx(every[every["same"]]["S"].min(), abs=1e-5)
    at = (every["a"] == own["a"]["ik"]) | (every["b"] == own["a"]["ik"])
    assert own["S"]["ik"] == pytest.approx(every[at & ~every["same"]]["S"].max(), abs=1e-5)
    assert own["by_S"]["ij"] == pytest.approx(1 / every["same"].sum())
    assert own[["by_S", "by_D"]].to_numpy().min() > 0
    assert own["class_a"]["ij"] == own["class_b"]["ij"] != own["class_b"]["ik"]
