"""Tables of zero-shot recognition and its protocol in words, from `unseen.measured`."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ...training.study import Study
from .. import printed
from ..judge import count
from ..table2 import METHODS, PDDM, PLAIN, pretrained
from ..wording import shown, spread
from .rivals import DIFFERENCES, RIVALS, SPIRIT
from .unseen import (
    COLUMNS,
    LEARNED,
    NO_SEED,
    RESULTS,
    RULE,
    SHUFFLED,
    TRUE,
    NoZeroShot,
    draws,
    protocol,
)
from .zero_shot import KS, RULES

TOP = max(KS)  # the paper's K
FLOOR, GUESSING, CEILING = "shuffled hierarchy", "guessing", "ceiling, since classes tie"
MENSINK = "[21]"  # the row of RULE on LEARNED
OTHERS = (MENSINK, *RIVALS)  # rows that stand for the paper's rivals
PAPER = f"paper top-{TOP} (ImageNet 2010, 800/200)"

PRINTED = printed.TABLE_2["zero-shot"]
THEIRS = {r: PRINTED[r.removeprefix(SPIRIT)] for r in OTHERS} | {PDDM: PRINTED["PDDM"]}
NOTHING = "no data set of this study can be asked"


def described(study: Study) -> str:
    """A line a data set: which classes are unseen, or why there are none; what it may have seen."""
    lines = []
    for data in map(study.load, study.data):
        try:
            p = protocol(data, study.data_root)
        except NoZeroShot as why:
            lines.append(str(why))
            continue
        turns = draws(p, data.class_names)
        lines.append(
            f"{data.title}: {p.words}; {len(p.known)} known classes, {len(p.unseen)} unseen"
            + (
                f", {len(turns[0])} of them in each of {count(len(turns), 'draw')}."
                if p.one_each
                else "."
            )
        )
    if caveat := pretrained(study):
        lines.append(caveat)
    return "\n".join(lines)


def over_draws(results: pd.DataFrame) -> pd.DataFrame:
    """Results with one row for what differs in the draw alone: means over the draws."""
    same = [*COLUMNS, "by", "hierarchy", "k"]
    numbers = [c for c in RESULTS if c not in (*same, "draw")]
    return results.groupby(same, sort=False)[numbers].mean().reset_index()


def rows(results: pd.DataFrame) -> pd.DataFrame:
    """Results over draws, by RULE and by rivals, with the row of Table 2 they belong to (`row`).

    Rows are the features for RULE, MENSINK for LEARNED ones, and the rival's name.
    """
    found = over_draws(results)
    found = found[(found["by"] == RULE) | found["by"].isin(RIVALS)]
    row = found["features"].replace(LEARNED, MENSINK).where(found["by"] == RULE, found["by"])
    return found.assign(row=row)


def order(found: pd.DataFrame) -> list[str]:
    """Rows in the order of figures and tables: ours, plain features, then the rivals."""
    return [r for r in (*METHODS[::-1], PLAIN, *reversed(OTHERS)) if r in set(found["row"])]


def misses(errors: pd.DataFrame) -> pd.DataFrame:
    """Mean distance in steps between truth and wrong answers, by RULE.

    A row a data set, features, seed and hierarchy: distance, and that of wrong guesses (`chance`).
    """
    wrong = errors[(errors["by"] == RULE) & (errors["distance"] > 0)]
    found = []
    for key, own in wrong.groupby(["data", "features", "seed", "hierarchy"], sort=False):
        mean = [np.average(own["distance"], weights=own[w]) for w in ("share", "chance")]
        found.append((*key, *mean))
    return pd.DataFrame(found, columns="data features seed hierarchy distance chance".split())


def zero_shot_table(results: pd.DataFrame, data: str) -> pd.DataFrame:
    """Table 2, right half, on one data set; in percent, mean ± standard deviation over seeds.

    Rows: features, told apart by RULE; the rivals, with the features they start from; two floors;
    the ceiling of RULE, which what is tied leaves to reach.
    "tied": unseen classes that nothing tells apart. The last column is the paper's, of its own data
    and network.
    """
    found = rows(results[results["data"] == data])
    true, floor = (found[found["hierarchy"] == h] for h in (TRUE, SHUFFLED))
    out = [_row(true[true["row"] == r], r) for r in order(found)]
    out.append(_row(floor, FLOOR) | {"features": "all of these", "seeds": ""})
    chance = found.groupby("k")["chance"].first()
    ceiling = true[true["by"] == RULE].groupby("k")["ceiling"].mean()
    for name, of in ((GUESSING, chance), (CEILING, ceiling)):
        out.append({"row": name} | {f"top-{k}": shown(of[k], 1) for k in KS})
    return pd.DataFrame(out).fillna("")


def _row(own: pd.DataFrame, name: str) -> dict[str, object]:
    row: dict[str, object] = {"row": name, "features": own["features"].iloc[0]}
    for k in KS:
        row[f"top-{k}"] = spread(own[own["k"] == k]["flat"], 1)
    at = own[own["k"] == TOP]
    row["tied"] = f"{at['tied'].mean():.0f} of {at['unseen'].mean():.0f}"
    seeds = at.loc[at["seed"] != NO_SEED, "seed"].nunique()  # plain features hang on none
    row["seeds"] = str(seeds or "")
    row[PAPER] = f"{THEIRS[name]:.1f}" if name in THEIRS else ""
    return row


def rules_table(results: pd.DataFrame, data: str) -> pd.DataFrame:
    """Flat top-TOP of each features (rows) by each choice of relatives (columns), over seeds.

    The last row is the ceiling, which what is tied by each choice leaves to reach.
    """
    found = over_draws(results)
    found = found[(found["data"] == data) & (found["hierarchy"] == TRUE) & (found["k"] == TOP)]
    out = []
    for r in (*METHODS[::-1], PLAIN, LEARNED):
        own = found[found["features"] == r]
        if len(own):
            of = {rule: spread(own[own["by"] == rule]["flat"], 1) for rule in RULES}
            out.append({"features": r} | of)
    ceiling = found.groupby("by")["ceiling"].mean()
    out.append({"features": CEILING} | {rule: shown(ceiling[rule], 1) for rule in RULES})
    return pd.DataFrame(out)


def differences(results: pd.DataFrame) -> str:
    """What keeps each rival's row from being the paper's number."""
    there = [r for r in RIVALS if r in set(results["by"])]
    return "\n".join(f"{r}: {DIFFERENCES[r]}." for r in there)
