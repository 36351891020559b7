"""S of all pairs: ours against the plain implementation and the machine's matrix-product rate.

"plain" scores 64 rows at a time against all N by the forward pass of Eq. 2. The share is of the
time that 6 d^2 operations a pair, N (N + 1) / 2 pairs, take at the rate measured in the same run:
on a CPU of torch.mm of [1024, d] and [d, d] in float32, on a GPU of two 8192 x 8192 matrices in the
row's own precision. Memory is how far a process of its own grew beyond the result. Random features
and weights serve for timing; before it, every way's scores are checked against float64.

On an H200 (two minutes, most of it the plain code; one run) `run.py --device cuda --only allpairs`
checks the kernel in all three precisions against float64, then times it and the eager torch code at
the sizes of CUB-200-2011's and Stanford Online Products' test sets: at most 20 ms and 2 s are
wanted, and at least 10 times the eager code. The kernel's own tests there, minutes for compiling:

    python -m pytest -q tests/measures/test_kernels.py tests/measures/test_allpairs.py
"""

from __future__ import annotations

import pandas as pd
import torch
import torch.nn.functional as F
from common import apart, interleaved, peak

from pddm_lite.measures import allpairs
from pddm_lite.measures.tiles import Tiles
from pddm_lite.pddm import PDDM

# largest difference of a score from float64's; S itself has a standard deviation of about 0.01
ALLOWED = {"float32": 1e-5, "tf32": 1e-3, "bf16": 1e-2}


def plain(unit: PDDM, f: torch.Tensor) -> torch.Tensor:
    n = len(f)
    S = f.new_empty(n, n)
    with torch.no_grad():
        for a in range(0, n, 64):
            rows = f[a : a + 64]
            every = rows[:, None].expand(-1, n, -1), f[None].expand(len(rows), -1, -1)
            S[a : a + 64] = unit(*every)
    return S


def eager(unit: PDDM, f: torch.Tensor) -> torch.Tensor:
    """all_pairs without the fused kernel."""
    return allpairs.all_pairs(unit, f, kernel=False)


def product_rate(precision: str, d: int, device: str) -> float:
    """Operations a second of torch.mm on this machine."""
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    m, k, n = (1024, d, d) if device == "cpu" else (8192, 8192, 8192)
    A, B = (torch.randn(s, device=device, dtype=kind) for s in ((m, k), (k, n)))
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    ms = interleaved({"mm": lambda: torch.mm(A, B)}, 3, device)["mm"]
    torch.set_float32_matmul_precision(before)
    return 2 * m * k * n / (1e-3 * ms)


def difference(S: torch.Tensor, unit: PDDM, f: torch.Tensor) -> float:
    exact = PDDM(f.shape[1]).to(f.device).double()
    exact.load_state_dict(unit.state_dict())
    return (S.double() - Tiles(exact, f.double(), tile=64).strip(0, len(f))).abs().max().item()


def table(
    d: int = 128,
    sizes: tuple[int, ...] = (1024,),
    repeats: int = 5,
    device: str = "cpu",
) -> pd.DataFrame:
    on_gpu = device != "cpu"
    torch.manual_seed(0)
    unit = PDDM(d).eval().to(device)
    how = {"threads": 1}
    S_of = {
        ("plain, 64 rows", "float32"): plain,
        ("tiles of torch", "float32"): eager,
        ("all_pairs", "float32"): lambda u, f: allpairs.all_pairs(u, f, **how),
    }
    if on_gpu:
        for p in ("tf32", "bf16"):
            S_of["all_pairs", p] = lambda u, f, p=p: allpairs.all_pairs(u, f, precision=p)
    else:
        S_of.pop(("tiles of torch", "float32"))  # which is all_pairs
    small = F.normalize(torch.randn(333, d, device=device), dim=1)
    small[3], small[4], small[5] = 0, small[1], 0
    gaps = {way: difference(S(unit, small), unit, small) for way, S in S_of.items()}
    for (way, precision), gap in gaps.items():
        if gap > ALLOWED[precision]:
            raise AssertionError(f"{way} in {precision} differs from float64 by {gap:.1e}")
    rates = {p: product_rate(p, d, device) for p in {p for _, p in S_of}}
    rows = []
    for n in sizes:
        f = F.normalize(torch.randn(n, d, device=device), dim=1)
        labels = torch.arange(n, device=device) % max(1, n // 6)
        ways = {}
        slow = [way for way in S_of if way[0].startswith(("plain", "tiles")) and n > 10_000]
        for way, S in S_of.items():
            if not (way[0].startswith("plain") and n > 10_000):
                ways[way] = lambda S=S, f=f: S(unit, f)
        for precision in ("float32", "bf16") if on_gpu else ("float32",):
            ways["ranks of best positive", precision] = lambda f=f, y=labels, p=precision: (
                allpairs.ranks_of_best_positive(unit, f, y, precision=p, **how)
            )
        once = interleaved({w: ways.pop(w) for w in slow if w in ways}, 1, device)
        ms = once | interleaved(ways, repeats, device)
        operations = 6 * d * d * n * (n + 1) / 2
        for (way, precision), t in ms.items():
            s = 1e-3 * t
            rows.append(
                {
                    "way": way,
                    "precision": precision,
                    "N": n,
                    "ms": round(t, 2),
                    "million_pairs_per_s": round(n * (n + 1) / 2e6 / s, 2),
                    "Gflop_per_s": round(operations / s / 1e9, 1),
                    "share_of_product": round(operations / s / rates[precision], 3),
                    "product_Gflop_per_s": round(rates[precision] / 1e9, 1),
                }
            )
            for base in ("plain, 64 rows", "tiles of torch"):
                if (base, "float32") in ms:
                    times = round(ms[base, "float32"] / t, 2)
                    rows[-1]["times_" + base.split()[0].strip(",")] = times
            gap = gaps.get((way, precision))
            rows[-1]["largest_difference"] = "" if gap is None else f"{gap:.1e}"
    return pd.DataFrame(rows).assign(d=d, device=device)


def growth(n: int = 3072, d: int = 128) -> float:
    """MB by which all_pairs of n items raised the peak of a process, with its result."""
    return apart("allpairs", n, d)


def grown(n: int, d: int) -> float:
    torch.set_num_threads(1)
    unit = PDDM(d).eval()
    unit.all_pairs(torch.randn(64, d))
    f = F.normalize(torch.randn(n, d), dim=1)
    before = peak()
    unit.all_pairs(f)
    return peak() - before
