"""Figures, table and words of the embedding, on tiny made-up features."""

from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from pddm_lite.data import ImageSet
from pddm_lite.measures import spread
from pddm_lite.paper import drawing
from pddm_lite.paper.fig1a_spread import figures as fe
from pddm_lite.paper.fig1a_spread import tables
from pddm_lite.paper.questions import EUCLIDEAN, PDDM

TITLES = {"d": "one data set", "e": "another"}
NAMES = {d: tuple(f"{d}_class_{c}" for c in range(12)) for d in TITLES}
IDS = count()


def fake_run(seed, loose=7):
    """Six unseen classes, 6 to 11; one of them loose, and 9 near it, tight."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(6, 12), 8)
    means = 3 * rng.normal(size=(12, 5))
    means[9] = means[loose] + 0.1
    scale = np.where(labels == loose, 1.0, 0.3)[:, None]
    f = means[labels] + scale * rng.normal(size=(len(labels), 5))
    return SimpleNamespace(
        id=f"test_figures_embedding {next(IDS)}",
        embeddings={"f": f.astype(np.float32), "labels": labels},
        metrics={"test": {"distance": {"nmi": 0.5 + 0.1 * seed, "f1": 0.2}}},
    )


def runs(methods=(EUCLIDEAN, PDDM, "Triplet", "PDDM score"), data=tuple(TITLES), seeds=(0, 1)):
    return {(d, m, s): fake_run(s) for d in data for m in methods for s in seeds}


def pictures():
    return ImageSet(
        name="d",
        title="one data set",
        labels=np.repeat(np.arange(12), 3),
        class_names=NAMES["d"],
        read=lambda i: Image.new("RGB", (20 + i, 16), (6 * i, 0, 99)),
        fingerprint="",
        train_classes=6,
    )


FIGURES = {
    "embedding": lambda r: fe.embedding(r, TITLES, NAMES),
    "spread_gap": lambda r: fe.spread_gap(r, TITLES, NAMES),
    "pictures": lambda r: fe.pictures({"d": pictures()}, fe.pairs(r)),
}


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize(
    "methods, data",
    [
        ((EUCLIDEAN, PDDM, "Triplet", "PDDM score"), ("d", "e")),
        ((PDDM,), ("d",)),
        (("Triplet",), ("d",)),
        (("PDDM score",), ("d",)),
        ((), ()),
    ],
    ids=["whole", "PDDM alone", "a rival alone", "a score alone", "nothing"],
)
def test_the_whole_and_a_part_of_the_study_are_drawn(name, methods, data):
    fig, frame = FIGURES[name](runs(methods, data, seeds=(0,)))
    fig.draw_without_rendering()
    assert fig.axes and fig.get_suptitle() == ""
    assert all(ax.get_xlabel() for ax in fig.axes)
    if PDDM in methods:
        assert len(frame) > 0


def test_the_pair_is_the_class_with_most_spread_over_its_gap_in_the_euclidean_space():
    some = runs(data=("d",))
    some["d", EUCLIDEAN, 0] = fake_run(0, loose=7)
    some["d", PDDM, 0] = fake_run(0, loose=10)
    assert fe.pairs(some) == {"d": (7, 9)}
    assert fe.pairs({k: r for k, r in some.items() if k[1] == PDDM}) == {"d": (10, 9)}
    assert fe.firsts(some)["d"] == {m: some["d", m, 0] for m in (EUCLIDEAN, PDDM)}
    assert fe.firsts({}) == fe.pairs({}) == {}


def test_distances_are_those_of_all_pairs():
    f, labels = np.array([[0.0, 0], [3, 4], [0, 1], [0, 2], [9, 9]]), np.array([1, 1, 2, 2, 3])
    found = fe.distances(f, labels, 1, 2)
    assert found["within A"].tolist() == [5] and found["within B"].tolist() == [1]
    assert sorted(found["A to B"]) == pytest.approx([1, 2, 13**0.5, 18**0.5])


def test_rms_distances_drawn_are_spread_and_gap():
    """The figure, and the rule that chose the pair, speak of the same numbers."""
    some = runs(data=("d",))
    _, frame = fe.embedding(some, TITLES, NAMES)
    for m in (EUCLIDEAN, PDDM):
        found = spread.classes(**some["d", m, 0].embeddings).set_index("class")
        rms = frame[frame["method"] == m].set_index("kind")["rms"].dropna()
        assert rms["within A"] == pytest.approx(found["spread"][7])
        assert rms["A to B"] == pytest.approx(found["gap"][7])
        assert rms["within B"] == pytest.approx(found["spread"][9])


def test_the_enlarged_classes_are_drawn_whole_and_in_every_panel(monkeypatch):
    monkeypatch.setattr(fe, "DRAWN", 60)  # 30 a panel: A, B and one more
    _, frame = fe.embedding(runs(data=("d",)), TITLES, NAMES)
    for _, panel in frame[frame["kind"] == "place"].groupby("method"):
        counts = panel["class"].value_counts()
        assert counts["d_class_7"] == counts["d_class_9"] == 8 and len(panel) == 24


def test_classes_above_the_diagonal_are_marked():
    some = runs(methods=(EUCLIDEAN,), data=("d",))
    fig, frame = fe.spread_gap(some, TITLES, NAMES)
    looser = spread.classes(**some["d", EUCLIDEAN, 0].embeddings)["looser"]
    inks = [to_hex(c) for c in fig.axes[0].collections[0].get_facecolors()]
    assert inks.count(drawing.COLOURS[EUCLIDEAN]) == looser.sum() > 0
    words = [t.get_text() for t in fig.axes[0].texts]
    assert f"{100 * looser.mean():.0f} % above\n(seed 0)" in words
    shares = frame[frame["kind"] == "share"]
    assert shares["seed"].tolist() == [0, 1] and shares["looser"].iloc[0] == looser.mean()


def test_pictures_are_of_the_enlarged_classes():
    _, frame = fe.pictures({"d": pictures()}, {"d": (7, 9), "e": (1, 2)})
    assert frame["index"].tolist() == [21, 22, 23, 27, 28, 29]
    assert frame["class"].unique().tolist() == ["d_class_7", "d_class_9"]


def test_the_table_says_the_numbers():
    some = runs()
    survey = spread.survey(some)
    table = tables.spread_table(survey, "d").set_index("method")
    assert list(table.index) == ["Triplet", EUCLIDEAN, PDDM] and set(table["seeds"]) == {2}
    assert set(table["NMI"]) == {"0.550 ± 0.071"}  # 0.5 and 0.6
    own = survey[(survey["data"] == "d") & (survey["method"] == PDDM)]
    assert table["spread > gap, %"][PDDM].startswith(f"{100 * own['looser'].mean():.1f} ±")
