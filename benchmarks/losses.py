"""Our losses against pytorch-metric-learning's (PML): mine, loss, backward on features [m, 128].

One thread; medians; all ways interleaved in one run; 4 images a class. Both sides normalise the
features themselves, but for LiftedStruct, whose embedding is free. PML has no PDDM and no
quadruplet; what stands beside ours is its nearest kin. LiftedStruct alone is the same function, at
PML's neg_margin = 1, pos_margin = 0 and no normalisation: its mean over the ordered positive pairs
is ours over the unordered ones, with no factor between. Value and gradient are compared first.
"""

from __future__ import annotations

import pandas as pd
import torch
from common import interleaved

from pddm_lite.methods import METHODS, build_similarity, objective
from pddm_lite.pddm import r
from pddm_lite.training.experiments import make

SIZES = (64, 128, 256, 512, 1024)
OURS = ("PDDM+Quadruplet", "Euclidean+Quadruplet", "Triplet", "LiftedStruct", "Contrastive")
HARD, SEMI = "BatchHardMiner + TripletMarginLoss", "TripletMarginMiner + TripletMarginLoss"
LIFTED, MULTI = "LiftedStructureLoss", "MultiSimilarityLoss"
# its matrices of positive x negative pairs grow with m^3: 9 GB and a minute a step at 512
MOST = {LIFTED: 256}


def rivals() -> dict:
    """PML's losses as functions of (features, labels); none where it is not installed."""
    try:
        from pytorch_metric_learning import distances as D
        from pytorch_metric_learning import losses as L
        from pytorch_metric_learning import miners as M
    except ImportError:
        return {}
    hard, semi = M.BatchHardMiner(), M.TripletMarginMiner(0.2, type_of_triplets="semihard")
    triplet = L.TripletMarginLoss(0.2)
    return {
        HARD: lambda x, y: triplet(x, y, hard(x, y)),
        SEMI: lambda x, y: triplet(x, y, semi(x, y)),
        LIFTED: L.LiftedStructureLoss(distance=D.LpDistance(normalize_embeddings=False)),
        MULTI: L.MultiSimilarityLoss(),
    }


def ours(method: str, d: int, device: str):
    """A method of ours as a function of (features, labels), the paper's letter, without dropout."""
    e = make("letter", data="made up", method=method, embedding_size=d, dropout=0.0)
    similarity = build_similarity(e).to(device)
    parameters = list(similarity.parameters())
    unit = (lambda x: x) if METHODS[method].free else r

    def loss(x, y):
        for p in parameters:
            p.grad = None
        return objective(unit(x), y, similarity, e).loss

    return loss


def batch(m: int, d: int, device: str):
    torch.manual_seed(m)  # of length 1 or so, which is LiftedStruct's margin
    raw = torch.randn(m, d) / d**0.5
    return raw.to(device), torch.arange(m // 4, device=device).repeat_interleave(4)


def differs(m: int, d: int, device: str = "cpu") -> float:
    """Largest relative difference, value or gradient, of our LiftedStruct and PML's."""
    raw, y = batch(m, d, device)
    seen = []
    for loss_of in (ours("LiftedStruct", d, device), rivals()[LIFTED]):
        x = raw.clone().requires_grad_()
        value = loss_of(x, y)
        seen.append((value.detach(), *torch.autograd.grad(value, x)))
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(*seen, strict=True))


def table(sizes=SIZES, d=128, repeats=5, device="cpu") -> pd.DataFrame:
    """side ("ours" or "PML"), way, m, ms (nan: not run): a row a loss and size."""
    sides = [("ours", name, ours(name, d, device)) for name in OURS]
    sides += [("PML", name, loss) for name, loss in rivals().items()]
    if rivals() and (most := max(differs(m, d, device) for m in sizes if m <= MOST[LIFTED])) > 1e-5:
        raise AssertionError(f"LiftedStruct and {LIFTED} differ by a share of {most:.1e}")

    def step(loss_of, m: int):
        raw, y = batch(m, d, device)
        return lambda: loss_of(raw.clone().requires_grad_(), y).backward()

    ways = {
        (side, name, m): step(loss, m)
        for m in sizes
        for side, name, loss in sides
        if m <= MOST.get(name, m)
    }
    ms = interleaved(ways, repeats, device)
    rows = [(side, name, m, ms.get((side, name, m))) for side, name, _ in sides for m in sizes]
    return pd.DataFrame(rows, columns=["side", "way", "m", "ms"]).round({"ms": 3}).assign(d=d)


def wide(table: pd.DataFrame) -> pd.DataFrame:
    """The table to be read: a row a loss, a column a size, milliseconds."""
    by = table.set_index(["side", "way", "m"])["ms"].unstack("m")
    order = table[["side", "way"]].drop_duplicates()
    return order.merge(by.reset_index())
