"""How numbers, protocols and tables are worded and saved."""

from types import SimpleNamespace

import pandas as pd
import pytest

from pddm_lite.paper import wording
from pddm_lite.training.study import Study

BIRDS = "synthetic_birds"


@pytest.fixture
def study(tmp_path):
    return Study.of(profile="smoke", results=tmp_path, device="cpu")


@pytest.mark.parametrize(
    "values, digits, text",
    [([1, 2, 3], 1, "2.0 ± 1.0"), ([1, 2], 3, "1.500 ± 0.707"), ([4.26], 1, "4.3"), ([], 1, "")],
)
def test_spread(values, digits, text):
    assert wording.spread(pd.Series(values, dtype=float), digits) == text


@pytest.mark.parametrize(
    "numbers, text",
    [
        ((1.24, 0.5, 2.0, 1), "1.2 [0.5, 2.0]"),
        ((1.24, 0.5, 2.0, 1, "+"), "+1.2 [+0.5, +2.0]"),
        ((-1.24, -3, 2.0, 2, "+"), "-1.24 [-3.00, +2.00]"),
        ((1.24, float("nan"), float("nan"), 3), "1.240"),
        ((float("nan"), float("nan"), float("nan"), 1), "none"),
    ],
)
def test_with_interval(numbers, text):
    assert wording.with_interval(*numbers) == text


def test_protocol_tells_settings_and_no_runs(tmp_path):
    made = {"gpu": "", "cpu": "a processor", "torch": "9", "crop": 64}
    texts = []
    for settings in ([], ["alpha=0.2", "steps=7"]):
        study = Study.of(profile="smoke", results=tmp_path, device="cpu", settings=settings)
        assert wording.protocol(study, {}) == "no runs"
        e = study.experiment(BIRDS, "Triplet", 0)
        history = pd.DataFrame(columns=["step", "val_recall_1"])
        run = SimpleNamespace(experiment=e, manifest=made, history=history)
        texts.append(wording.protocol(study, {(BIRDS, "Triplet", 0): run}))
    assert "64 px, frozen" in texts[0] and "recipe 'default', up to 20 steps" in texts[0]
    assert "with" not in texts[0]
    assert "recipe 'default' with alpha=0.2, steps=7, up to 7 steps" in texts[1]


def test_protocol_tells_where_no_classes_were_held_out(tmp_path):
    cars = "synthetic_cars"
    study = Study.of(profile="smoke", results=tmp_path, data=[BIRDS, cars], device="cpu")
    made, runs = {"gpu": "", "cpu": "a processor", "torch": "9", "crop": 64}, {}
    for data, columns in ((BIRDS, ["step", "val_recall_1"]), (cars, ["step"])):
        e = study.experiment(data, "Triplet", 0)
        history = pd.DataFrame(columns=columns)
        runs[data, "Triplet", 0] = SimpleNamespace(experiment=e, manifest=made, history=history)
    title = study.titles()[cars]
    assert f"held-out training classes (the last of {title}: too few" in wording.protocol(
        study, runs
    )


def test_tables_are_saved_for_machines_and_for_people(study):
    path = wording.save_table(pd.DataFrame({"a": [1, 2], "b": ["x|y", "ü"]}), study, "t")
    assert pd.read_csv(path)["b"].tolist() == ["x|y", "ü"]
    text = path.with_suffix(".md").read_text(encoding="utf-8")
    assert text.splitlines() == ["| a | b |", "| --- | --- |", "| 1 | x\\|y |", "| 2 | ü |"]


def test_a_table_a_data_set_is_saved_and_shown(study, capsys):
    def make(by, d):
        return pd.DataFrame({"a": [by[d]], "b": 1})

    wording.show(study, "t", make, {"synthetic_birds": 5}, "a note", ["synthetic_birds"])
    saved = pd.read_csv(study.folder / "tables" / "t_synthetic_birds.csv")
    assert saved["a"].tolist() == [5]
    assert capsys.readouterr().out.count("\n") >= 2  # what a terminal has of title and table


def test_what_was_asked_names_methods_left_out_and_no_place(study):
    said = wording.asked(study, ["no such method"])
    assert "no such method is not among its methods" in said and "profile smoke" in said
    assert study.results not in said
