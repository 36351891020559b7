"""The knob's trend and the price of one threshold, on cases whose answer is known beforehand."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import norm

from pddm_lite.measures.scores import histogram
from pddm_lite.paper import drawing, widgets
from pddm_lite.paper.fig1b_scores import figures, heterogeneity
from pddm_lite.paper.judge import REPRODUCED
from pddm_lite.paper.questions import EUCLIDEAN, PDDM

TITLES = {"d": "data"}


def values(overlap):
    return {"overlap": overlap, "auc": 1 - overlap / 2, "eer": overlap / 2, "recall_1": 50.0}


def fake(h=0.7, overlap=0.3, seed=0):
    rng = np.random.default_rng(seed)
    bins = histogram(rng.normal(1, 1, 500), rng.normal(-1, 1, 500))
    parts = [bins.assign(split=s, ranking=r) for s in ("test", "train") for r in RANKINGS]
    f = rng.normal(size=(24, 8)).astype(np.float32)
    return SimpleNamespace(
        experiment=SimpleNamespace(data=f"synthetic_birds@{h:g}"),
        metrics={s: {r: values(overlap) for r in RANKINGS} for s in ("test", "train")},
        histograms=pd.concat(parts, ignore_index=True),
        embeddings={"f": f, "labels": np.repeat(np.arange(6), 4), "index": np.arange(24)},
    )


RANKINGS = ("distance", "score")


def turned(growth):
    """Runs of two metrics; the Euclidean overlap rises by `growth` a unit of the knob."""
    runs = {}
    for h in (0, 0.5, 0.7, 1):
        for seed in range(3):
            variant = "" if h == 0.7 else f"heterogeneity {h:g}"
            runs["d", variant, PDDM, seed] = fake(h, 0.3, seed)
            runs["d", variant, EUCLIDEAN, seed] = fake(h, 0.3 + growth * h + 0.001 * seed * h, seed)
    return runs | {("other", "", PDDM, 0): fake()}


def test_the_own_world_is_a_point_of_the_curve_and_other_data_are_none():
    runs = heterogeneity.turned(turned(0.1))
    assert list(dict.fromkeys(h for h, _, _ in runs)) == [0, 0.5, 0.7, 1] and len(runs) == 24
    assert heterogeneity.turned({("d", "", PDDM, 0): fake()}) == {}


@pytest.mark.parametrize("growth, verdict", [(0.1, True), (0.0, True), (-0.1, False)])
def test_the_trend_is_the_growth_of_the_lead(growth, verdict):
    lead = heterogeneity.leads(heterogeneity.turned(turned(growth)))
    t = heterogeneity.trend(lead).set_index(["compared", "measure"])
    for what in heterogeneity.COMPARED:
        row = t.loc[(what, "overlap")]
        assert row["slope"] == pytest.approx(growth + 0.001)
        assert row["seeds"] == 3
        if growth:
            assert (row["verdict"] == REPRODUCED) == verdict
        # the lead is for PDDM whichever way a measure runs
        assert t.loc[(what, "auc")]["slope"] == pytest.approx((growth + 0.001) / 2)
        assert t.loc[(what, "recall_1")]["slope"] == pytest.approx(0)


def test_looseness_is_the_root_mean_square_distance_within_a_class():
    x = np.random.default_rng(0).normal(size=(12, 3))
    c = np.repeat([4, 7], 6)
    own = x[:6]
    squares = [((a - b) ** 2).sum() for k, a in enumerate(own) for b in own[:k]]
    assert heterogeneity.looseness(x, c)[0] == pytest.approx(np.sqrt(np.mean(squares)))


def test_mistakes_are_counted_as_one_would():
    rng = np.random.default_rng(1)
    p, n, cuts = rng.normal(1, 1, 30), rng.normal(0, 1, 40), rng.normal(0, 1, 5)
    want = [((p < t).mean() + (n >= t).mean()) / 2 for t in cuts]
    np.testing.assert_allclose(heterogeneity.mistakes(p, n, cuts), want)


def classes_at(scale):
    """Four classes: partners lie 3 scales apart, and the two pairs of partners far apart."""
    f, labels = [], []
    rng = np.random.default_rng(0)
    for k, (centre, s) in enumerate(((0, 1), (3, 1), (100, scale), (100 + 3 * scale, scale))):
        f.append(centre + s * rng.uniform(-0.5, 0.5, 12))
        labels += [k] * 12
    f = np.concatenate(f)
    return heterogeneity.Sample(-np.abs(f[:, None] - f), np.array(labels))


def test_one_threshold_costs_nothing_where_classes_are_alike_and_something_where_not():
    alike = heterogeneity.thresholds(classes_at(1))
    assert alike["error_own"].max() == alike["error_common"].max() == 0
    apart = heterogeneity.thresholds(classes_at(10))
    assert apart["error_own"].max() == 0 and apart["error_common"].max() > 0.05
    price = heterogeneity.prices({("d", EUCLIDEAN, 0): classes_at(10)})
    assert price["price"][0] == pytest.approx(apart["error_common"].mean())


def test_a_sample_scores_by_minus_the_distance():
    run = fake()
    some = heterogeneity.sample(run, "distance", classes=3, images=2)
    assert some.S.shape == (6, 6) and some.labels.tolist() == [0, 0, 2, 2, 5, 5]
    f = torch.nn.functional.normalize(torch.tensor(run.embeddings["f"]))
    assert some.S[0, 3] == pytest.approx(-torch.dist(f[0], f[9]).item(), abs=1e-5)
    within, across = some.pairs(0, [2, 5, 0])
    assert within.tolist() == [some.S[0, 1]] and len(across) == 8


def test_errors_of_a_threshold_are_those_of_the_pairs():
    rng = np.random.default_rng(0)
    p, n = rng.normal(1, 1, 2000), rng.normal(-1, 1, 2000)
    h = histogram(p, n)
    miss, accepted = heterogeneity.errors(h)
    t = h["left"][40]
    assert miss[40] == pytest.approx((p < t).mean(), abs=0.002)
    assert accepted[40] == pytest.approx((n >= t).mean(), abs=0.002)


def test_the_common_scale_keeps_order_and_overlap_and_is_the_same_for_any_stretch():
    rng = np.random.default_rng(0)
    p, n = rng.normal(1, 1, 4000), rng.normal(-1, 1, 4000)
    for stretch in (lambda s: s, lambda s: 3 * s + 2):
        h = histogram(stretch(p), stretch(n))
        z = drawing.ranks(h)
        assert (np.diff(z) >= 0).all()
        mixture = (h["positive"] + h["negative"]).to_numpy() / 2
        density = mixture[20:60] / np.diff(z)[20:60]  # a bell, whatever the score was
        middle = (z[:-1] + z[1:])[20:60] / 2
        np.testing.assert_allclose(density, norm.pdf(middle), rtol=0.05)


def draw_all(variant_runs):
    runs = {("d", m, s): fake(seed=s) for m in ("Triplet", "PDDM score") for s in range(2)}
    lead = heterogeneity.leads(heterogeneity.turned(variant_runs))
    ratios = pd.DataFrame(
        [(h, s, 0, 1 + h) for h in (0, 1) for s in heterogeneity.SPACES],
        columns=["heterogeneity", "space", "seed", "ratio"],
    )
    one = {("d", m, 0): classes_at(10) for m in (EUCLIDEAN, "PDDM score")}
    return {
        "train_unseen": figures.train_unseen(runs, TITLES),
        "heterogeneity": figures.heterogeneity(lead, ratios),
        "thresholds": figures.thresholds(runs, "d", [0.0, 1.0]),
        "one_threshold": figures.one_threshold(one, heterogeneity.prices(one), TITLES),
    }


def test_figures_are_drawn_with_labels_and_their_numbers():
    for name, (fig, frame) in draw_all(turned(0.1)).items():
        assert len(frame), name
        for ax in fig.axes:
            assert ax.get_xlabel() or ax is not fig.axes[-1], name
        assert widgets.png(fig)[1:4] == b"PNG"


def test_a_threshold_rejects_the_share_it_is_set_to_under_every_metric():
    _, frame = draw_all(turned(0.1))["thresholds"]
    assert frame["method"].tolist() == ["Triplet"] * 2 + ["PDDM score"] * 2
    low, high = (frame[frame.index % 2 == n] for n in (0, 1))
    assert (low["rejected"] == 0).all() and (low["accepted"] > 0.99).all()
    assert (high["rejected"] > 0.98).all() and (high["accepted"] < 0.01).all()


def test_nothing_to_draw_is_said():
    none = heterogeneity.leads({})
    for fig, _ in (
        figures.heterogeneity(none, none),
        figures.thresholds({}, "d"),
        figures.one_threshold({}, none, {}),
        figures.train_unseen({}, {}),
    ):
        assert fig.axes[0].texts


# ------------------------------------------------------------------------------------- widgets


def test_no_widget_where_nobody_can_move_it():
    assert not widgets.live()
    assert widgets.explore(lambda threshold: 1 / 0, threshold=(0.0, 1.0, 0.1)) is None


def test_controls_move_the_figure(monkeypatch):
    ipywidgets = pytest.importorskip("ipywidgets")
    monkeypatch.setattr(widgets, "live", lambda: True)
    asked = []

    def draw(**values):
        asked.append(values)
        return figures.thresholds({}, "d")

    box = widgets.explore(draw, threshold=(0.0, 1.0, 0.0125), one_more=(1.0, 3.0, 1.0))
    slider, other = box.children[:2]
    assert [c.description for c in box.children[:2]] == ["threshold", "one more"]
    assert isinstance(slider, ipywidgets.FloatSlider) and slider.value == 0.5
    box.update()
    slider.value, other.value = 0.75, 3.0
    assert asked[0] == dict(threshold=0.5, one_more=2.0)
    assert asked[-1] == dict(threshold=0.75, one_more=3.0)
