"""What was aimed at for class means, all pairs and Recall@K, from their benchmarks' tables.

step.py and losses.py hold their own. A target that was not measured is listed all the same.
"""

from __future__ import annotations

import math

import pandas as pd
from common import Target

NAN = float("nan")


def _first(values: pd.Series) -> float:
    return float(values.iloc[0]) if len(values) else NAN


def allpairs(table: pd.DataFrame, beyond_mb: float = NAN) -> list[Target]:
    """From way, precision, N, d, ms, share_of_product, times_plain, times_tiles, device.

    beyond_mb: how much memory all_pairs took besides the result, in MB. The CPU's targets are
    those of float32, d = 128 and the largest N; the GPU's those of the fastest precision, named.
    """
    cpu = gpu = table.iloc[:0]
    if len(table):
        own = table[table["way"] == "all_pairs"]
        gpu = own[own["device"] != "cpu"].sort_values("ms")
        cpu = own[(own["device"] == "cpu") & (own["d"] == 128)].sort_values("N", ascending=False)
    empty = pd.Series(dtype=float)

    def on_gpu(n: int, column: str) -> tuple[str, float]:
        at = gpu[gpu["N"] == n] if len(gpu) else gpu
        named = f" ({at['precision'].iloc[0]})" if len(at) else ""
        return named, _first(at.get(column, empty))

    cub, cub_ms = on_gpu(5924, "ms")
    sop, sop_ms = on_gpu(60502, "ms")
    _, eager = on_gpu(5924, "times_tiles")
    return [
        Target("All pairs: times the plain way", 8, _first(cpu.get("times_plain", empty))),
        Target(
            "All pairs: share of the product rate", 0.6, _first(cpu.get("share_of_product", empty))
        ),
        Target("All pairs: MB beyond the result", 200, beyond_mb, least=False),
        Target(f"H200, all pairs of 5,924: ms{cub}", 20, cub_ms, least=False),
        Target(f"H200, all pairs of 60,502: s{sop}", 2, sop_ms / 1e3, least=False),
        Target(f"H200, all pairs of 5,924: times eager{cub}", 10, eager),
    ]


def ncm(table: pd.DataFrame, streamed_gb: float = NAN) -> list[Target]:
    """From way, share_of_product, classes, d. streamed_gb: beside a million features' means."""
    at = table[table["way"].str.contains(", k = ")] if len(table) else table
    at = at[(at["classes"] == 10_000) & (at["d"] == 4096)]["share_of_product"] if len(at) else at
    share = float(at.min()) if len(at) else NAN
    return [
        Target("NCM, 10,000 classes, d = 4,096: share of the product rate", 0.7, share),
        Target("NCM, means of 1,000,000 x 128: GB", 1, streamed_gb, least=False),
    ]


def retrieval(table: pd.DataFrame) -> list[Target]:
    """From way, N, ours_takes_of_it, growth_MB."""
    at = table[table["N"] == 60_000] if len(table) else table
    faiss = at[at["way"].str.startswith("FAISS")]["ours_takes_of_it"] if len(at) else at
    ours = at[at["way"] == "recall_at_k"]["growth_MB"] if len(at) else at
    gb = pd.to_numeric(ours, errors="coerce") / 1024 if len(ours) else ours
    share, most = _first(faiss), _first(gb)
    return [
        Target("Recall@K, N = 60,000: of FAISS flat's time", 1.3, share, least=False),
        Target(
            "Recall@K, N = 60,000: GB",
            1.3,
            most if math.isnan(most) else round(most, 2),
            least=False,
        ),
    ]
