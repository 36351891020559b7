"""Settings: the paper's letter as default, shared trainings, and errors that say what is right."""

import dataclasses

import pytest

from pddm_lite.methods import METHODS
from pddm_lite.paper.questions import EUCLIDEAN
from pddm_lite.store.errors import UserError
from pddm_lite.training.experiments import (
    CHANGES,
    GROUPS,
    HETEROGENEITY,
    PROFILES,
    RECIPES,
    ROW_CHANGES,
    VARIANTS,
    Experiment,
    apply_to,
    check,
    make,
)
from pddm_lite.training.study import COMPARED, Study


def test_the_defaults_are_the_papers():
    e = Experiment(data="cub200_2011")
    want = dict(
        method="PDDM+Quadruplet",
        backbone="googlenet",
        mode="finetune",
        embedding_size=128,
        batch_size=64,
        classes_per_batch=16,
        samples_per_class=4,
        optimizer="sgd",
        lr=1e-4,
        momentum=0.9,
        weight_decay=5e-4,
        quadruplets=1,
        negatives="hardest",
        alpha=0.5,
        beta=1.0,
        lam=0.5,
        dropout=0.5,
        squared=True,
        scale_scores=True,
    )
    assert {k: getattr(e, k) for k in want} == want
    assert make("letter", "paper", data="cub200_2011") == e


def test_changes_go_over_the_profile_and_the_profile_over_the_recipe():
    assert make(data="d").optimizer == RECIPES["default"]["optimizer"]
    assert make(data="d", optimizer="sgd").optimizer == "sgd"
    assert make(data="d", profile="smoke").steps == PROFILES["smoke"]["steps"]
    assert make(data="d", profile="smoke", steps=3).steps == 3
    for changed in PROFILES.values():  # profiles differ in scale alone
        assert set(changed) <= {"steps", "eval_every", "mode"}
    for recipe in RECIPES:
        for profile in PROFILES:
            for name in METHODS:
                assert make(recipe, profile, data="d", method=name).method == name


def test_rows_that_share_their_training_share_their_settings():
    settings = {n: make(data="d", method=n).settings() for n in METHODS}
    for a in METHODS:
        for b in METHODS:
            same = METHODS[a].training == METHODS[b].training
            assert (settings[a] == settings[b]) == same, (a, b)
    assert settings["PDDM score"] == settings["PDDM+Quadruplet"]


def test_a_rate_chosen_on_frozen_features_is_not_a_networks():
    name = "Triplet (random)"
    assert make(data="d", method=name).lr == ROW_CHANGES["default"][name]["lr"]
    e = make(data="d", method=name, mode="finetune")
    assert e.lr == RECIPES["default"]["lr"] and make("default", "paper", data="d").lr == e.lr
    assert e.given_triplets_margin == ROW_CHANGES["default"][name]["given_triplets_margin"]
    assert make(data="d", method=name, mode="finetune", lr=1e-3).lr == 1e-3


def test_every_setting_counts():
    other = {int: 7, float: 0.123, bool: None, str: None}
    e = make(data="d", mode="finetune")
    for field in dataclasses.fields(Experiment):
        value = getattr(e, field.name)
        new = other[type(value)]
        if isinstance(value, bool):
            new = not value
        elif isinstance(value, str):
            new = "Triplet" if field.name == "method" else value + "x"
        changed = dataclasses.replace(e, **{field.name: new})
        assert changed.settings() != e.settings(), field.name


def test_how_a_network_would_train_does_not_matter_while_it_is_frozen():
    e = make(data="d", mode="frozen")
    for changes in (dict(backbone_lr=0.7), dict(batch_norm="train"), dict(bf16=True)):
        assert dataclasses.replace(e, **changes).settings() == e.settings()
        assert dataclasses.replace(e, mode="finetune", **changes).settings() != e.settings()
    assert dataclasses.replace(e, crop=97).settings() != e.settings()


def test_groups_of_changes():
    assert set(CHANGES) == {n for names in GROUPS.values() for n in names}
    for methods, changes in CHANGES.values():
        for name in methods:
            own = dict(data="d", method=name)
            assert make(**own | changes) != make(**own)


def test_another_world_is_for_the_world_that_it_changes(tmp_path):
    turned = CHANGES["heterogeneity 0.25"][1]
    assert apply_to("synthetic_birds", turned)
    for name in ("synthetic_cars", "synthetic_birds@0.3", "cub200_2010", "folder:x"):
        assert (
            not apply_to(name, turned)
            and apply_to(name, {})
            and apply_to(name, dict(embedding_size=64))
        )
    data = ["synthetic_birds", "synthetic_cars"]
    study = Study.of(profile="smoke", data=data, variants=["heterogeneity"], results=tmp_path,
                     seeds=[0], device="cpu")  # fmt: skip
    worlds = {e.data for e in study.experiments()} - set(data)
    assert worlds == {f"synthetic_birds@{h}" for h in ("0", "0.25", "0.5", "1")}
    extra = [e for e in study.experiments() if e.data in worlds]
    assert len(extra) == 8 and {e.method for e in extra} == {"PDDM+Quadruplet", EUCLIDEAN}
    other = Study.of(profile="smoke", data=data[1:], results=tmp_path, device="cpu")
    assert {e.data for e in other.experiments()} == {"synthetic_cars"}


def test_the_knob_is_no_variant_of_the_recipe(monkeypatch, tmp_path):
    study = Study.of(profile="smoke", results=tmp_path, seeds=[0], device="cpu")
    monkeypatch.setattr(Study, "run", lambda self, d, m, s, **changes: changes)
    assert not any("data" in changes for changes in study.variant_runs().values())
    assert not any(v for _, v, *_ in study.variant_runs(HETEROGENEITY))  # not in the default run
    study = dataclasses.replace(study, variants=tuple(HETEROGENEITY))
    turned = study.variant_runs(HETEROGENEITY)
    assert {(d, c.get("data", "")) for (d, v, _, _), c in turned.items() if v} == {
        ("synthetic_birds", f"synthetic_birds@{h}") for h in ("0", "0.25", "0.5", "1")
    }


# changes -> what the message must name
WRONG = [
    (dict(recipe="leter"), ["recipe", "'letter'", "default"]),
    (dict(profile="quik"), ["profile", "'quick'", "smoke", "paper"]),
    (dict(method="PDDM"), ["method", "'PDDM", "PDDM+Quadruplet"]),
    (dict(method="Tripplet"), ["method", "'Triplet'"]),
    (dict(mode="frosen"), ["mode", "'frozen'", "finetune"]),
    (dict(optimizer="adam"), ["optimizer", "'adamw'", "sgd"]),
    (dict(head_init="PCA+"), ["head init", "'pca'", "random"]),
    (dict(optimiser="sgd"), ["setting", "'optimizer'"]),
    (dict(learning_rate=0.1), ["setting", "lr"]),
    (dict(batch_sise=64), ["setting", "'batch_size'"]),
    (dict(batch_size=60), ["60", "16 x 4", "64"]),
    (dict(classes_per_batch=8), ["64", "8 x 4", "32"]),
    (dict(samples_per_class=8), ["64", "16 x 8", "128"]),
    (dict(classes_per_batch=1, samples_per_class=64), ["2 classes"]),
    (dict(classes_per_batch=64, samples_per_class=1), ["2 images"]),
    (dict(embedding_size="128"), ["embedding_size", "int", "'128'"]),
    (dict(embedding_size=128.0), ["embedding_size", "int", "128.0"]),
    (dict(embedding_size=True), ["embedding_size", "int", "True"]),
    (dict(embedding_size=0), ["embedding_size", "at least 1", "0"]),
    (dict(steps=0), ["steps", "at least 1"]),
    (dict(steps=-5), ["steps", "at least 1", "-5"]),
    (dict(eval_every=0), ["eval_every", "at least 1"]),
    (dict(quadruplets=-1), ["quadruplets", "0 or more", "-1"]),
    (dict(random_negative_weight=-1.0), ["random_negative_weight", "from 0 to 100"]),
    (dict(seed=-1), ["seed", "0 or more"]),
    (dict(seed=1.5), ["seed", "int", "1.5"]),
    (dict(seed=None), ["seed", "int", "None"]),
    (dict(lr="1e-4"), ["lr", "float"]),
    (dict(lr=-1e-4), ["lr", "0", "10"]),
    (dict(lr=float("nan")), ["lr", "0", "10"]),
    (dict(lr=float("inf")), ["lr", "0", "10"]),
    (dict(lr=True), ["lr", "float", "True"]),
    (dict(holdout=1.0), ["holdout", "0.9"]),
    (dict(holdout=-0.1), ["holdout", "0.9"]),
    (dict(dropout=1.0), ["dropout", "0.99"]),
    (dict(ema_decay=1.0), ["ema_decay", "0.9999"]),
    (dict(squared=1), ["squared", "bool", "1"]),
    (dict(scale_scores="no"), ["scale_scores", "bool"]),
    (dict(data=3), ["data", "str"]),
    (dict(weights=None), ["weights", "str"]),
    (dict(method=None), ["method", "str"]),
    # what the optimiser or the losses could not take
    (dict(momentum=-0.1), ["momentum"]),
    (dict(momentum=float("nan")), ["momentum"]),
    (dict(weight_decay=-1.0), ["weight_decay"]),
    (dict(metric_lr=-1.0), ["metric_lr"]),
    (dict(backbone_lr=-1.0), ["backbone_lr"]),
    (dict(alpha=float("nan")), ["alpha"]),
    (dict(beta=float("inf")), ["beta"]),
    (dict(lam=-0.5), ["lam"]),
    (dict(triplet_margin=-0.2), ["triplet_margin"]),
    (dict(range_floor=float("nan")), ["range_floor"]),
]


@pytest.mark.parametrize(("changes", "named"), WRONG, ids=lambda x: str(x) if x else "")
def test_a_wrong_setting_is_refused_in_one_line_that_names_what_is_right(changes, named):
    with pytest.raises(UserError) as error:
        make(**{"data": "d", **changes})
    message = str(error.value)
    assert "\n" not in message and len(message) < 700
    for part in named:
        assert part in message


def test_the_bounds_themselves_are_allowed():
    for changes in (
        dict(holdout=0.0),
        dict(holdout=0),
        dict(holdout=0.9),
        dict(dropout=0.0),
        dict(lr=1),
        dict(quadruplets=0),
        dict(embedding_size=1),
        dict(classes_per_batch=2, samples_per_class=2, batch_size=4),
    ):
        check(make(data="d", **changes))


@pytest.mark.parametrize("methods", [["Triplet"], [EUCLIDEAN], []])
def test_variant_runs_ask_for_the_methods_of_the_study_alone(monkeypatch, tmp_path, methods):
    variants = ["1 quadruplet", "the paper's letter"]
    study = Study.of(
        profile="smoke", results=tmp_path, device="cpu", methods=methods, variants=variants
    )
    monkeypatch.setattr(Study, "run", lambda self, d, m, s, **changes: (d, m, s, changes))
    found = study.variant_runs()
    asked = {(v, m) for _, v, m, _ in found}
    if methods == ["Triplet"]:
        assert asked == set()
    elif methods:
        assert asked == {("", EUCLIDEAN), ("1 quadruplet", EUCLIDEAN)}
    else:
        assert asked == {(v, m) for v in ("", "1 quadruplet") for m in COMPARED} | {
            ("the paper's letter", COMPARED[0])
        }
    for (d, v, m, s), run in found.items():
        assert run == (d, m, s, VARIANTS[v][1] if v else {})
