"""evaluate_fully on more images than N x N scores fit."""

import numpy as np
import pytest
import torch

from pddm_lite.evaluation import measures
from pddm_lite.pddm import LMDM, PDDM, Mahalanobis, r


@pytest.mark.parametrize("metric", [PDDM, LMDM, Mahalanobis])
def test_many_images_are_ranked_exactly_and_their_pairs_sampled(metric, monkeypatch):
    torch.manual_seed(0)
    unit, labels = metric(16).eval(), torch.arange(150) % 30
    f = r(torch.randn(30, 16)[labels] + torch.randn(150, 16))
    f[7] = f[3]  # a duplicate of another class: a tie
    whole, _ = measures.evaluate_fully(f, labels, unit)
    monkeypatch.setattr(measures, "MANY", 100)
    many, tables = measures.evaluate_fully(f, labels, unit)
    some = torch.from_numpy(measures.evenly(np.arange(150), 100))
    sampled, histograms = measures.evaluate_fully(f[some], labels[some], unit)
    for by in ("distance", "score"):
        recall = {k: v for k, v in whole[by].items() if k.startswith("recall")}
        assert many[by] == pytest.approx(sampled[by] | recall, abs=1e-9)
        assert np.allclose(tables[by], histograms[by])
    assert whole["score"]["auc"] != many["score"]["auc"]
