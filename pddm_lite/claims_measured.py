"""Claims decided on measurements beside the runs: C5 on cost, C14 and C15 on new classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from . import cost, transfers, unseen
from .claims_judge import Verdict, spread_of
from .claims_runs import judged
from .claims_table import COST, LEARNED, MEASURES, NEW_CLASSES, PDDM, SOFTMAX, Claim

GIVEN = "given space"  # in the place of a data set


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


def c14(frame: pd.DataFrame) -> list[Verdict]:
    """C14 on `transfers.measured`: top-1 of NCM over all new classes, paired by seed.

    PDDM+Quadruplet's features against softmax features, then against each Euclidean-mined method
    that was measured and against the paper's rival [21], a learned metric on the plain features.
    """
    t = transfers.at_all(frame).set_index(["data", "features", "classifier", "seed"])["accuracy"]
    keys = {m: (m, transfers.NCM) for m in (PDDM, *NEW_CLASSES["C14"].rivals)}
    return _over("C14", t, keys | {LEARNED: (transfers.PLAIN, transfers.METRIC)})


def c15(results: pd.DataFrame) -> list[Verdict]:
    """C15 on the results of `unseen.measured`: flat top-5 by the paper's rule, paired by seed.

    PDDM+Quadruplet's features against softmax features, then against each Euclidean-mined method
    that was measured. Data sets without a hierarchy have no row.
    """
    asked = {"by": unseen.RULE, "hierarchy": unseen.TRUE, "k": 5}
    t = results[(results[list(asked)] == pd.Series(asked)).all(axis=1)]
    t = t.groupby(["data", "features", "seed"], sort=False)["flat"].mean()  # over draws
    return _over("C15", t, {m: (m,) for m in (PDDM, *NEW_CLASSES["C15"].rivals)})


def given_space(found: pd.DataFrame) -> list[Verdict]:
    """C1 and C6 where the space is given, on `given.differences`: overlaps, paired by world."""
    rows = []
    by = ["claim", "question", "heterogeneity"]
    own = found[found["measure"] == "overlap"]
    for (name, question, h), t in own.groupby(by, sort=False, dropna=False):
        part = f"given space: {question}" + (f" at heterogeneity {h:g}" if h == h else "")
        asked, values = Claim(name, "overlap", part=part), spread_of(t["value"])
        rows.append(judged(asked, MEASURES["overlap"].name, question, GIVEN, values, []))
    return rows


def _over(name: str, t: pd.Series, keys: dict[str, tuple]) -> list[Verdict]:
    """PDDM's lead over each rival, a data set and rival a row, paired by seed.

    t: by data, what is compared (one level or more) and seed.  keys: name -> what is compared.
    """
    claim, found = NEW_CLASSES[name], []
    for data in dict.fromkeys(t.index.get_level_values("data")):
        own = _by_key(t, data, *keys[PDDM])
        for rival in claim.rivals:
            theirs = _by_key(t, data, *keys[rival])
            if not theirs and rival != SOFTMAX:
                continue  # not in this study, and not what the claim is about
            values = [own[s] - theirs[s] for s in sorted(own.keys() & theirs.keys())]
            asked, what = replace(claim, part=f"over {rival}"), f"{PDDM} - {rival}"
            notes = [] if theirs else [f"{rival} was not run"]
            unit = MEASURES[claim.measure].name
            found.append(judged(asked, unit, what, data, spread_of(values), notes))
    return found


def _by_key(t: pd.Series, *key: str) -> dict[int, float]:
    """seed -> value of a series by key and seed."""
    return t.xs(key, level=list(range(len(key)))).to_dict() if key in t.index.droplevel(-1) else {}


# claim -> function of what was measured on new classes
MEASURED_DECIDERS: dict[str, Callable[[pd.DataFrame], list[Verdict]]] = {
    "C14": c14,
    "C15": c15,
    GIVEN: given_space,
}
