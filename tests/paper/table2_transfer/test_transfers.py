"""Transfer of finished runs: what is measured, what is kept, what is drawn and said of it."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.lines import Line2D

from pddm_lite.data import new_species
from pddm_lite.measures import learned
from pddm_lite.measures.ncm import Rows, class_means
from pddm_lite.paper import drawing, judge, table2, wording
from pddm_lite.paper.printed import TABLE_2
from pddm_lite.paper.table2 import PDDM, PLAIN, UNTRAINED
from pddm_lite.paper.table2_transfer import claims as claims_transfer
from pddm_lite.paper.table2_transfer import classifiers, figures, tables, transfers
from pddm_lite.paper.table2_transfer.transfers import KNN, LINEAR, METRIC, NCM, SCORE
from pddm_lite.paper.verdict import claims as claims_verdict
from pddm_lite.pddm import Euclidean, r
from pddm_lite.store.errors import UserError
from pddm_lite.training.study import Study

TITLES = {"made_up": "made up"}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    settings = [
        "steps=2",
        "eval_every=2",
        "classes_per_batch=4",
        "batch_size=16",
        "embedding_size=16",
    ]
    return Study.of(
        "smoke",
        ["synthetic_birds"],
        methods=["LiftedStruct", PDDM],
        seeds=[0, 1],
        settings=settings,
        variants=[],
        results=str(tmp_path_factory.mktemp("results")),
        device="cpu",
    )


@pytest.fixture(scope="module")
def measured(study):
    return transfers.measured(study, show=False)


def test_every_row_that_is_asked_for_is_there(study, measured):
    assert list(measured) == transfers.COLUMNS
    t = transfers.at_all(measured)
    assert set(t["classes"]) == {60} and set(t["per_mean"]) == {classifiers.ALL}
    counts = t.groupby(["features", "classifier"])["seed"].nunique().to_dict()
    ncm = {(f, NCM): 2 for f in (PLAIN, UNTRAINED, "LiftedStruct", PDDM)}
    trained = {(f, c): 1 for f in (PLAIN, PDDM) for c in (KNN, LINEAR)}
    assert counts == ncm | trained | {(PLAIN, METRIC): 2}
    scored = measured[measured["classifier"] == SCORE]
    assert set(scored["classes"]) == {10, 20} and set(scored["features"]) == {PDDM}
    own = measured[(measured["features"] == PDDM) & (measured["classifier"] == NCM)]
    assert set(own["classes"]) == {10, 20, 50, 60} and set(own["k"]) == {1, 5}
    assert set(own[own["classes"] == 60]["images"]) == {1, 2, 3}  # of 6 images 3 make the mean
    assert measured["accuracy"].between(0, 100).all()
    assert t.groupby("features")["accuracy"].mean().min() > 3 * 100 / 60  # well above chance


def test_beyond_its_limit_the_linear_classifier_is_left_out(study, monkeypatch):
    few = dataclasses.replace(table2.PLANS["smoke"], linear_classes=20)
    monkeypatch.setitem(table2.PLANS, "smoke", few)
    found = transfers.measure(transfers.NewClasses(study, "synthetic_birds"), PLAIN, None, seed=0)
    sizes = found.groupby("classifier")["classes"].agg(set)
    assert sizes[LINEAR] == {10} and sizes[KNN] == {10, 60}


def test_a_row_is_ncm_on_f_of_the_new_images(study, measured):
    new = transfers.NewClasses(study, "synthetic_birds")
    assert not set(new.names) & set(new.source.class_names)
    run = study.run("synthetic_birds", PDDM, 1)
    f = new.embedded(run)
    want = classifiers.curves(
        f, new.labels, range(60), classifiers={NCM: classifiers.nearest_mean}, sizes=[60],
        per_mean=[classifiers.ALL], draws=1, seed=1,
    )  # fmt: skip
    got = measured[(measured["run"] == run.id) & (measured["classifier"] == NCM)]
    got = got[(got["classes"] == 60) & (got["per_mean"] == classifiers.ALL)]
    assert got["accuracy"].tolist() == pytest.approx(want["accuracy"].tolist())
    # the same classes and images ask, whatever the features: so pairs can be compared
    by = ["classes", "per_mean", "draw", "k", "queries"]
    asked = [measured[(measured["features"] == m) & (measured["seed"] == 1)] for m in (PLAIN, PDDM)]
    ncm = [set(map(tuple, t[t["classifier"] == NCM][by].to_numpy())) for t in asked]
    assert ncm[0] == ncm[1]


def test_the_score_ranks_as_the_distance_where_the_score_is_the_distance():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(12), 6)
    x = rng.normal(size=(12, 8))[labels] + rng.normal(size=(72, 8))
    x = r(torch.from_numpy(x).float())
    pool, asking = classifiers.split_images(labels, 0)
    train = np.sort(np.concatenate(list(pool.values())))
    got = transfers.by_score(
        Rows(x, train), labels[train], Rows(x, asking), labels[asking], 12, (1, 5), 0,
        similarity=Euclidean(),
    )  # fmt: skip
    mu = r(class_means(x[train], labels[train], 12))  # by a plain loop
    for k in (1, 5):
        hits = 0
        for f, y in zip(x[asking], labels[asking], strict=True):
            order = sorted(range(12), key=lambda c, f=f: float((f - mu[c]).norm()))
            hits += y in order[:k]
        assert got[k] == pytest.approx(100 * hits / len(asking))

    class Constant(Euclidean):
        def pairs(self, f, i, j):
            return torch.zeros(len(i))

    flat = transfers.by_score(
        Rows(x, train), labels[train], Rows(x, asking), labels[asking], 12, (1,), 0,
        similarity=Constant(),
    )  # fmt: skip
    assert flat == {1: 0.0}  # ties never help


def test_a_score_that_is_not_finite_is_no_hit():
    class Broken(Euclidean):
        def pairs(self, f, i, j):
            return torch.full((len(i),), torch.nan)

    x, labels = r(torch.randn(8, 4)), np.repeat(np.arange(2), 4)
    train, asking = np.array([0, 1, 4, 5]), np.array([2, 3, 6, 7])
    with pytest.raises(UserError, match="some scores are not finite"):
        transfers.by_score(
            Rows(x, train), labels[train], Rows(x, asking), labels[asking], 2, (1,), 0,
            similarity=Broken(),
        )  # fmt: skip


def test_a_higher_version_measures_again(study, measured, monkeypatch):
    monkeypatch.setattr(transfers, "measure", None)
    transfers.measured(study, show=False)  # from the store, or it fails
    monkeypatch.setattr(transfers, "TRANSFER", table2.TRANSFER + 1)
    with pytest.raises(TypeError):
        transfers.measured(study, show=False)


def test_without_source_classes_enough_for_the_metric_the_rest_is_measured(study, monkeypatch):
    monkeypatch.setattr(learned, "LEAST", 21)  # the study has 20
    assert "left out, since the NCM metric needs" in transfers.protocol(study)
    new = transfers.NewClasses(study, "synthetic_birds")
    found = transfers.measure(new, PLAIN, None, seed=1)
    assert set(found["classifier"]) == {NCM}


def test_source_and_new_classes_must_differ_and_hold_images(study, monkeypatch):
    data = new_species.new_species("synthetic_birds", "smoke")
    seen = study.load("synthetic_birds")
    few = dataclasses.replace(data, class_names=(seen.class_names[3], *data.class_names[1:]))
    monkeypatch.setattr(transfers, "new_species", lambda *a: few)
    with pytest.raises(UserError, match="1 classes are both source and new: ") as err:
        transfers.measured(study, show=False)
    assert seen.class_names[3] in str(err.value) and "\n" not in str(err.value)

    labels = np.where(data.labels == 7, 8, data.labels)
    empty = dataclasses.replace(data, labels=labels)
    monkeypatch.setattr(transfers, "new_species", lambda *a: empty)
    with pytest.raises(UserError, match=r"1 new classes have no image: ") as err:
        transfers.measured(study, show=False)
    assert data.class_names[7] in str(err.value) and "\n" not in str(err.value)


# ------------------------------------------------------------------------ drawn, said, decided


def made_up(gain=1.0, wobble=0.1, seeds=4, methods=("Softmax", "Triplet", PDDM)):
    """A frame of `measured`: PDDM gains `gain` points over all others."""
    rows = []
    keys = [(f, NCM) for f in (PLAIN, UNTRAINED, *methods)]
    keys += [(PLAIN, METRIC), (PDDM, SCORE), (PLAIN, LINEAR), (PDDM, KNN)]
    for s in range(seeds):
        for features, classifier in keys:
            for classes in (10, 20) if classifier == SCORE else (10, 20, 40):
                for n in (1, 0) if classes == 40 and classifier == NCM else (0,):
                    for k in (1, 5) if classifier != KNN else (1,):
                        a = 400 / classes + 2 * k + s  # seeds differ by more than the gain
                        a += (gain + wobble * (s % 2)) * (features == PDDM)
                        row = ("made_up", features, s, "r", classifier, classes, n, n or 3)
                        rows.append((*row, 60, 0, k, a))
    return pd.DataFrame(rows, columns=transfers.COLUMNS)


def test_c14_is_decided_against_softmax_and_each_rival_by_seed():
    for gain, verdict in ((1.0, "reproduced"), (-1.0, "not reproduced"), (0.0, None)):
        t = claims_verdict.verdicts({}, ["made_up"], only=["C14"], measured={"C14": made_up(gain)})
        assert set(t["claim"]) == {"C14"}
        rivals = ["Softmax", "Triplet", "learned metric [21]"]
        assert [m.rpartition(" - ")[2] for m in t["measure"]] == rivals
        np.testing.assert_allclose(t["effect"], gain + 0.05)
        assert set(t["seeds"]) == {4}
        assert verdict is None or set(t["verdict"]) == {verdict}
    assert set(t["verdict"]) == {"level"}  # 0.05 ± 0.09, and a point is the margin
    assert all(x in t["text"].iloc[0] for x in ("softmax features", "over Softmax"))


def test_c14_without_softmax_runs_says_so():
    (row, *others) = claims_transfer.c14(made_up(methods=("Triplet", PDDM)))
    assert row.verdict == judge.NOT_ENOUGH and row.seeds == 0 and "was not run" in row.note
    assert [v.verdict for v in others] == [judge.REPRODUCED] * 2


def test_the_table_beside_the_papers():
    t = tables.transfer_table(made_up(wobble=0.2), "made_up").set_index("features")
    assert t.loc[PDDM, "top-1"] == "14.6 ± 1.3"  # 10 + 2 + 1.5 + 1.1, over seeds
    assert t.loc[PDDM, tables.AGAINST] == "+1.1 [+0.9, +1.3]"
    assert t.loc[PDDM, tables.PAPER] == "28.4" and t.loc[PDDM, "classes"] == "40"
    printed = t[tables.PAPER]
    assert sorted(map(float, printed[printed != ""])) == sorted(TABLE_2["transfer"].values())
    assert t.loc["plain features", tables.PAPER] == ""


def test_halves_are_rounded_away_from_zero():
    frame = made_up(seeds=3, wobble=0.0)
    at = (frame["features"] == PDDM) & (frame["classifier"] == NCM)
    # 70.25, but for the last bits of the two ways to take a mean
    frame.loc[at, "accuracy"] = frame.loc[at, "seed"].map({0: 70.15, 1: 70.25, 2: 70.35})
    row = tables.transfer_table(frame, "made_up").set_index("features").loc[PDDM]
    assert row["top-1"].startswith("70.3 ± ")
    assert [wording.shown(x, 1) for x in (70.25, 70.25 - 1e-13, 70.2499, -0.25)] == [
        "70.3", "70.3", "70.2", "-0.3",
    ]  # fmt: skip


def test_what_a_network_of_imagenet_may_have_seen_is_said(study):
    assert "ImageNet" not in tables.described(study)
    for backbone, weights in (("googlenet", ""), ("mobilenet_v2", "w/mobilenet_imagenet.pth")):
        own = dataclasses.replace(study, backbone=backbone, weights=weights)
        assert table2.pretrained(own).startswith(f"{backbone} starts from ImageNet's")
    bare = dataclasses.replace(study, backbone="googlenet", weights="none")
    assert table2.pretrained(bare) == ""


def test_every_panel_draws_what_the_legend_lists_or_the_legend_says_where_it_is():
    """Told apart by colour and dashes, as a reader does."""
    fig, _ = figures.accuracy(made_up(), TITLES)
    (legend,) = fig.legends
    handles = zip(legend.get_texts(), legend.legend_handles, strict=True)
    lines = {t.get_text(): h for t, h in handles if isinstance(h, Line2D) and h.get_lw()}
    curves = {name: (line.get_color(), line.get_linestyle()) for name, line in lines.items()}
    drawn = [{(x.get_color(), x.get_linestyle()) for x in ax.lines} for ax in fig.axes]
    missing = [{n for n, look in curves.items() if look not in own} for own in drawn]
    assert len(curves) >= 6
    # few classes alone: the right panel is of all; chance is a level
    assert missing == [set(), {"chance"}, {"chance", figures.FEW}] and "few classes" in figures.FEW
    of = {name for name, *_ in figures.LOOKS.values()}
    assert {"plain features", "PDDM+Quadruplet"} <= {*curves} <= {*of, "chance", figures.FEW}


def test_the_figures_show_the_frame(study, measured):
    fig, frame = figures.accuracy(made_up(), TITLES)
    level, over, few = fig.axes
    assert over.get_xscale() == "log" and "new classes" in level.get_xlabel()
    (line,) = [
        x for x in over.lines if x.get_color() == drawing.COLOURS[PDDM] and len(x.get_xdata()) == 3
    ]
    t = frame[(frame["per_mean"] == 0) & (frame["classifier"] == NCM)]
    t = t.set_index(["features", "classes", "seed"])["accuracy"]
    want = (100 * (t[PDDM] / t[PLAIN] - 1)).groupby("classes").mean()
    np.testing.assert_allclose(line.get_ydata(), want)
    fig, _ = figures.table_2(made_up(), TITLES)
    assert len(fig.axes) == 2 and "ImageNet-10K" in fig.axes[1].get_xlabel()
    for draw in (figures.accuracy, figures.table_2):  # of real rows, too
        fig, frame = draw(measured, study.titles())
        assert drawing.save(fig, frame, study, draw.__name__).exists()
        assert len(draw(made_up()[:0], TITLES)[1]) == 0
