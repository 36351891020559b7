"""The figures, tables and words of hard mining, on tiny made-up results."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pddm_lite.data import ImageSet
from pddm_lite.data.synthetic import geometry
from pddm_lite.paper.fig3_mining import figures, toy
from pddm_lite.paper.fig3_mining import tables as tables_mining
from pddm_lite.paper.fig3_mining.oracle import RULERS

TITLES = {"synthetic_birds": "synthetic birds", "synthetic_cars": "synthetic cars"}
METHODS = ("Euclidean+Quadruplet", "PDDM score")


def pictures():
    return ImageSet(
        name="tiny",
        title="tiny",
        labels=np.repeat(np.arange(4), 4),
        class_names=("a", "b_with_a_very_long_name_that_does_not_fit_below", "c", "d"),
        read=lambda i: Image.new("RGB", (20 + i, 16), (9 * i, 0, 99)),
        fingerprint="",
        train_classes=4,
    )


def picked(methods=METHODS):
    rng, out = np.random.default_rng(0), {}
    a, b = np.triu_indices(16, 1)
    for m in methods:
        every = pd.DataFrame({"a": a, "b": b, "same": a // 4 == b // 4})
        every["S"], every["D"] = rng.normal(size=len(a)), rng.random(len(a))
        own = pd.DataFrame({"pair": ["ij", "ik", "jl"], "a": [0, 0, 1], "b": [1, 5, 9]})
        own["S"], own["D"], own["by_S"], own["by_D"] = -0.001, 0.5, 0.1, 0.2
        own["class_a"], own["class_b"] = ["a", "a", "a"], ["a", "b", "c"]
        out[m] = own, every
    return out


def rates(methods=METHODS, seeds=(0, 1, 2), features=("own", "PDDM score")):
    rng = np.random.default_rng(0)
    rows = [
        (d, s, f, m, r, k, rng.uniform(0.3, 0.6), 0.1, 0.8)
        for d in TITLES
        for s in seeds
        for f in features
        for m in methods
        for r in RULERS
        for k in ("positive", "negative")
    ]
    columns = "data seed features miner ruler kind picked chance best".split()
    return pd.DataFrame(rows, columns=columns)


def arrows():
    p, classes = toy.points()
    return toy.arrows(p, classes, toy.trained_unit(p, classes, steps=2))


def labelled(fig):
    fig.draw_without_rendering()
    assert fig.get_suptitle() == ""
    columns = {}
    for ax in fig.axes:  # the lowest of a column names x, the first of a row names y
        columns[ax.get_subplotspec().colspan.start] = ax.get_xlabel()
        if ax.get_subplotspec().colspan.start == 0:
            assert ax.get_ylabel()
    assert all(columns.values())


@pytest.mark.parametrize("methods", [METHODS, METHODS[:1]])
def test_quadruplets(methods):
    fig, frame = figures.quadruplets(picked(methods), pictures())
    labelled(fig)
    assert len(fig.axes) == 2 * len(methods) and len(frame) == 3 * len(methods)
    words = [t.get_text() for ax in fig.axes for t in ax.texts]
    assert any(w.endswith("…") for w in words)  # a long name is cut
    assert not any("-" in w or "−0.00" in w for w in words)


def test_nothing_to_draw_is_said_in_words():
    for fig, _ in (
        figures.quadruplets({}, pictures()),
        figures.oracle(pd.DataFrame(), {}),
    ):
        fig.draw_without_rendering()
        assert fig.axes[0].texts[0].get_text()
    assert tables_mining.why_table({}, None).empty


def test_toy():
    fig, frame = figures.toy_arrows(arrows())
    labelled(fig)
    assert len(fig.axes) == 6
    assert [ax.get_title(loc="left").replace("\n", " ") for ax in fig.axes][1:] == list(toy.LOSSES)


@pytest.mark.parametrize(
    "frame", [rates(), rates(METHODS[:1], (0,), ("own",)), rates(features=("own",))]
)
def test_oracle(frame):
    fig, shown = figures.oracle(frame, TITLES)
    labelled(fig)
    assert len(fig.axes) == 8 and shown is frame
    table = tables_mining.rates_table(frame, TITLES)
    assert len(table) == len(TITLES) * 4 * frame["features"].nunique()
    t = frame[(frame["data"] == "synthetic_birds") & (frame["ruler"] == "local")]
    t = t[(t["kind"] == "positive") & (t["features"] == "own")].groupby("miner")["picked"].mean()
    lead = table.set_index("features")[tables_mining.LEAD]["own"].iloc[0]
    want = f"{100 * (t[METHODS[1]] - t[METHODS[0]]):+.1f}" if len(t) > 1 else ""
    assert lead.partition(" [")[0] == want


def test_six_images_and_their_framed_pairs():
    S = np.random.default_rng(0).random((6, 6))
    fig, frame = figures.six(pictures(), np.arange(6), S, (0, 1, 2, 3))
    labelled(fig)
    assert len(fig.axes[1].patches) == 3 and frame["letters"].tolist() == [*"ijkl", "", ""]


def test_the_reasons_of_a_quadruplet():
    table = tables_mining.why_table(picked(), geometry("birds", 4, 4))
    assert len(table) == 6 and table["morphs"].isin(["differ", "same", ""]).all()
    assert "local" not in tables_mining.why_table(picked(), None)
