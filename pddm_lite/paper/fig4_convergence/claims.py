"""Claim C5, on the measured cost of a batch."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..decide import judged
from ..judge import Verdict, spread_of
from ..questions import COST, MEASURES
from . import cost


def c5(costs: pd.DataFrame) -> list[Verdict]:
    """C5 on `cost.measured`: both exponents, of pairs counted and of seconds; and which is lower.

    It hangs on no data set: cost.DATA stands in its place.
    """
    p = cost.exponents(costs).set_index("way")
    at = costs[costs["m"] == cost.PAPER_M].set_index(["seed", "way"])["seconds"].unstack()
    ways = {"PDDM": cost.PDDM, "LiftedStruct": cost.LIFTED}
    where, found = f"{costs.attrs.get('cpu', 'CPU')}, one thread", []
    for claim in COST:
        what = claim.part
        if claim.measure == "exponent":
            who, _, of = claim.part.partition("'s ")
            values = p.loc[[ways[who]], of]
        else:
            values = np.log2(at[cost.LIFTED] / at[cost.PDDM])
            what = f"LiftedStruct / PDDM, one quadruplet, m = {cost.PAPER_M}"
        name = MEASURES[claim.measure].name
        found.append(judged(claim, name, what, cost.DATA, spread_of(values), [claim.note or where]))
    return found
