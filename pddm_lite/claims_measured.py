"""Claims decided on measurements beside the runs: C5 on cost, C14 and C15 on new classes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from . import cost, transfers, unseen
from .claims_evidence import EUCLIDEAN_MINED, PDDM, Verdict, decide, judged

# ------------------------------------------------------------- a claim that hangs on no data set

ORDER = "order of the cost in m"  # unit: 1 where it is as claimed, 0 where it is the other's
FALLING, RISING = "(2 - p)", "(p - 1)"  # how an effect of that unit is made of the exponent p
FASTER = "CPU time of LiftedStruct over PDDM's"


def c5(costs: pd.DataFrame) -> list[Verdict]:
    """C5 on `cost.measured`: both orders, of pairs counted and of seconds; and which is lower.

    With p the exponent of `cost.exponent`, linear is p = 1 and quadratic 2. PDDM's order is judged
    by 2 - p and LiftedStruct's by p - 1: above one half, it is nearer to what the paper says.
    `tables.verdict_table` shows p itself.
    """
    p = cost.exponents(costs).set_index("way")
    where = f"{costs.attrs.get('cpu', 'CPU')}, one thread"
    found = []
    for of, note in (("pairs", "counted, so exact"), ("seconds", where)):
        linear, square = p.loc[[cost.PDDM], of], p.loc[[cost.LIFTED], of]
        for name, sign, values in (
            ("PDDM", FALLING, 2 - linear),
            ("LiftedStruct", RISING, square - 1),
        ):
            decided, part = judged(values, 0.5), f"{name}'s {of}"
            what = f"{ORDER}: {name}'s {of} {sign}"
            found.append(Verdict("C5", cost.DATA, what, *decided, note, len(values), part))
    at = costs[costs["m"] == cost.PAPER_M].set_index(["seed", "way"])["seconds"].unstack()
    ratios = np.log2(at[cost.LIFTED] / at[cost.PDDM])  # judged on the log scale, as C4's
    mean, low, high, verdict = decide(ratios, 0.0)
    what = f"{FASTER}: LiftedStruct / PDDM, one quadruplet, m = {cost.PAPER_M}"
    bounds = (2.0**v for v in (mean, low, high))
    part = f"PDDM's lower at m = {cost.PAPER_M}"
    found.append(Verdict("C5", cost.DATA, what, *bounds, 1.0, verdict, where, len(ratios), part))
    return found


# ---------------------------------------------- a claim on classes that are in no run's data set

NEW_CLASSES = "top-1 on new classes, points"  # unit


def c14(frame: pd.DataFrame) -> list[Verdict]:
    """C14 on `transfers.measured`: top-1 of NCM over all new classes, paired by seed.

    PDDM+Quadruplet's features against softmax features, then against each Euclidean-mined method
    that was measured and against the paper's rival [21], a learned metric on the plain features.
    """
    t = transfers.at_all(frame).set_index(["data", "features", "classifier", "seed"])["accuracy"]
    rivals = {(m, transfers.NCM): m for m in (transfers.SOFTMAX, *EUCLIDEAN_MINED)}
    rivals[transfers.PLAIN, transfers.METRIC] = "learned metric [21]"
    return _over("C14", NEW_CLASSES, t, (PDDM, transfers.NCM), rivals)


UNSEEN = "top-5 of unseen classes, points"  # unit


def c15(results: pd.DataFrame) -> list[Verdict]:
    """C15 on the results of `unseen.measured`: flat top-5 by the paper's rule, paired by seed.

    PDDM+Quadruplet's features against softmax features, then against each Euclidean-mined method
    that was measured. Data sets without a hierarchy have no row.
    """
    asked = {"by": unseen.RULE, "hierarchy": unseen.TRUE, "k": 5}
    t = results[(results[list(asked)] == pd.Series(asked)).all(axis=1)]
    t = t.groupby(["data", "features", "seed"], sort=False)["flat"].mean()  # over draws
    rivals = {(m,): m for m in (transfers.SOFTMAX, *EUCLIDEAN_MINED)}
    return _over("C15", UNSEEN, t, (PDDM,), rivals)


def _over(
    claim: str, unit: str, t: pd.Series, ours: tuple, rivals: dict[tuple, str]
) -> list[Verdict]:
    """PDDM's lead over each rival, a data set and rival a row, paired by seed.

    t: by data, what is compared (one level or more) and seed.  rivals: what is compared -> name.
    """
    found = []
    for data in dict.fromkeys(t.index.get_level_values("data")):
        own = _by_key(t, data, *ours)
        for key, rival in rivals.items():
            theirs = _by_key(t, data, *key)
            if not theirs and rival != transfers.SOFTMAX:
                continue  # not in this study, and not what the claim is about
            values = [own[s] - theirs[s] for s in sorted(own.keys() & theirs.keys())]
            said, part = f"{unit}: {PDDM} - {rival}", f"over {rival}"
            note = "" if theirs else f"{rival} was not run"
            decided = judged(values, 0.0)
            found.append(Verdict(claim, data, said, *decided, note, len(values), part))
    return found


def _by_key(t: pd.Series, *key: str) -> dict[int, float]:
    """seed -> value of a series by key and seed."""
    return t.xs(key, level=list(range(len(key)))).to_dict() if key in t.index.droplevel(-1) else {}


# claim -> function of what was measured on new classes
MEASURED_DECIDERS: dict[str, Callable[[pd.DataFrame], list[Verdict]]] = {"C14": c14, "C15": c15}
