"""Recall@1..32 by distance: ours against FAISS flat and pytorch-metric-learning, and its memory.

    python benchmarks/retrieval.py [--sizes 6000,20000,60000] [--d 128] [--repeats 3]
                                   [--device cpu] [--out FILE.csv]

One thread; medians; all rows of a size interleaved in one run. Time is the processor's on a CPU, so
that other programs on it count less, and the clock's on a GPU. FAISS's row is the search of 33
neighbours in its exact flat index alone, without the recall; pytorch-metric-learning's is
AccuracyCalculator's precision at 1 from 32 neighbours (it searches by FAISS). Each is left out
where it is not installed. All answers are compared. Memory is how far a process of its own grew.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from common import apart, peak

from pddm_lite.measures.retrieval import nearest, recall_at_k
from pddm_lite.store.files import write_text
from pddm_lite.store.store import environment


def data(n: int, d: int, device: str = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
    """Classes of six, as in Stanford Online Products, that overlap."""
    torch.manual_seed(0)
    labels = torch.arange(n) % max(1, n // 6)
    f = torch.randn(max(1, n // 6), d)[labels] + 1.2 * torch.randn(n, d)
    return F.normalize(f, dim=1).to(device), labels.to(device)


def interleaved(ways: dict, repeats: int, device: str) -> tuple[dict, dict]:
    """Median seconds of each way, after one warm-up, one of each in turn; and what it gave."""
    on_gpu = device.startswith("cuda")
    clock = time.perf_counter if on_gpu else time.process_time
    times, gave = {name: [] for name in ways}, {}
    for turn in range(repeats + 1):
        for name, way in ways.items():
            began = clock()
            gave[name] = way()
            if on_gpu:
                torch.cuda.synchronize()
            if turn:
                times[name].append(clock() - began)
    return {name: statistics.median(t) for name, t in times.items()}, gave


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
    seconds, gave = interleaved(ways, repeats, device)
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
    ours = seconds["recall_at_k"]
    return [
        {
            "way": way,
            "N": n,
            "d": d,
            "s": round(s, 3),
            "ours_takes_of_it": round(ours / s, 3),
            "growth_MB": round(growth(n, d)) if way == "recall_at_k" and device == "cpu" else "",
            "device": device,
        }
        for way, s in seconds.items()
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
    nearest(f[:1024], 33)
    return peak() - before


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--sizes", default="6000,20000,60000")
    p.add_argument("--d", type=int, default=128)
    p.add_argument("--repeats", type=int, default=3)
    p.add_argument("--device", default="cpu")
    p.add_argument("--out", default="")
    args = p.parse_args()
    torch.set_num_threads(1)
    sizes = tuple(int(n) for n in args.sizes.split(","))
    result = table(sizes, args.d, args.repeats, args.device)
    print(result.to_string(index=False))
    if args.out:
        made = {k: v for k, v in environment(args.device).items() if k in ("cpu", "gpu", "torch")}
        made["command"] = " ".join(["python", "benchmarks/retrieval.py", *sys.argv[1:]])
        write_text(Path(args.out), result.to_csv(index=False, lineterminator="\n"))
        write_text(Path(args.out).with_suffix(".json"), json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
