"""Tasks of zero-shot recognition: random ones, and one of the synthetic world."""

import numpy as np
import pytest
import torch

from pddm_lite.data.synthetic import FAMILIES, ORDERS, geometry
from pddm_lite.paper.table2_zero_shot.hierarchy import Hierarchy, taxonomy
from pddm_lite.paper.table2_zero_shot.zero_shot import Task


def _random_task(seed, nodes=30, seen=9, unseen=7):
    rng = np.random.default_rng(seed)
    pairs = [
        (f"n{p}", f"n{c}")
        for c in range(1, nodes)
        for p in rng.choice(c, size=min(c, 1 + int(rng.random() < 0.3)), replace=False)
    ]
    names = [f"n{i}" for i in rng.permutation(np.arange(3, nodes))]
    means = torch.from_numpy(rng.normal(size=(seen, 4)))
    t = Task(Hierarchy(pairs), tuple(names[:seen]), tuple(names[seen : seen + unseen]), means)
    return t, rng


def _birds(shift=0):
    """100 species, 20 of them unseen, one a family; the unseen ones' families moved by `shift`."""
    g = geometry("birds", species=100, images=10, seed=1)
    x, y = torch.from_numpy(g.latents), torch.from_numpy(g.labels)
    family = [f if c < 80 else (f + shift) % FAMILIES for c, f in enumerate(g.families.tolist())]
    names = [f"species {c}" for c in range(100)]
    h = taxonomy("birds", names, [f"family {f}" for f in family], [f"{f % ORDERS}" for f in family])
    means = torch.stack([x[y == c].mean(dim=0) for c in range(80)])
    seen = y < 80
    t = Task(h, tuple(names[:80]), tuple(names[80:]), means, x[seen], y[seen])
    return t, x[~seen], y[~seen] - 80


@pytest.fixture(scope="session")
def random_task():
    return _random_task


@pytest.fixture(scope="session")
def birds():
    return _birds
