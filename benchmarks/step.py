"""Time of one PDDM training step without the network: ours against the full m x m matrix.

    python benchmarks/step.py [--d 128] [--sizes 64,128,256] [--repeats 5] [--out FILE.csv]

Mine, losses, backward; one thread; medians; both sides interleaved in one run. "full" scores every
ordered pair of the batch by Eq. 2 with gradient and picks the quadruplet from that matrix, as a
straightforward implementation does; "sparse" is the kit's. Both give the same loss (checked).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import pandas as pd
import torch

from pddm_lite.experiments import make
from pddm_lite.losses import distance, double_header, scale
from pddm_lite.methods import objective
from pddm_lite.pddm import PDDM, r
from pddm_lite.store import environment, write_text


def full_matrix_loss(f, labels, unit, e):
    """E_m + lambda E_e of the hardest quadruplet(s), from the full matrix with gradient."""
    m = len(f)
    a, b = torch.meshgrid(torch.arange(m), torch.arange(m), indexing="ij")
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


def timed(step, repeats):
    """Median milliseconds of step() and its last value, after one warm-up."""
    step()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        value = step()
        times.append(1e3 * (time.perf_counter() - began))
    return statistics.median(times), value


def compare(m: int, d: int, quadruplets: int, repeats: int) -> dict:
    torch.manual_seed(0)
    e = make(
        "letter", data="made up", method="PDDM+Quadruplet", dropout=0.0, quadruplets=quadruplets
    )
    unit = PDDM(d, dropout=0.0)
    labels = torch.arange(m // 4).repeat_interleave(4)
    raw = torch.randn(m, d)

    def step(loss_of):
        x = raw.clone().requires_grad_()
        unit.zero_grad()
        loss = loss_of(r(x))
        loss.backward()
        return loss.item()

    sparse, a = timed(lambda: step(lambda f: objective(f, labels, unit, e).loss), repeats)
    full, b = timed(lambda: step(lambda f: full_matrix_loss(f, labels, unit, e)), repeats)
    if abs(a - b) > 1e-4:
        raise AssertionError(f"the two losses differ: {a} and {b}")
    return {
        "m": m,
        "d": d,
        "quadruplets": quadruplets or "all",
        "full_ms": round(full, 2),
        "sparse_ms": round(sparse, 2),
        "times_faster": round(full / sparse, 1),
    }


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--d", type=int, default=128)
    p.add_argument("--sizes", default="64,128,256")
    p.add_argument("--repeats", type=int, default=5)
    p.add_argument("--out", default="")
    args = p.parse_args()
    torch.set_num_threads(1)
    rows = [
        compare(int(m), args.d, q, args.repeats) for m in args.sizes.split(",") for q in (1, 16, 0)
    ]
    table = pd.DataFrame(rows)
    print(table.to_string(index=False))
    if args.out:
        made = {k: v for k, v in environment().items() if k in ("cpu", "torch", "commit")}
        made["command"] = " ".join(["python", "benchmarks/step.py", *sys.argv[1:]])
        write_text(Path(args.out), table.to_csv(index=False, lineterminator="\n"))
        write_text(Path(args.out).with_suffix(".json"), json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
