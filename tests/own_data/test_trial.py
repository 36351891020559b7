"""One's own folder: the demo, the checks before training, the start, and the metric taken away."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from pddm_lite.data.synthetic import world
from pddm_lite.networks import backbones
from pddm_lite.own_data import figures, metric, trial
from pddm_lite.store.errors import UserError
from pddm_lite.training.study import Study


def write_tree(root, species=40, images=5, first=6000):
    """A folder of the synthetic world's birds in two sizes and formats, one image greyscale."""
    w = world("birds", species, images, first=first)
    for n, (pixels, label) in enumerate(zip(w.images, w.labels, strict=True)):
        picture = Image.fromarray(pixels)
        picture = picture.resize((90, 70)) if n % 2 else picture
        picture = picture.convert("L") if n == 1 else picture
        path = root / f"{label:03d}" / f"{n % images}.{'jpg' if n % 3 == 0 else 'png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    return root


def study_on(root, results, **changes):
    return Study.of(
        profile="smoke",
        data=["folder"],
        data_root=str(root),
        backbone="smallnet",
        weights=str(backbones.SHIPPED),
        results=str(results),
        device="cpu",
        **changes,
    )


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """(study, data, runs) on a tree of 40 classes, two seeds, at profile smoke."""
    base = tmp_path_factory.mktemp("own")
    own = trial.study_of(study_on(write_tree(base / "tree"), base / "results"))
    data, facts = trial.look(own)
    assert facts["images"] == 200 and facts["classes that train"] == 16
    return own, data, own.runs()


def test_a_study_of_other_data_takes_the_demo(tmp_path):
    own = trial.study_of(Study.of(profile="smoke", results=str(tmp_path), device="cpu"))
    assert own.data == ("folder:demo_birds",) and own.folder == tmp_path / "smoke"
    data, _ = trial.look(own)
    assert len(data) == trial.SPECIES * trial.IMAGES
    again = trial.demo(tmp_path / "elsewhere")
    assert (
        own.load(own.data[0]).fingerprint
        == replace(own, data_root=str(again.parent)).load(own.data[0]).fingerprint
    )
    stamp = again.stat().st_mtime_ns
    assert trial.demo(tmp_path / "elsewhere").stat().st_mtime_ns == stamp
    assert [p.name for p in again.parent.iterdir()] == ["demo_birds"]
    whole = {p: p.read_bytes() for p in sorted(again.rglob("*.png"))}
    for path in [*whole][::3]:  # half deleted, or killed while it was painted
        path.unlink()
    assert {p: p.read_bytes() for p in sorted(trial.demo(again.parent).rglob("*.png"))} == whole


def test_the_demo_is_of_species_that_no_one_trains():
    w = world("birds", 2, 2, first=trial.FIRST)
    assert trial.FIRST >= 1000 and trial.FIRST + trial.SPECIES < 20_000
    assert w.class_names[0].endswith(str(trial.FIRST))


def test_a_folder_keeps_its_settings_and_is_frozen_and_quick_at_most(tmp_path):
    write_tree(tmp_path / "tree", 4)
    given = study_on(tmp_path / "tree", tmp_path, settings=["classes_per_batch=2", "batch_size=8"])
    paper = replace(given, profile="paper", mode="finetune")
    own = trial.study_of(paper)
    assert (own.profile, own.mode, own.settings) == ("quick", "frozen", given.settings)
    assert own.folder == paper.folder and trial.is_folder(own)


def test_too_few_classes_name_the_settings_that_fit(tmp_path):
    own = trial.study_of(study_on(write_tree(tmp_path / "tree", 20), tmp_path))
    with pytest.raises(UserError) as err:
        trial.look(own)
    assert "\n" not in str(err.value)
    named = re.search(r"settings = \[\"(\S+)\", \"(\S+)\"\]", str(err.value)).groups()
    trial.look(replace(own, settings=named))  # the remedy works
    assert len(replace(own, settings=named, seeds=(0,)).runs()) == 3


def test_two_classes_are_too_few_whatever_the_settings(tmp_path):
    own = trial.study_of(study_on(write_tree(tmp_path / "tree", 3), tmp_path))
    with pytest.raises(UserError, match="give 4 or more"):
        trial.look(own)


def test_the_start_is_step_0_of_the_runs(fitted):
    own, data, runs = fitted
    starts = {seed: trial.start(own, data, seed) for seed in own.seeds}
    tidy = trial.compare(runs, starts, data)
    at_start = tidy[(tidy["method"] == trial.START) & (tidy["measure"] == "recall_1")]
    for seed, value in zip(at_start["seed"], at_start["value"], strict=True):
        for name in trial.COMPARED:
            first = runs[data.name, name, seed].metrics["start"]
            assert value == pytest.approx(first)
    shown = trial.table(tidy)
    assert list(shown["method"]) == [trial.START, *trial.COMPARED]
    gain = trial.gains(tidy, trial.PDDM)
    assert shown["R@1 over the start"].iloc[2].startswith(f"{np.mean(gain):+.1f}")


def test_a_loop_of_ones_own_reads_what_the_runs_train_on(fitted):
    own, data, runs = fitted
    e = runs[data.name, trial.PDDM, 0].experiment
    seen = list(trial.batches(own, data, 0))
    assert len(seen) == e.steps
    for x, y in seen:
        assert x.shape == (e.batch_size, 256) and int(y.max()) < data.train_classes
        assert (torch.bincount(y)[torch.unique(y)] == e.samples_per_class).all()
    fit = trial.split(data, e.holdout, 0).fit
    assert set(data.labels[fit]) == {int(c) for _, y in seen for c in y}
    again = next(trial.batches(own, data, 0))
    assert all(torch.equal(a, b) for a, b in zip(again, seen[0], strict=True))


def test_place_rises_with_the_score(fitted):
    _, data, runs = fitted
    run = runs[data.name, trial.PDDM, 0]
    h = run.histograms
    h = h[(h["split"] == "test") & (h["ranking"] == "score")]
    middle = h["right"].iloc[40]
    assert metric.place(run, h["left"].iloc[0]) == (0, 0)
    assert metric.place(run, h["right"].iloc[-1]) == pytest.approx((1, 1))
    share = h["negative"].iloc[:41].sum() / h["negative"].sum()
    assert metric.place(run, middle)[1] == pytest.approx(share)


def test_neighbours_are_the_nearest_and_never_the_query(fitted):
    _, data, _ = fitted
    labels = torch.from_numpy(data.labels[data.test])
    f = torch.stack([labels.float(), torch.arange(len(labels)) * 1e-3], dim=1)
    _, frame = figures.neighbours(data, {"by class": f, "of noise": f.flip(0)}, 3, 4)
    assert len(frame) == 3 * 4 * 2 and (frame["neighbour"] != frame["query"]).all()
    by = frame.groupby("features")
    assert by["same"].mean()["by class"] == 1  # five images a class: all four others
    assert (frame["same"] == (data.labels[frame["query"]] == data.labels[frame["neighbour"]])).all()
    assert all(
        t["distance"].is_monotonic_increasing for _, t in frame.groupby(["features", "query"])
    )
