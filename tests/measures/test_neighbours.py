"""Retrieved images: the ranking against a plain sort, ties, the rule for queries, the words."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pddm_lite.data import ImageSet
from pddm_lite.measures import neighbours
from pddm_lite.pddm import PDDM, r
from pddm_lite.store.errors import UserError

LABELS = np.repeat(np.arange(6), 10)


class Constant(PDDM):
    def pairs(self, f, i, j):
        return torch.zeros(len(i))


def made(similarity=None, n=60, d=8, seed=0):
    """What neighbours reads of a runs.Run; its images lie at places 100, 101, ..."""
    torch.manual_seed(seed)
    f = r(torch.randn(6, d)[torch.from_numpy(LABELS[:n])] + 0.8 * torch.randn(n, d))
    similarity = (similarity or PDDM)(d).eval()
    return SimpleNamespace(
        embeddings={"f": f.numpy(), "labels": LABELS[:n], "index": np.arange(100, 100 + n)},
        similarity=lambda: similarity,
        experiment=SimpleNamespace(seed=3),
        metrics={"chosen_step": 40},
    )


def pictures():
    labels = np.r_[np.zeros(100, int), LABELS]
    return ImageSet("x", "X", labels, tuple("abcdef"), lambda i: None, "", 0)


def test_the_ranking_is_that_of_all_pairs():
    run = made()
    f, similarity = torch.from_numpy(run.embeddings["f"]), run.similarity()
    frame = neighbours.ranking(f, LABELS, similarity, np.array([3, 57]), nearest=5)
    S = similarity.all_pairs(f)
    D = torch.cdist(f, f).square()
    for q in (3, 57):
        for by, x, other in (("score", -S[q], D[q]), ("distance", D[q], -S[q])):
            own = frame[(frame["query"] == q) & (frame["by"] == by)]
            order, place = ([int(i) for i in y.argsort() if i != q] for y in (x, other))
            assert own["retrieved"].tolist() == order[:5] and own["rank"].tolist() == [
                1,
                2,
                3,
                4,
                5,
            ]
            assert own["place"].tolist() == [place.index(i) + 1 for i in order[:5]]
            assert own["right"].tolist() == [i // 10 == q // 10 for i in order[:5]]
            assert own["S"].to_numpy() == pytest.approx(S[q, order[:5]].numpy(), abs=1e-5)
            assert own["D"].to_numpy() == pytest.approx(D[q, order[:5]].numpy(), abs=1e-5)


def test_ties_never_help():
    run = made(Constant)
    f = torch.from_numpy(run.embeddings["f"])
    frame = neighbours.ranking(f, LABELS, run.similarity(), np.array([0]))
    assert not frame["right"][frame["by"] == "score"].any()
    assert frame["right"][frame["by"] == "distance"].any()


def test_what_is_not_finite_is_not_ranked():
    f = torch.from_numpy(made().embeddings["f"])
    f[7, 2] = torch.nan
    with pytest.raises(UserError, match="some scores are not finite"):
        neighbours.ranking(f, LABELS, Constant(8), np.array([0]))


def test_candidates_have_a_match_and_large_sets_get_few(monkeypatch):
    labels = np.r_[LABELS, 90, 91]  # two classes of a single image
    drawn = neighbours.candidates(labels)
    assert sorted(drawn) == list(range(60)) and list(drawn) != list(range(60))
    assert np.array_equal(drawn, neighbours.candidates(labels))
    monkeypatch.setattr(neighbours, "PAIRS", 20 * len(labels))
    assert len(neighbours.candidates(labels)) == 20
    monkeypatch.setattr(neighbours, "PAIRS", 1)
    assert len(neighbours.candidates(labels)) == neighbours.SHOWN
    with pytest.raises(UserError, match="at least two images"):
        neighbours.candidates(np.arange(9))


def test_found_names_places_of_the_image_set():
    found = neighbours.find(made())
    shown = found.shown
    assert len(shown) == 6 * 8 and tuple(dict.fromkeys(shown["query"])) == found.queries
    assert shown[["query", "retrieved"]].to_numpy().min() >= 100
    right = shown.groupby("query", sort=False)["right"].sum()
    assert right.is_monotonic_increasing
    every = found.ranked[found.ranked["by"] == "score"].groupby("query")["right"].sum()
    assert (right.iloc[0], right.iloc[-1]) == (every.min(), every.max())


def test_the_plane_holds_queries_and_retrieved():
    found, data = neighbours.find(made()), pictures()
    frame = neighbours.plane(found, data, most=20)
    assert set(found.queries) | set(found.shown["retrieved"]) <= set(frame["image"])
    assert (data.labels[frame["image"]] == frame["class"]).all()
    assert frame["image"].is_unique and np.isfinite(frame[["x", "y"]]).all(axis=None)


def test_the_summary_counts_what_the_rankings_share():
    found = neighbours.find(made())
    s, r = neighbours.summary(found), found.ranked
    sets = {key: set(own["retrieved"]) for key, own in r.groupby(["query", "by"])}
    queries = r["query"].unique()
    only = [i for q in queries for i in sets[q, "score"] - sets[q, "distance"]]
    assert s["only"] == pytest.approx(len(only) / len(queries)) and only
    hit = [(i - 100) // 10 == (q - 100) // 10
           for q in queries for i in sets[q, "distance"] - sets[q, "score"]]  # fmt: skip
    assert s["right_only_distance"] == pytest.approx(100 * np.mean(hit))
    hits = r["right"][r["by"] == "score"].sum()
    assert s["right_score"] == pytest.approx(hits / len(queries))
