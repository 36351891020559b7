"""The benchmarks of all pairs and Recall@K run, check their answers, and compare what they say."""

import importlib.util

import pytest
import torch


def test_all_pairs_table(bench, monkeypatch):
    module = bench("allpairs")
    table = module.table(d=8, sizes=(64, 96), repeats=1)
    assert len(table) == 2 * 3 and set(table.N) == {64, 96}
    assert (table.ms > 0).all() and (table.share_of_product > 0).all()
    assert (table[table.way == "plain, 64 rows"].times_plain == 1).all()
    assert 0 < float(table.largest_difference[0]) < 1e-5
    monkeypatch.setattr(module, "plain", lambda unit, f: torch.zeros(len(f), len(f)))
    with pytest.raises(AssertionError, match="differs from float64"):
        module.table(d=8, sizes=(64,), repeats=1)


def test_retrieval_table(bench, monkeypatch):
    module = bench("retrieval")
    monkeypatch.setattr(module, "growth", lambda n, d: 7.4)
    table = module.table(sizes=(120,), d=8, repeats=1)
    assert table.way[0] == "recall_at_k" and table.growth_MB[0] == 7
    assert table.ours_takes_of_it[0] == 1 and (table.s >= 0).all()
    if importlib.util.find_spec("faiss"):
        assert "FAISS flat, k = 33" in set(table.way)
        wrong = lambda *a, **k: dict.fromkeys((1, 32), 0.0)  # noqa: E731
        monkeypatch.setattr(module, "recall_at_k", wrong)
        with pytest.raises(AssertionError, match="differs"):
            module.table(sizes=(120,), d=8, repeats=1)
