"""Spread and gap against plain loops, silhouettes by their definition, and what luck alone does."""

from types import SimpleNamespace

import numpy as np
import pytest

from pddm_lite.measures import spread
from pddm_lite.store.errors import UserError


def cloud(sds, n=8, d=5, apart=1.0, seed=0):
    """Classes of n images around random means, class c with standard deviation sds[c]."""
    rng = np.random.default_rng(seed)
    means = apart * rng.normal(size=(len(sds), d))
    labels = np.repeat(10 * np.arange(len(sds)), n)
    f = np.repeat(means, n, axis=0) + np.repeat(sds, n)[:, None] * rng.normal(size=(len(labels), d))
    order = rng.permutation(len(labels))
    return f[order].astype(np.float32), labels[order]


def root_mean_square(pairs):
    return np.sqrt(np.mean([((a - b) ** 2).sum() for a, b in pairs]))


def test_spread_and_gap_are_root_mean_square_distances_of_pairs():
    f, labels = cloud([0.2, 1.0, 0.4, 0.9, 0.1], apart=0.3)
    f, labels = f[3:], labels[3:]  # classes of different sizes
    table = spread.classes(f, labels).set_index("class")
    assert table["images"].sum() == len(f)
    for c in np.unique(labels):
        own = f[labels == c].astype(float)
        within = [(own[a], own[b]) for a in range(len(own)) for b in range(a)]
        gaps = {
            e: root_mean_square([(a, b) for a in own for b in f[labels == e].astype(float)])
            for e in np.unique(labels)
            if e != c
        }
        row = table.loc[c]
        assert row["spread"] == pytest.approx(root_mean_square(within))
        assert row["nearest"] == min(gaps, key=gaps.get)
        assert row["gap"] == pytest.approx(min(gaps.values()))
        assert row["looser"] == (row["spread"] > row["gap"])
    assert 0 < table["looser"].sum() < len(table)  # both kinds were met


def test_a_loose_class_around_a_tight_one_is_looser_than_its_gap():
    f, labels = cloud([1.0, 0.1, 0.1], n=200, apart=0.2)
    table = spread.classes(f, labels).set_index("class")
    assert table["looser"].tolist() == [True, False, False]
    assert table["nearest"].tolist()[1:] == [20, 10]


def test_loose_and_tight_classes_are_told_from_chance():
    f, labels = cloud([1.0, 0.4] * 30, n=20, d=20, apart=0.5)
    found = spread.summary(f, labels)
    assert found["looser"] == pytest.approx(0.5) and found["quarters"] == pytest.approx(
        2.5, abs=0.3
    )
    assert found["looser"] > found["looser_by_chance"] + 0.1
    assert found["quarters_by_chance"] < 1.6
    assert found == spread.summary(f, labels)


def test_summary_agrees_with_classes():
    f, labels = cloud([0.2, 1.0, 0.4, 0.9, 0.1, 0.5, 0.6, 0.7])
    table = spread.classes(f, labels)
    found = spread.summary(f, labels)
    assert found["looser"] == table["looser"].mean()
    ordered = np.sort(table["spread"])
    assert found["quarters"] == pytest.approx(ordered[-2:].mean() / ordered[:2].mean())


def test_a_collapsed_embedding_has_neither_spread_nor_gap():
    f, labels = np.full((12, 4), 0.3, np.float32), np.repeat(np.arange(3), 4)
    table = spread.classes(f, labels)
    assert not table["looser"].any() and table["spread"].max() < 1e-6
    found = spread.summary(f, labels)
    assert np.isfinite(list(found.values())).all() and found["looser"] == 0
    assert spread.farthest(f, labels) == 0


def test_farthest_pair_against_nearest_other_image_by_hand():
    f = np.array([[0.0], [3.0], [4.0], [4.5], [9.0], [9.1]])
    # 3 > 1; 0.5 < 1; 0.1 < 4.5
    assert spread.farthest(f, np.array([0, 0, 1, 1, 2, 2])) == pytest.approx(1 / 3)


def test_silhouette_by_its_definition():
    f, labels = cloud([0.2, 1.0, 0.4], n=5)
    values = []
    for i in range(len(f)):
        to = {
            c: [np.linalg.norm(f[i] - f[k]) for k in np.flatnonzero(labels == c) if k != i]
            for c in np.unique(labels)
        }
        a = np.mean(to.pop(labels[i]))
        b = min(np.mean(x) for x in to.values())
        values.append((b - a) / max(a, b))
    assert spread.silhouette(f, labels) == pytest.approx(np.mean(values), abs=1e-5)


def test_large_sets_are_sampled_by_whole_classes(monkeypatch):
    monkeypatch.setattr(spread, "MOST", 40)
    monkeypatch.setattr(spread, "PAIRED", 24)
    f, labels = cloud([0.5] * 10)
    table = spread.classes(f, labels)
    assert set(table["images"]) == {8} and len(table) == 5
    assert spread.silhouette(f, labels) == spread.silhouette(f, labels)
    few = np.zeros_like(labels)
    few[:30] = 1  # no class fits whole
    assert np.isfinite(spread.silhouette(f, few))
    assert len(spread.classes(f, few)) == 2


@pytest.mark.parametrize("measure", [spread.classes, spread.summary, spread.silhouette])
def test_bad_input_is_named(measure):
    f, labels = cloud([0.5, 0.5])
    with pytest.raises(UserError, match="two classes of at least two images are needed, not 1"):
        measure(f, np.where(labels == 0, 0, np.arange(len(labels)) + 1))
    f[2, 1] = np.nan
    with pytest.raises(UserError, match="not finite"):
        measure(f, labels)


def test_survey_has_a_row_a_run_that_ranks_by_distance():
    f, labels = cloud([0.5, 0.9])
    run = SimpleNamespace(
        id="run of test_survey",
        embeddings={"f": f, "labels": labels},
        metrics={"test": {"distance": {"nmi": 0.5, "f1": 0.25}}},
    )
    table = spread.survey({("d", m, 3): run for m in ("PDDM+Quadruplet", "PDDM score")})
    (row,) = table.to_dict("records")
    assert row["method"] == "PDDM+Quadruplet" and (row["nmi"], row["f1"]) == (0.5, 0.25)
    assert row["silhouette"] == spread.silhouette(f, labels)
    assert spread.survey({}).empty
