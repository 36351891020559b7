"""Where the time of a PDDM step goes: what the targets of step.py rest on.

    python benchmarks/parts.py [--d 128] [--sizes 64,256,1024] [--repeats 5] [--device cpu]
                               [--out FILE.csv]

One thread; medians; interleaved. A step mines one quadruplet and goes forward and backward through
its three pairs. Beside it, alone: r(f) forward and backward, the mining, and the bare matrix
products that the mining cannot do without (W_v once an item; W_u and W_c once a pair). What is left
of the step is the loss forward and backward: some hundred small calls whose number does not depend
on m. `operators` counts what torch calls in a step, nested calls included.
"""

from __future__ import annotations

import common
import pandas as pd
import torch
from common import interleaved
from step import sparse_loss, stepper
from torch.profiler import ProfilerActivity, profile

from pddm_lite.mining import hard_quadruplets
from pddm_lite.pddm import PDDM, r

SIZES = (64, 256, 1024)


def operators(step) -> int:
    """How often torch calls an operator in one step."""
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        step()
    return sum(e.count for e in seen.key_averages() if e.key.startswith("aten::"))


def ways(m: int, d: int, device: str) -> dict:
    """name -> a call of that part on m random features."""
    torch.manual_seed(0)
    unit, raw = PDDM(d, dropout=0.0).to(device).eval(), torch.randn(m, d).to(device)
    labels = torch.arange(m // 4, device=device).repeat_interleave(4)
    f = r(raw)
    scored = 3 * m // 2, 2 * (m - 4)  # positive pairs, negatives of i and of j
    inputs = [torch.randn(P, d, device=device) for P in scored]
    both = [torch.randn(P, 2 * d, device=device) for P in scored]

    def normalise():
        r(raw.clone().requires_grad_()).sum().backward()

    @torch.no_grad()
    def products():
        f @ unit.W_v.weight.T
        for u, branches in zip(inputs, both, strict=True):
            u @ unit.W_u.weight.T
            branches @ unit.W_c.weight.T

    return {
        "step": stepper(sparse_loss, m, d, 1, device),
        "r(f)": normalise,
        "mining": lambda: hard_quadruplets(f, labels, unit, 1),
        "its matrix products": products,
    }


def table(sizes=SIZES, d=128, repeats=5, device="cpu") -> pd.DataFrame:
    """A row a size: milliseconds of the step and its parts, and torch's calls."""
    calls = {(m, name): way for m in sizes for name, way in ways(m, d, device).items()}
    counts = {m: operators(calls[m, "step"]) for m in sizes}
    ms = interleaved(calls, repeats, device)
    rows = []
    for m in sizes:
        step, normalise, mining, products = (ms[m, name] for name in ways(m, d, device))
        row = {"m": m, "step_ms": step, "r(f)_ms": normalise, "mining_ms": mining}
        row |= {"matrix products of mining_ms": products}
        row |= {"loss and backward_ms": step - normalise - mining}
        rows.append({k: round(v, 2) for k, v in row.items()} | {"operators": counts[m]})
    return pd.DataFrame(rows)


if __name__ == "__main__":
    common.alone(__file__, __doc__, table)
