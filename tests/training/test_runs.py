"""Runs in the store: named by what they compute, made once, whole, read back as they were."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from fakes import coloured
from micro import experiment, image_set

from pddm_lite.data.base import split
from pddm_lite.measures.scores import pair_scores, separation
from pddm_lite.methods import LOSSES
from pddm_lite.store.errors import UserError
from pddm_lite.store.store import Store
from pddm_lite.training import checkpoints, loop, runs
from pddm_lite.training.faults import TrainingError
from pddm_lite.training.inputs import inputs
from pddm_lite.training.loop import embed, fit
from pddm_lite.training.runs import fit_or_load, run_id


@pytest.fixture
def small_world():
    """64 x 64 pictures, a colour a class, for smallnet without weights."""
    return coloured("colours", images=5)


def stored_experiment(**changes):
    return experiment(
        **{"data": "colours", "backbone": "smallnet", "weights": "none", "classes": 2, **changes},
        batch_size=6,
        steps=4,
        eval_every=2,
    )


def test_the_id_of_a_run_changes_with_what_decides_its_numbers(tmp_path, small_world, monkeypatch):
    weights = tmp_path / "net.pt"
    weights.write_bytes(b"one")
    copy = tmp_path / "copy.pt"
    copy.write_bytes(b"one")

    def of(data=small_world, **changes):
        return run_id(stored_experiment(**changes), data)

    base = of()
    assert of() == base and of(method="PDDM score") == base
    different = [of(lr=0.02), of(seed=1), of(method="Triplet"), of(data=image_set(8, 5))]
    with_file = of(weights=str(weights))
    assert of(weights=str(copy)) == with_file  # the content counts, not the place
    monkeypatch.setenv("HOME", str(tmp_path))  # backbones.load expands ~, so the id must
    assert of(weights="~/net.pt") == with_file
    weights.write_bytes(b"two")
    different += [with_file, of(weights=str(weights))]
    assert of(data=dataclasses.replace(small_world, title="t", read=None)) == base
    other_split = dataclasses.replace(small_world, train_classes=small_world.train_classes - 1)
    different.append(of(data=other_split))
    monkeypatch.setattr(runs, "source_hash", lambda *_: "another code")
    assert of() == base
    monkeypatch.setattr(loop, "FIT", loop.FIT + 1)
    different.append(of())
    monkeypatch.setitem(LOSSES, "quadruplet", dataclasses.replace(LOSSES["quadruplet"], version=9))
    different.append(of())
    assert len({base, *different}) == 1 + len(different)


def test_a_stored_run_is_not_fitted_again_and_a_torn_one_is(tmp_path, small_world, monkeypatch):
    fits, said = [], []
    monkeypatch.setattr(loop, "fit", lambda *a, fit=fit, **k: fits.append(1) or fit(*a, **k))

    def ask(**changes):
        force = changes.pop("force", False)
        e = stored_experiment(**changes)
        return fit_or_load(e, small_world, tmp_path, force=force, bar=False, say=said.append)

    first = ask()
    metrics, history, f = first.metrics, first.history, first.embeddings["f"]
    assert len(fits) == 1 and said == []
    second = ask()
    assert len(fits) == 1 and second.id == first.id and second.metrics == metrics
    pd.testing.assert_frame_equal(second.history, history)
    assert ask(method="PDDM score").id == first.id and len(fits) == 1  # the same training
    assert ask(seed=1).id != first.id and len(fits) == 2

    torn = tmp_path / "runs" / first.id / "embeddings.npz"
    torn.write_bytes(torn.read_bytes()[:-3])
    again = ask()
    assert len(fits) == 3 and len(said) == 1
    assert "embeddings.npz" in said[0] and first.id in said[0] and "\n" not in said[0]
    assert again.metrics == metrics and np.array_equal(again.embeddings["f"], f)
    assert ask(force=True).metrics == metrics and len(fits) == 4
    assert sorted(Store(tmp_path / "runs").ids()) == sorted({first.id, ask(seed=1).id})


def test_a_new_version_of_the_measures_measures_again_and_fits_nothing(
    tmp_path, small_world, monkeypatch
):
    for changes in ({}, {"mode": "finetune", "method": "Triplet", "lr": 0.01}):
        e = stored_experiment(**changes)
        before = fit_or_load(e, small_world, tmp_path, bar=False)
        kept = {
            n: (before.store.path(before.id) / n).read_bytes() for n in before.manifest["files"]
        }
        with monkeypatch.context() as m:
            m.setattr(loop, "fit", None)
            m.setattr(runs, "MEASURE", runs.MEASURE + 1)
            assert runs.problem(e, small_world, tmp_path) == "measured by another version"
            again = fit_or_load(e, small_world, tmp_path, bar=False)
            assert runs.problem(e, small_world, tmp_path) == ""
        assert again.id == before.id and again.manifest["measure"] == runs.MEASURE + 1
        assert again.manifest["made"] == before.manifest["made"]
        for name in kept:  # the same weights, and so the same measures
            if name != "embeddings.npz":  # zip files hold times
                assert (again.store.path(again.id) / name).read_bytes() == kept[name], name
        assert np.array_equal(again.embeddings["f"], before.embeddings["f"])


def test_the_two_rows_of_one_run_show_each_its_own_step(tmp_path, small_world, monkeypatch):
    """The score at its best at step 2, the distance at step 4: two states are kept."""
    values = iter([dict(distance=1.0, score=1.0), dict(distance=2.0, score=9.0),
                   dict(distance=3.0, score=3.0)])  # fmt: skip
    monkeypatch.setattr(loop, "_held_out", lambda *_: next(values))
    score = fit_or_load(stored_experiment(method="PDDM score"), small_world, tmp_path, bar=False)
    distance = fit_or_load(stored_experiment(), small_world, tmp_path, bar=False)
    assert score.id == distance.id
    assert score.metrics["chosen_step"] == 2 and distance.metrics["chosen_step"] == 4
    assert not torch.equal(score.state("head")["weight"], distance.state("head")["weight"])
    same = score.at("distance")
    assert same.metrics == distance.metrics and same.metrics["test"].keys() == {"distance", "score"}
    assert np.array_equal(same.embeddings["f"], distance.embeddings["f"])
    assert not np.array_equal(score.embeddings["f"], distance.embeddings["f"])
    assert set(same.by_class) == set(score.by_class)
    assert len(score.histograms) and "state" not in score.histograms
    for r in (score, distance):  # each state's unit and features give that state's measures
        f, labels = (torch.from_numpy(r.embeddings[k]) for k in ("f", "labels"))
        got = separation(*pair_scores(r.similarity().all_pairs(f), labels))
        assert got["auc"] == pytest.approx(r.metrics["test"]["score"]["auc"], abs=0.03)


def test_a_run_holds_what_its_reader_promises(tmp_path, small_world):
    r = fit_or_load(stored_experiment(), small_world, tmp_path, bar=False)
    assert r.metrics.keys() == {"test", "train", "chosen_step", "collapse", "start"}
    assert r.metrics["test"].keys() == {"distance", "score"}
    assert list(r.history["step"]) == [0, 2, 4] and "seconds" in r.history
    e = r.embeddings
    assert e["f"].shape == (20, 6) and e["f"].dtype == np.float32
    assert np.array_equal(e["index"], small_world.test)
    assert np.array_equal(e["labels"], small_world.labels[small_world.test])
    np.testing.assert_allclose(np.linalg.norm(e["f"], axis=1), 1, atol=2e-3)
    assert set(r.histograms["split"]) == {"test", "train"}
    assert r.manifest["id"] == r.id and r.manifest["data"] == "colours"
    # the stored unit and features give the stored measures, to the precision of float16
    S = r.similarity().all_pairs(torch.from_numpy(e["f"]))
    got = separation(*pair_scores(S, torch.from_numpy(e["labels"])))
    assert got["auc"] == pytest.approx(r.metrics["test"]["score"]["auc"], abs=0.03)


@pytest.mark.parametrize("method", ["Triplet", "Softmax"])
@pytest.mark.parametrize("average", [0.0, 0.9])
def test_finetuned_runs_are_stored_with_their_network(tmp_path, small_world, method, average):
    e = stored_experiment(mode="finetune", method=method, ema_decay=average, lr=0.01)
    r = fit_or_load(e, small_world, tmp_path, bar=False)
    assert r.metrics["test"].keys() == {"distance"} and len(r.history) == 3
    assert r.id != run_id(stored_experiment(method=method), small_world)
    source, start = inputs(e, small_world, tmp_path / "features", "cpu", bar=False)
    model, stored = r.model(), r.store.state(r.id, "backbone.pt")
    assert not any(m.training for m in model.modules())
    before = start.state_dict()
    assert any(not torch.equal(v, before[k]) for k, v in stored.items())  # as trained
    assert all(v.dtype == torch.float32 for v in stored.values() if v.is_floating_point())
    f = embed(model, source, small_world.test)
    assert np.array_equal(f.half().float().numpy(), r.embeddings["f"])
    (tmp_path / "runs" / r.id / "backbone.pt").unlink()
    with pytest.raises(UserError, match=rf"run {r.id} .*keeps no backbone.pt; make it again"):
        r.model()


@pytest.mark.parametrize("method", ["PDDM+Quadruplet", "Softmax"])
def test_the_model_of_a_frozen_run_maps_features(tmp_path, small_world, method):
    e = stored_experiment(method=method)
    r = fit_or_load(e, small_world, tmp_path, bar=False)
    assert not (tmp_path / "runs" / r.id / "backbone.pt").exists()
    source, _ = inputs(e, small_world, tmp_path / "features", "cpu", bar=False)
    f = embed(r.model(), source, small_world.test)
    assert np.array_equal(f.half().float().numpy(), r.embeddings["f"])


def test_the_classifier_of_softmax_knows_the_training_classes_and_comes_back(tmp_path, small_world):
    r = fit_or_load(stored_experiment(method="Softmax"), small_world, tmp_path, bar=False)
    s = r.similarity()
    fitted_on = len(np.unique(small_world.labels[split(small_world, 0.2, 0).fit]))
    assert s.W.shape == (fitted_on, 6) and not s.training
    assert r.metrics["test"].keys() == {"distance"}
    want = r.store.state(r.id, "metric.pt")
    assert all(torch.equal(v, want[k]) for k, v in s.state_dict().items())


def test_a_finished_run_leaves_no_checkpoint(tmp_path, small_world, monkeypatch):
    monkeypatch.setattr(checkpoints, "seconds_between", lambda: -1.0)
    fit_or_load(stored_experiment(), small_world, tmp_path, bar=False)
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_a_failing_run_leaves_nothing_in_the_store(tmp_path, small_world, monkeypatch):
    def fails(*_, **__):
        raise TrainingError("step 2: E_m is not finite; the step is not taken.")

    monkeypatch.setattr(loop, "objective", fails)
    with pytest.raises(TrainingError):
        fit_or_load(stored_experiment(), small_world, tmp_path, bar=False)
    assert list(Store(tmp_path / "runs").ids()) == []
