"""Claim C15, on zero-shot recognition."""

from __future__ import annotations

import pandas as pd

from ..decide import over_rivals
from ..judge import Verdict
from ..questions import NEW_CLASSES, PDDM
from . import unseen


def c15(results: pd.DataFrame) -> list[Verdict]:
    """C15 on the results of `unseen.measured`: flat top-5 by the paper's rule, paired by seed.

    PDDM+Quadruplet's features against softmax features, then against each Euclidean-mined method
    that was measured. Data sets without a hierarchy have no row.
    """
    asked = {"by": unseen.RULE, "hierarchy": unseen.TRUE, "k": 5}
    t = results[(results[list(asked)] == pd.Series(asked)).all(axis=1)]
    t = t.groupby(["data", "features", "seed"], sort=False)["flat"].mean()  # over draws
    return over_rivals("C15", t, {m: (m,) for m in (PDDM, *NEW_CLASSES["C15"].rivals)})
