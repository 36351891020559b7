"""evaluate_fully on more images than N x N scores fit."""

import io

import numpy as np
import pytest
import torch

from pddm_lite.measures import evaluate
from pddm_lite.measures.scores import pair_scores, separation
from pddm_lite.pddm import LMDM, PDDM, Euclidean, Mahalanobis, r


@pytest.mark.parametrize("metric", [PDDM, LMDM, Mahalanobis])
def test_many_images_are_ranked_exactly_and_their_pairs_sampled(metric, monkeypatch):
    torch.manual_seed(0)
    unit, labels = metric(16).eval(), torch.arange(150) % 30
    f = r(torch.randn(30, 16)[labels] + torch.randn(150, 16))
    f[7] = f[3]  # a duplicate of another class: a tie
    whole, _, _ = evaluate.evaluate_fully(f, labels, unit)
    monkeypatch.setattr(evaluate, "MANY", 100)
    many, tables, _ = evaluate.evaluate_fully(f, labels, unit)
    some = torch.from_numpy(evaluate.evenly(np.arange(150), 100))
    sampled, histograms, _ = evaluate.evaluate_fully(f[some], labels[some], unit)
    for by in ("distance", "score"):
        recall = {k: v for k, v in whole[by].items() if k.startswith("recall")}
        assert many[by] == pytest.approx(sampled[by] | recall, abs=1e-9)
        assert np.allclose(tables[by], histograms[by])
    assert whole["score"]["auc"] != many["score"]["auc"]


@pytest.mark.parametrize("many", [1000, 60])
def test_the_counts_of_classes_are_those_of_a_loop(many, monkeypatch):
    """Hits and pairs a class against loops; the sums give Recall@1 and the AUC again."""
    torch.manual_seed(1)
    monkeypatch.setattr(evaluate, "MANY", many)
    labels = torch.tensor([3] * 12 + [5] * 20 + [9] * 30 + [11] + [2] * 37)  # 11 has one image
    f = r(torch.randn(12, 8)[labels] + torch.randn(100, 8))
    unit = PDDM(8).eval()
    found, _, own = evaluate.evaluate_fully(f, labels, unit)
    assert own["images"].tolist() == [37, 12, 20, 30, 0]
    some = torch.from_numpy(evaluate.evenly(np.arange(100), many))
    for by in ("distance", "score"):
        hits = own[f"{by}_hits"]
        with torch.no_grad():
            S = unit.all_pairs(f) if by == "score" else -torch.cdist(f, f)
        nearest = S.fill_diagonal_(-torch.inf).argmax(1)
        for c, n in zip((2, 3, 5, 9, 11), hits, strict=True):
            assert n == (labels[nearest] == c)[labels == c].sum()
        assert 100 * hits.sum() / 99 == pytest.approx(found[by]["recall_1"])
        y = labels[some]
        same = (y[:, None] == y[None, :]).fill_diagonal_(False)
        for c, p, n in zip(y.unique(), own[f"{by}_positive"], own[f"{by}_negative"], strict=True):
            assert p.sum() == same[y == c].sum()
            assert n.sum() == (y == c).sum() * (y != c).sum()
        p, n = (own[f"{by}_{kind}"].sum(0) for kind in ("positive", "negative"))
        p, n = p / p.sum(), n / n.sum()
        auc = (p * (np.cumsum(n) - n / 2)).sum()
        assert auc == pytest.approx(found[by]["auc"], abs=2e-3)
        assert np.minimum(p, n).sum() == pytest.approx(found[by]["overlap"], abs=0.02)
        # a bin holds as much of the balanced mixture as any other
        assert len(p) == 100 and np.abs((p + n) / 2 - 0.01).max() < 0.01


def test_what_is_kept_for_classes_is_small_and_ties_make_fewer_bins():
    torch.manual_seed(0)
    labels = torch.arange(1200) % 600
    _, _, own = evaluate.evaluate_fully(r(torch.randn(1200, 8)), labels, PDDM(8).eval())
    packed = io.BytesIO()
    np.savez_compressed(packed, **own)
    assert len(packed.getvalue()) < 112_000 and own["score_positive"].shape == (600, 20)
    same = torch.ones(40, 8) / 8**0.5
    _, _, own = evaluate.evaluate_fully(same, torch.arange(40) % 4, PDDM(8).eval())
    assert own["score_negative"].shape[1] <= 2 and own["score_negative"].sum() == 40 * 30


@pytest.mark.parametrize("many", [1000, 60])
@pytest.mark.parametrize("metric", [PDDM, Mahalanobis])
def test_in_a_mix_neighbours_and_pairs_lie_within_a_set(metric, many, monkeypatch):
    torch.manual_seed(2)
    monkeypatch.setattr(evaluate, "MANY", many)
    part = torch.tensor([0] * 40 + [1] * 60)
    labels = torch.arange(100) % 8 + 10 * part
    # the sets lie on top of each other: across them everything would be confused
    f = r(torch.randn(20, 8)[labels % 10] + 0.7 * torch.randn(100, 8))
    unit = metric(8).eval()
    found, tables, own = evaluate.evaluate_fully(f, labels, unit, part)
    some = torch.from_numpy(evaluate.evenly(np.arange(100), many))
    for by, s in (("distance", Euclidean()), ("score", unit)):
        each = [evaluate.evaluate_fully(f[part == p], labels[part == p], unit)[0] for p in (0, 1)]
        want = 0.4 * each[0][by]["recall_1"] + 0.6 * each[1][by]["recall_1"]
        assert found[by]["recall_1"] == pytest.approx(want, abs=1e-9)
        pairs = [
            pair_scores(s.all_pairs(f[own]), labels[own]) for own in (some[part[some] == p]
            for p in (0, 1))
        ]  # fmt: skip
        pooled = separation(*(np.concatenate(x) for x in zip(*pairs, strict=True)))
        got = {k: found[by][k] for k in pooled}
        assert got == pytest.approx(pooled, abs=2e-3 if by == "score" else 1e-6)
        counts = own[f"{by}_positive"].sum() + own[f"{by}_negative"].sum()
        sizes = [int((part[some] == p).sum()) for p in (0, 1)]
        assert counts == sum(n * (n - 1) for n in sizes)
    assert found != evaluate.evaluate_fully(f, labels, unit)[0]
    one = evaluate.evaluate_fully(f, labels, unit, torch.zeros(100))
    assert one[0] == evaluate.evaluate_fully(f, labels, unit)[0]
