"""Nearest class means against the matrix product they rest on, and the memory of streamed means.

One thread; medians; all rows interleaved in one run. Time is the processor's on a CPU, so that
other programs on it count less, and the clock's on a GPU. The reference is one torch.mm of the same
queries and means, whose result is thrown away: no distance, no top-k. Answers are checked against
the full matrix of distances. Memory is how far the process grew while a million 128-d features
were streamed into the means of as many classes.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from common import apart, interleaved, peak

from pddm_lite.measures.ncm import accuracy, class_means, search


def table(queries=1024, classes=10_000, d=4096, repeats=5, device="cpu") -> pd.DataFrame:
    """way, milliseconds, Gflop a second and the share of the matrix product's rate."""
    torch.manual_seed(0)
    means = torch.randn(classes, d, device=device)
    y = torch.randint(classes, (queries,), device=device)
    x = means[y] + 3 * torch.randn(queries, d, device=device)
    labels = y.cpu().numpy()
    few = x[:100]
    near = torch.cdist(few, means, compute_mode="donot_use_mm_for_euclid_dist").argmin(1)
    if (search(few, means, 5).index[:, 0] != near).any():
        raise AssertionError("the nearest means differ from those of the full matrix")
    ways = {
        "matrix product": lambda: torch.mm(x, means.T),
        "search, k = 1": lambda: search(x, means, 1),
        "search, k = 5": lambda: search(x, means, 5),
        "accuracy, top 1 and 5": lambda: accuracy(x, labels, means),
    }
    ms = interleaved(ways, repeats, device)
    seen = pd.DataFrame({"way": list(ms), "ms": [round(v, 1) for v in ms.values()]})
    flop = 2 * queries * classes * d
    seen["Gflop_per_s"] = [round(flop / v / 1e6, 1) for v in ms.values()]
    seen["share_of_product"] = [round(ms["matrix product"] / v, 3) for v in ms.values()]
    return seen.assign(queries=queries, classes=classes, d=d, device=device)


def growth(classes: int = 10_000) -> float:
    """MB by which streaming a million features into class means raised the peak of a process."""
    return apart("ncm", classes)


class Drawn:
    """Features [n, d] that are drawn when they are read."""

    def __init__(self, n: int, d: int):
        self.shape, self.rng = (n, d), np.random.default_rng(0)

    def __getitem__(self, rows: slice) -> np.ndarray:
        n = len(range(*rows.indices(self.shape[0])))
        return self.rng.standard_normal((n, self.shape[1]), dtype=np.float32)


def grown(classes: int, n: int = 1_000_000, d: int = 128, batch: int = 10_000) -> float:
    before = peak()
    class_means(Drawn(n, d), np.arange(n) % classes, classes, chunk=batch).sum()
    return peak() - before
