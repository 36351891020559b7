"""The given space: what is run, what the tables say of it, and the three figures."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from pddm_lite import data as data_sets
from pddm_lite.measures.scores import histogram, pair_scores, separation
from pddm_lite.networks import latents
from pddm_lite.paper import judge
from pddm_lite.paper.given_space import features, figures, given
from pddm_lite.paper.verdict import claims
from pddm_lite.store.errors import UserError
from pddm_lite.training import experiments, inputs, loop
from pddm_lite.training.study import Study

WORLDS = 4


def fake(h, w, rung, row, climb=0.0):
    """A run whose Euclidean overlap is .06 + .14 h and PDDM's .06 + .05 h, world by world."""
    rng = np.random.default_rng([int(100 * h), w, list(given.RUNGS).index(rung)])
    noise = 0.001 * w
    overlap = {"distance": 0.06 + 0.14 * h - climb + noise, "score": 0.06 + 0.05 * h + noise}
    if row in ("Mahalanobis", "LMDM"):
        overlap["score"] = overlap["distance"] - 0.01
    test = {
        k: dict(overlap=v, auc=1 - v / 2, eer=v / 2, recall_1=100 * (1 - v))
        for k, v in overlap.items()
    }
    tables = []
    for ranking in overlap:
        drawn = histogram(rng.normal(1, 1, 400), rng.normal(-1, 1, 400))
        tables.append(drawn.assign(split="test", ranking=ranking))
    labels = np.repeat(np.arange(8), 6)
    f = rng.normal(size=(48, 3)) * (1 + 2 * h * (labels >= 6))[:, None]
    return SimpleNamespace(
        id=f"{h}{w}{rung}{row}",
        metrics={"test": test},
        histograms=pd.concat(tables),
        embeddings={"f": f.astype(np.float32), "labels": labels},
    )


def made(climb=0.0, places=(0.0, 0.5, 1.0)):
    runs = {}
    for h in places:
        for w in range(WORLDS):
            for row in ("Mahalanobis", "LMDM", "PDDM"):
                runs[h, w, given.ALONE, row] = fake(h, w, given.ALONE, row)
            for rung in (given.LINEAR, given.TWO_LAYERS) if h in given.ENDS else ():
                for row in given.CLIMBED:
                    runs[h, w, rung, row] = fake(h, w, rung, row, climb * h)
    return runs


def effect(found, question, h=None, measure="overlap"):
    own = found[(found["question"] == question) & (found["measure"] == measure)]
    own = own[own["heterogeneity"].isna()] if h is None else own[own["heterogeneity"] == h]
    (row,) = own.itertuples()
    return row


def test_the_euclidean_row_is_measured_once_with_the_runs_of_the_first_rung():
    table = given.measured(made())
    alone = table[table["rung"] == given.ALONE]
    assert (
        len(alone) == 3 * WORLDS * 4
        and not alone.duplicated(["heterogeneity", "world", "row"]).any()
    )
    own = alone[(alone["row"] == "Euclidean") & (alone["heterogeneity"] == 1)]
    assert np.allclose(own["overlap"], 0.2 + 0.001 * own["world"])


def test_effects_are_paired_by_world_and_point_to_pddm():
    found = given.effects(given.differences(given.measured(made(climb=0.07))))
    x = effect(found, "PDDM's lead over Euclidean", 1.0)
    # worlds differ by .001 each, which the pairing takes out
    assert (x.claim, x.worlds) == ("C1", WORLDS) and x.effect == pytest.approx(0.09)
    assert x.high - x.low == pytest.approx(0, abs=1e-9)
    assert effect(found, "PDDM's lead over Euclidean", 1.0, "auc").effect == pytest.approx(0.045)
    assert effect(found, "PDDM's lead over Euclidean", 1.0, "recall_1").effect == pytest.approx(9)
    assert effect(found, "PDDM's lead over Euclidean", 0.0).effect == pytest.approx(0)
    six = effect(found, "PDDM's lead over LMDM", 0.5)
    assert six.claim == "C1" and six.effect == pytest.approx(0.045 - 0.01)
    growth = effect(found, given.GROWTH)
    assert growth.effect == pytest.approx(0.09) and growth.worlds == WORLDS
    assert effect(found, f"what of it is lost {given.LINEAR}", 1.0).effect == pytest.approx(0.07)
    assert effect(found, f"PDDM's lead over Euclidean {given.TWO_LAYERS}", 1.0).effect == (
        pytest.approx(0.02)
    )


def test_shares_and_summary():
    table = given.measured(made())
    share = given.shares(table)
    own = share[(share["heterogeneity"] == 1) & (share["world"] == 0)]["share"].item()
    assert own == pytest.approx(0.11 / 0.2)
    shown = given.summary(table)
    assert list(shown.columns) == ["heterogeneity", "rung", *given.ROWS]
    assert len(shown) == 3 + 3 + 1
    first = shown[(shown["heterogeneity"] == 0) & (shown["rung"] == given.LINEAR)]
    assert first["LMDM"].item() == "" and first["PDDM"].item().startswith("0.06")


def test_evenness_is_the_ratio_of_the_quarters():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(40), 50)
    z = rng.normal(size=(2000, 8))
    assert 1 <= given.evenness(z, labels) < 1.2
    loose = np.where(labels < 10, 5.0, 1.0)[:, None]
    assert given.evenness(z * loose, labels) == pytest.approx(5, rel=0.1)
    # neither size nor place of the whole matters
    assert given.evenness(3 * z * loose + 7, labels) == pytest.approx(
        given.evenness(z * loose, labels)
    )


def test_each_space_has_a_ratio():
    spreads = given.ratios(made())
    assert set(spreads[spreads["rung"] == given.ALONE]["row"]) == {"the world"}
    assert set(spreads[spreads["rung"] == given.LINEAR]["row"]) == set(given.CLIMBED)
    mean = spreads.groupby("heterogeneity")["ratio"].mean()
    assert mean[1.0] > 1.5 * mean[0.0]


def test_figures_hold_their_numbers():
    runs = made()
    table = given.measured(runs)
    spreads = given.ratios(runs)
    fig, frame = figures.distributions(runs, table)
    assert set(frame["row"]) == set(given.ROWS)
    assert set(frame["heterogeneity"]) == set(table["heterogeneity"])
    texts = " ".join(t.get_text() for ax in fig.axes for t in ax.texts)
    assert "overlap 0.202" in texts and "overlap 0.112" in texts
    fig, frame = figures.overlap(table)
    assert len(frame) == 3 * 4 * WORLDS and fig.axes[0].get_xlabel().startswith("heterogeneity")
    fig, frame = figures.rungs(table, spreads)
    assert all(ax.get_ylabel() for ax in fig.axes) and "ratio" in frame


def test_nothing_measured_is_said_in_words():
    table, spreads = given.measured({}), given.ratios({})
    found = given.effects(given.differences(table))
    assert found.empty and given.shares(table).empty
    for fig, _ in (
        figures.distributions({}, table),
        figures.overlap(table),
        figures.rungs(table, spreads),
    ):
        assert "not measured" in fig.axes[0].texts[0].get_text()


# --------------------------------------------------------------------------------- real runs


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setitem(given.WORLDS, "smoke", 1)
    monkeypatch.setenv("PDDM_BATCH", "1")
    return Study.of(profile="smoke", results=str(tmp_path))


def test_the_grid_has_the_ends_and_what_the_variants_ask_for(tmp_path):
    of = lambda **how: given.grid(Study.of(results=str(tmp_path), **how))  # noqa: E731
    usual, whole = of(), of(variants=["given"])
    ends = {h for h, *_ in usual}
    assert ends == {0.0, 1.0} and len(usual) == 2 * 5 * (3 + 2 * 2)
    assert {h for h, *_ in whole} == {0.0, 0.25, 0.5, 0.7, 1.0}
    assert len(whole) == len(usual) + 3 * 5 * 3
    assert of(data=["synthetic_cars"]) == {}
    few = of(methods=["PDDM score"])
    assert {row for *_, row in few} == {"PDDM"}
    for (h, w, rung, row), e in usual.items():
        assert e.data == f"given_birds@{h:g}" + (f"@{w}" if w else "") and e.seed == w
        assert (e.backbone, e.mode) == ("latents", given.RUNGS[rung]["mode"])
        assert e.method == given.ROWS[row]


def test_the_similarity_alone_learns(study):
    e = given.experiment(study, 1.0, 3, given.ALONE, "PDDM")
    run, data = study.run_of(e), study.load(e.data)
    x = latents.perfect_eye(data)[data.test]
    assert np.allclose(run.embeddings["f"], x, atol=2e-3)  # kept in half precision
    head = run.model().head
    assert torch.equal(head.weight, torch.eye(17)) and not head.bias.any()
    torch.manual_seed(e.seed)
    source, net = inputs.inputs(e, data, study.folder, "cpu", False)
    assert net is None and np.array_equal(source.x, latents.perfect_eye(data))
    S = run.similarity().all_pairs(torch.from_numpy(x))
    found = separation(*pair_scores(S, torch.from_numpy(data.labels[data.test])))
    assert found["overlap"] == pytest.approx(run.metrics["test"]["score"]["overlap"], abs=1e-3)


def test_the_rungs_are_run_and_measured(study):
    made = given.runs(study)
    table, spreads = given.measured(made), given.ratios(made)
    assert len(table) == 2 * (4 + 4) and table["overlap"].between(0, 1).all()
    assert len(spreads) == 2 * (1 + 4) and (spreads["ratio"] >= 1).all()
    found = given.effects(given.differences(table))
    assert set(found["claim"]) == {"C1", "C6"} and (found["worlds"] == 1).all()
    two = next(r for (h, _, rung, row), r in made.items() if rung == given.TWO_LAYERS)
    assert two.model().backbone[0].weight.shape == (latents.WIDTH, latents.COORDINATES)


def test_the_worlds_are_as_uneven_as_the_knob_says(tmp_path):
    """Without training: the space itself, at the size of profile quick."""
    study = Study.of(results=str(tmp_path))
    ratio = {}
    for h in (0.0, 0.5, 1.0):
        data = study.load(f"given_birds@{h:g}")
        x = latents.perfect_eye(data)
        ratio[h] = given.evenness(x[data.test], data.labels[data.test])
    assert 1 < ratio[0.0] < 1.5 < ratio[0.5] < 2.5 < ratio[1.0]


@pytest.mark.parametrize("name", ["Triplet", "Softmax", "Contrastive", "LiftedStruct"])
def test_a_method_without_a_similarity_to_learn_is_refused(name):
    with pytest.raises(UserError, match=f"{name} has none to learn; choose among.*PDDM") as err:
        experiments.make("given", data="cub200_2010", mode="metric", method=name)
    assert "\n" not in str(err.value)


def test_plain_euclidean_is_measured_and_not_trained(study):
    e = given.experiment(study, 1.0, 0, given.ALONE, "Euclidean")
    data = study.load(e.data)
    source, net = inputs.inputs(e, data, study.folder, "cpu", False)
    fitted = loop.fit(e, data, source, net, bar=False)
    assert fitted.history["step"].tolist() == [0] and fitted.chosen_step == 0
    f = loop.embed(fitted.model, source, data.test)
    assert np.allclose(f, latents.perfect_eye(data)[data.test], atol=1e-6)


def test_the_identity_needs_the_features_length(study):
    e = given.experiment(study, 1.0, 0, given.ALONE, "PDDM", embedding_size=16)
    data = study.load(e.data)
    with pytest.raises(UserError, match="embedding_size = 17"):
        loop.fit(e, data, *inputs.inputs(e, data, study.folder, "cpu", False), bar=False)


def test_trials_touch_no_test_class(study, monkeypatch):
    monkeypatch.setattr(features, "TRIALS", {"given": {}, "other": dict(lr=1e-3)})
    seen = []

    def fit(e, data, *more, real=loop.fit, **how):
        seen.append(data)
        return real(e, data, *more, **how)

    monkeypatch.setattr(loop, "fit", fit)
    birds = Study.of("smoke", ["synthetic_birds"], results=study.results)
    table = features.choose(birds, ["PDDM"])
    assert len(table) == 2 * 3  # two places; PDDM twice, and the Euclidean distance once
    whole = birds.load("given_birds@0")
    known = set(whole.class_names[: whole.train_classes])
    for data in seen:
        assert set(data.class_names) == known and len(data) == 40 * 8
        assert data.train_classes == 32 and len(data.test) == 8 * 8


def test_the_training_side_holds_each_image_where_it_was():
    data = data_sets.load("given_birds@0.5@1", profile="smoke")
    side, idx = features.training_side(data, 3)
    assert idx.max() < 40 * 8 and len(set(idx)) == len(side) == 40 * 8
    named = [data.class_names[c] for c in data.labels[idx]]
    assert named == [side.class_names[c] for c in side.labels]
    assert np.array_equal(side.latents, data.latents[idx])


def test_real_features_are_fixed_at_their_principal_axes(study):
    painted = Study.of("smoke", ["synthetic_birds"], seeds=[0], settings=["embedding_size=16",
                       "classes_per_batch=8", "batch_size=32"], results=study.results)  # fmt: skip
    frame = features.measured(painted, ["Mahalanobis", features.MAPPED])
    assert set(frame["row"]) == {"Mahalanobis", "Euclidean", features.MAPPED}
    shown = features.table(frame, ["data", "row"])
    assert len(shown) == 3 and (shown["seeds"] == 1).all()
    even = frame.set_index("row")["evenness"]  # one space for both that stay in it
    assert even["Mahalanobis"] == even["Euclidean"] != even[features.MAPPED] and (even > 1).all()


def test_the_claims_have_rows_beside_the_others():
    found = given.differences(given.measured(made(climb=0.07)))
    table = claims.verdicts({}, [], measured={"given space": found})
    assert set(table["claim"]) == {"C1", "C6"} and not table["text"].isna().any()
    rows = table.set_index("part")
    lead = rows.loc["given space: PDDM's lead over Euclidean at heterogeneity 1"]
    assert lead["verdict"] == judge.REPRODUCED and lead["effect"] == pytest.approx(0.09)
    even = rows.loc["given space: PDDM's lead over Euclidean at heterogeneity 0"]
    assert even["verdict"] == judge.LEVEL and even["seeds"] == WORLDS
    assert rows.loc[f"given space: {given.GROWTH}"]["verdict"] == judge.REPRODUCED


def test_the_verdicts_have_the_given_space_beside_table_2(monkeypatch):
    nothing, said = pd.DataFrame(), []
    monkeypatch.setattr(claims.transfers, "measured", lambda study: nothing)
    monkeypatch.setattr(claims, "measured", lambda study: (nothing, nothing))
    monkeypatch.setattr(given, "runs", lambda study: made())
    found = claims.table_2(Study.of("smoke", ["synthetic_birds"], device="cpu"), said.append)
    assert set(found) == {"C14", "C15", "given space"} and said == []
    assert found["given space"].equals(given.differences(given.measured(made())))
    without = Study.of("smoke", ["synthetic_birds"], variants=[], device="cpu")
    assert set(claims.table_2(without)) == {"C14", "C15"}
