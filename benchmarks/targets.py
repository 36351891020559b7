"""What was aimed at, from the benchmarks' tables. What was not measured is listed all the same."""

from __future__ import annotations

import pandas as pd
from common import Target

NAN, NOTHING = float("nan"), pd.DataFrame()


def at(table: pd.DataFrame, column: str, **where: object) -> float:
    """A column's first value in the rows where other columns have these values; nan: none."""
    for name, value in where.items():
        table = table[table[name] == value] if name in table else NOTHING
    value = table[column].iloc[0] if len(table) and column in table else NAN
    return NAN if value == "" else float(value)


def step(table: pd.DataFrame, column: str, m: int) -> float:
    return at(table, column, m=m, quadruplets=1)


def lifted(table: pd.DataFrame, m: int) -> float:
    theirs = at(table, "ms", way="LiftedStructureLoss", m=m)
    return round(theirs / at(table, "ms", way="LiftedStruct", m=m), 1)


def pairs(table: pd.DataFrame, column: str, device: str, by: str, **where: object) -> float:
    """Of the largest N, or on a GPU of the fastest precision: the last by the column `by`."""
    if len(table):
        table = table.sort_values(by, ascending=device != "cpu")
    return at(table, column, way="all_pairs", device=device, d=128, **where)


# benchmark, what was aimed at, wanted, measured by its table, whether that is the least
AIMS = (
    ("step", "PDDM step, m = 64: times the full matrix", 15,
     lambda t: step(t, "times_faster", 64), True),
    ("step", "PDDM step, m = 256: times the full matrix", 200,
     lambda t: step(t, "times_faster", 256), True),
    ("step", "PDDM step, m = 64 to 1024: growth", 10,
     lambda t: round(step(t, "sparse_ms", 1024) / step(t, "sparse_ms", 64), 1), False),
    ("losses", "LiftedStruct, m = 64: times PML's", 40, lambda t: lifted(t, 64), True),
    ("losses", "LiftedStruct, m = 256: times PML's", 1000, lambda t: lifted(t, 256), True),
    ("ncm", "NCM, 10,000 classes, d = 4,096: share of the product rate", 0.7,
     lambda t: min(at(t, "share_of_product", way=f"search, k = {k}", classes=10_000, d=4096)
                   for k in (1, 5)), True),
    ("ncm", "NCM, means of 1,000,000 x 128: GB", 1, lambda t: t.attrs.get("GB", NAN), False),
    ("allpairs", "All pairs: times the plain way", 8,
     lambda t: pairs(t, "times_plain", "cpu", "N"), True),
    ("allpairs", "All pairs: share of the product rate", 0.6,
     lambda t: pairs(t, "share_of_product", "cpu", "N"), True),
    ("allpairs", "All pairs: MB beyond the result", 200, lambda t: t.attrs.get("MB", NAN), False),
    ("allpairs", "H200, all pairs of 5,924: ms", 20,
     lambda t: pairs(t, "ms", "cuda", "ms", N=5924), False),
    ("allpairs", "H200, all pairs of 60,502: s", 2,
     lambda t: pairs(t, "ms", "cuda", "ms", N=60502) / 1e3, False),
    ("allpairs", "H200, all pairs of 5,924: times eager", 10,
     lambda t: pairs(t, "times_tiles", "cuda", "ms", N=5924), True),
    ("retrieval", "Recall@K, N = 60,000: of FAISS flat's time", 1.3,
     lambda t: at(t, "ours_takes_of_it", way="FAISS flat, k = 33", N=60_000), False),
    ("retrieval", "Recall@K, N = 60,000: GB", 1.3,
     lambda t: round(at(t, "growth_MB", way="recall_at_k", N=60_000) / 1024, 2), False),
)  # fmt: skip


def targets(tables: dict[str, pd.DataFrame]) -> list[Target]:
    """Every target; nan where its benchmark was left out or had other sizes."""
    return [
        Target(what, wanted, measured(tables.get(name, NOTHING)), least)
        for name, what, wanted, measured, least in AIMS
    ]
