"""Recall@1..32 by distance: ours against FAISS flat and pytorch-metric-learning, and its memory.

One thread; medians; all rows of a size interleaved in one run. Time is the processor's on a CPU, so
that other programs on it count less, and the clock's on a GPU. FAISS's row is the search of 33
neighbours in its exact flat index alone, without the recall; pytorch-metric-learning's is
AccuracyCalculator's precision at 1 from 32 neighbours (it searches by FAISS). Each is left out
where it is not installed. All answers are compared. Memory is how far a process of its own grew.
"""

from __future__ import annotations

from importlib.util import find_spec

import pandas as pd
import torch
import torch.nn.functional as F
from common import apart, interleaved, peak

from pddm_lite.measures.retrieval import recall_at_k


def data(n: int, d: int, device: str = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
    """Classes of six, as in Stanford Online Products, that overlap."""
    torch.manual_seed(0)
    labels = torch.arange(n) % max(1, n // 6)
    f = torch.randn(max(1, n // 6), d)[labels] + 1.2 * torch.randn(n, d)
    return F.normalize(f, dim=1).to(device), labels.to(device)


def compare(n: int, d: int, repeats: int, device: str) -> list[dict]:
    f, labels = data(n, d, device)
    ways = {"recall_at_k": lambda: recall_at_k(labels, features=f)}
    if find_spec("faiss"):
        import faiss

        faiss.omp_set_num_threads(1)
        x = f.cpu().numpy()

        def flat():
            index = faiss.IndexFlatL2(d)
            index.add(x)
            return index.search(x, 33)[1]

        ways["FAISS flat, k = 33"] = flat
    if find_spec("faiss") and find_spec("pytorch_metric_learning"):
        from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

        calculator = AccuracyCalculator(
            include=("precision_at_1",), k=32, device=torch.device(device)
        )
        ways["AccuracyCalculator"] = lambda: calculator.get_accuracy(f, labels)
    gave = {name: way() for name, way in ways.items()}
    recall = gave["recall_at_k"]
    if "FAISS flat, k = 33" in gave:
        near = torch.from_numpy(gave["FAISS flat, k = 33"])
        itself = near == torch.arange(n)[:, None]
        y = labels.cpu()
        hit = (y[near] == y[:, None]) & ~itself
        first = torch.where(hit.any(1), hit.long().argmax(1), 33)
        for k in recall:  # the query itself comes first
            if abs(100 * (first <= k).double().mean().item() - recall[k]) > 0.05:
                raise AssertionError(f"Recall@{k} differs from FAISS's")
    if "AccuracyCalculator" in gave:
        if abs(100 * gave["AccuracyCalculator"]["precision_at_1"] - recall[1]) > 0.05:
            raise AssertionError("Recall@1 differs from pytorch-metric-learning's")
    ms = interleaved(ways, repeats, device)
    return [
        {
            "way": way,
            "N": n,
            "d": d,
            "s": round(t / 1e3, 3),
            "ours_takes_of_it": round(ms["recall_at_k"] / t, 3),
            "growth_MB": round(growth(n, d)) if way == "recall_at_k" and device == "cpu" else "",
            "device": device,
        }
        for way, t in ms.items()
    ]


def table(
    sizes: tuple[int, ...] = (6000, 20_000, 60_000),
    d: int = 128,
    repeats: int = 3,
    device: str = "cpu",
) -> pd.DataFrame:
    return pd.DataFrame([row for n in sizes for row in compare(n, d, repeats, device)])


def growth(n: int, d: int) -> float:
    """MB by which Recall@1..32 of n items raised the peak of a process, beyond its features."""
    return apart("retrieval", n, d)


def grown(n: int, d: int) -> float:
    torch.set_num_threads(1)
    f, labels = data(n, d)
    recall_at_k(labels[:100] % 9, features=f[:100].clone())
    before = peak()
    recall_at_k(labels, features=f)
    return peak() - before
