"""Time of one PDDM training step without the network: ours against the full m x m matrix.

    python benchmarks/step.py [--compile]

Mine, losses, backward; one thread; medians; everything interleaved in one run. "full" scores every
ordered pair of the batch by Eq. 2 with gradient and picks the quadruplet from that matrix, as a
straightforward implementation does; "sparse" is the kit's. Both give the same loss (checked).
The full matrix stops at m = 256, where a step takes 0.5 GB; at 512 it is 2 GB and 5 s.
--compile times the sparse step of one quadruplet under torch.compile as well.
"""

from __future__ import annotations

import sys

import pandas as pd
import torch
from common import NOT_RUN, interleaved

from pddm_lite.losses import distance, double_header, scale
from pddm_lite.methods import objective
from pddm_lite.pddm import PDDM, r
from pddm_lite.training.experiments import make

SIZES = (64, 128, 256, 512, 1024)
QUADRUPLETS = (1, 16, 0)  # 0: one for every positive pair
MOST_FULL = 256  # largest m whose full matrix, or every quadruplet, is measured


def full_matrix_loss(f, labels, unit, e):
    """E_m + lambda E_e of the hardest quadruplet(s), from the full matrix with gradient."""
    m = len(f)
    at = torch.arange(m, device=f.device)
    a, b = torch.meshgrid(at, at, indexing="ij")
    S = unit(f[a.flatten()], f[b.flatten()]).view(m, m)
    same = labels[:, None] == labels[None, :]
    i, j = torch.nonzero(same.triu(1), as_tuple=True)
    if e.quadruplets:
        hardest = S[i, j].argsort(stable=True)[: e.quadruplets]
        i, j = i[hardest], j[hardest]
    negatives = S.masked_fill(same, -torch.inf)
    k, l = negatives[i].argmax(1), negatives[j].argmax(1)
    # the range over the graph that the sparse miner scores
    graph = torch.zeros_like(same)
    graph[i] = graph[j] = True
    graph = (graph & ~same) | same.triu(1)
    low, high = S[graph].min().detach(), S[graph].max().detach()
    S_ij, S_ik, S_jl = (scale(s, low, high) for s in (S[i, j], S[i, k], S[j, l]))
    D_ij, D_ik, D_jl = distance(f[i], f[j]), distance(f[i], f[k]), distance(f[j], f[l])
    E_m = double_header(S_ij, S_ik, S_jl, e.alpha)
    return E_m + e.lam * double_header(-D_ij, -D_ik, -D_jl, e.beta)


def sparse_loss(f, labels, unit, e):
    return objective(f, labels, unit, e).loss


def stepper(loss_of, m: int, d: int, quadruplets: int, device: str):
    """A function that makes one step on m fixed random features and returns the loss."""
    torch.manual_seed(0)
    e = make(
        "letter", data="made up", method="PDDM+Quadruplet", dropout=0.0, quadruplets=quadruplets
    )
    unit = PDDM(d, dropout=0.0).to(device)
    labels = torch.arange(m // 4, device=device).repeat_interleave(4)
    raw = torch.randn(m, d).to(device)

    def step() -> float:
        x = raw.clone().requires_grad_()
        unit.zero_grad()
        loss = loss_of(r(x), labels, unit, e)
        loss.backward()
        return loss.item()

    return step


def table(sizes=SIZES, d=128, repeats=5, device="cpu", compiled=False) -> pd.DataFrame:
    """m, d, quadruplets (a number or "all"), milliseconds of each side (nan: not run), ratio."""
    ways = {"full": full_matrix_loss, "sparse": sparse_loss}
    if compiled:
        ways["compiled"] = torch.compile(sparse_loss)
    steps = {
        (m, q, way): stepper(loss_of, m, d, q, device)
        for m in sizes
        for q in QUADRUPLETS
        for way, loss_of in ways.items()
        if (m <= MOST_FULL or (q and way != "full")) and (q == 1 or way != "compiled")
    }
    for (m, q, way), step in steps.items():
        if way != "sparse" and abs(step() - steps[m, q, "sparse"]()) > 1e-4:
            raise AssertionError(f"m = {m}, {q} quadruplets: the losses of {way} and sparse differ")
    ms = interleaved(steps, repeats, device)
    rows = []
    for m, q in dict.fromkeys(key[:2] for key in steps):
        row = {"m": m, "d": d, "quadruplets": q or "all"}
        row |= {f"{way}_ms": round(ms.get((m, q, way), float("nan")), 2) for way in ways}
        rows.append(row | {"times_faster": round(row["full_ms"] / row["sparse_ms"], 1)})
    return pd.DataFrame(rows)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(table(compiled="--compile" in sys.argv).to_string(index=False, na_rep=NOT_RUN))
