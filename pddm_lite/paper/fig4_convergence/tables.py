"""Fig. 4 in words: the gap between the two minings, and the cost of a batch (claim C5)."""

from __future__ import annotations

import pandas as pd

from ..judge import interval
from ..wording import spread, with_interval
from . import cost
from .cost import PAPER_M


def cost_table(costs: pd.DataFrame) -> pd.DataFrame:
    """A row a way: pairs and milliseconds at the paper's m and at the largest measured, exponents.

    Milliseconds are "mean ± standard deviation" over seeds; the exponent of time has its 95 %
    interval.
    """
    p = cost.exponents(costs)
    rows = []
    for way, own in costs.groupby("way", sort=False):
        row = {"way": way}
        for name, m in ((f"m = {PAPER_M}", PAPER_M), ("the largest m", own["m"].max())):
            here = own[own["m"] == m]
            if m != PAPER_M:
                row["largest m"] = m
            row[f"pairs at {name}"] = f"{here['pairs'].iloc[0]:,}"
            row[f"ms at {name}"] = spread(1e3 * here["seconds"], 2)
        exponents = p[p["way"] == way]
        row["exponent of pairs"] = f"{exponents['pairs'].mean():.2f}"
        seconds = exponents["seconds"].dropna()
        row["exponent of CPU time [95 % interval]"] = with_interval(*interval(seconds), 2)
        rows.append(row)
    return pd.DataFrame(rows)
