"""Fig. 4 in words: the gap between the two minings, and the cost of a batch (claim C5)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..judge import interval
from ..questions import EUCLIDEAN, PDDM
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


def cost_sentences(costs: pd.DataFrame) -> str:
    """The same in words: what is scored, what it takes, and where the curves cross."""
    at = costs[costs["m"] == PAPER_M].groupby("way")[["pairs", "seconds"]].mean()
    pairs, ms = at["pairs"], 1e3 * at["seconds"]
    p = cost.exponents(costs).groupby("way")["seconds"].mean()
    meets = cost.level(costs)
    below = (
        f"LiftedStruct is the cheaper below m = {meets:.0f}, PDDM above"
        if np.isfinite(meets)
        else "up to the largest m measured they do not cross"
    )
    return (
        f"One quadruplet at m = {PAPER_M}: {pairs[cost.PDDM]:,.0f} of {pairs[cost.LIFTED]:,.0f} "
        f"pairs are scored; every positive pair: {pairs[cost.EVERY]:,.0f}.\n"
        f"A step takes PDDM {ms[cost.PDDM]:.1f} ms with one quadruplet and LiftedStruct "
        f"{ms[cost.LIFTED]:.1f} ms of CPU time at m = {PAPER_M}; {below}.\n"
        f"The kit's recipe, every positive pair, takes {ms[cost.EVERY]:.1f} ms. Beside a fixed "
        f"cost its time grows with m to the power {p[cost.EVERY]:.1f}, that of one quadruplet "
        f"{p[cost.PDDM]:.1f} (Euclidean mining {p[cost.EUCLIDEAN]:.1f}), LiftedStruct's "
        f"{p[cost.LIFTED]:.1f}."
    )


def gap_sentences(numbers: pd.DataFrame, titles: Mapping[str, str]) -> str:
    """E_e under PDDM mining less that under Euclidean mining, and why it rises where it does.

    numbers: first_E_e and last_E_e, a row a (data, method). A line a data set that has both.
    """
    lines = []
    for d, own in numbers.groupby("data", sort=False):
        own = own.droplevel("data")
        if {PDDM, EUCLIDEAN} <= set(own.index):
            pddm, euclidean = own.loc[PDDM], own.loc[EUCLIDEAN]
            first, last = (pddm[x] - euclidean[x] for x in ("first_E_e", "last_E_e"))
            line = (
                f"{titles[d]}, mean Eₑ, PDDM mining minus Euclidean mining: {first:+.2f} at first, "
                f"on the same features; {last:+.2f} at last."
            )
            if pddm["last_E_e"] > pddm["first_E_e"] and first < 0:
                line += (
                    " Under PDDM mining Eₑ rises: at first the untrained unit picks easy "
                    "quadruplets, so its Eₑ starts low."
                )
            lines.append(line + "\n")
    return "".join(lines)
