"""Genuinely hard pairs: rulers, bars and what a miner that knows the answer would reach."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pddm_lite import data
from pddm_lite.data.sampler import class_balanced
from pddm_lite.data.synthetic import geometry
from pddm_lite.paper.fig3_mining import oracle
from pddm_lite.pddm import Euclidean, Similarity

G = geometry("birds", 40, 8)


def drawn(number, classes=8, images=4):
    batches = class_balanced(G.labels, classes, images, seed=0)
    return np.stack([next(batches) for _ in range(number)])


class Knows(Similarity):
    """Minus the distance of one ruler; the features are the images' numbers."""

    def __init__(self, ruler):
        super().__init__()
        self.ruler = ruler

    def forward(self, f_i, f_j):
        a, b = (f[:, 0].long().numpy() for f in (f_i, f_j))
        return -torch.from_numpy(oracle.apart(G, a, b, self.ruler)).float()


def test_the_geometry_is_that_of_the_data_set():
    for name in ("synthetic_birds", "synthetic_cars@0.2"):
        g, whole = oracle.geometry_of(name, "smoke"), data.load(name, profile="smoke")
        assert np.array_equal(g.labels, whole.labels)
    assert oracle.geometry_of("cub200_2011", "smoke") is None
    assert oracle.geometry_of("folder:own", "smoke") is None


def test_rulers():
    a, b = np.array([0, 0]), np.array([1, 20])
    plain = np.linalg.norm(G.latents[a] - G.latents[b], axis=1)
    assert oracle.apart(G, a, b, "plain") == pytest.approx(plain)
    spread = np.sqrt(G.scales[0] * G.scales[[0, 2]])
    assert oracle.apart(G, a, b, "local") == pytest.approx(plain / spread)


@pytest.mark.parametrize("ruler", oracle.RULERS)
def test_a_tenth_of_all_pairs_is_hard_and_of_its_kind(ruler):
    index = drawn(30)
    positive, negative = oracle.hard(G, index, ruler)
    same = G.labels[index][:, :, None] == G.labels[index][:, None, :]
    oneself = np.eye(index.shape[1], dtype=bool)
    assert not positive[~same].any() and not negative[same].any() and not positive[:, oneself].any()
    assert positive.sum() / (same & ~oneself).sum() == pytest.approx(0.1, abs=0.01)
    assert negative.sum() / (~same).sum() == pytest.approx(0.1, abs=0.01)
    assert np.array_equal(positive, positive.transpose(0, 2, 1))


@pytest.mark.parametrize("ruler", oracle.RULERS)
def test_whoever_knows_the_answer_reaches_the_best_and_a_blind_one_chance(ruler):
    torch.manual_seed(0)
    index, numbers = drawn(200), torch.arange(len(G.labels)).float()[:, None]
    miners = {
        ("own", "knows"): oracle.picks(Knows(ruler), numbers, index, G.labels),
        ("own", "blind"): oracle.picks(Euclidean(), torch.rand(len(numbers), 4), index, G.labels),
    }
    t = oracle.rates(G, index, miners)
    t = t[t["ruler"] == ruler].set_index(["miner", "kind"])
    for kind in ("positive", "negative"):
        assert t["picked"]["knows", kind] == pytest.approx(t["best"]["knows", kind])
        assert t["chance"]["blind", kind] == pytest.approx(0.1, abs=0.03)
        assert t["picked"]["blind", kind] == pytest.approx(0.1, abs=0.09)


def test_a_study_without_synthetic_data_has_nothing_to_ask():
    run = SimpleNamespace()
    study = SimpleNamespace(profile="quick")
    assert oracle.survey({("cub200_2010", "PDDM score", 0): run}, study, home="").empty
