"""Claims C1 and C6 where the space is given."""

from __future__ import annotations

import pandas as pd

from ..decide import judged
from ..judge import Verdict, spread_of
from ..questions import MEASURES, Claim

GIVEN = "given space"  # in the place of a data set


def given_space(found: pd.DataFrame) -> list[Verdict]:
    """C1 (overlap) and C6 (Recall@1) where the space is given, on `given.differences`, paired by
    world."""
    rows = []
    by = ["claim", "question", "heterogeneity"]
    for claim, measure in (("C1", "overlap"), ("C6", "recall_1")):
        own = found[(found["claim"] == claim) & (found["measure"] == measure)]
        for (_, question, h), t in own.groupby(by, sort=False, dropna=False):
            part = f"given space: {question}" + (f" at heterogeneity {h:g}" if h == h else "")
            asked, values = Claim(claim, measure, part=part), spread_of(t["value"])
            rows.append(judged(asked, MEASURES[measure].name, question, GIVEN, values, []))
    return rows
