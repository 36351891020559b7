"""Claim C14, on transfer to new classes."""

from __future__ import annotations

import pandas as pd

from .. import table2
from ..decide import over_rivals
from ..judge import Verdict
from ..questions import LEARNED, NEW_CLASSES, PDDM
from . import transfers


def c14(frame: pd.DataFrame) -> list[Verdict]:
    """C14 on `transfers.measured`: top-1 of NCM over all new classes, paired by seed.

    PDDM+Quadruplet's features against softmax features, then against each Euclidean-mined method
    that was measured and against the paper's rival [21], a learned metric on the plain features.
    """
    t = transfers.at_all(frame).set_index(["data", "features", "classifier", "seed"])["accuracy"]
    keys = {m: (m, transfers.NCM) for m in (PDDM, *NEW_CLASSES["C14"].rivals)}
    return over_rivals("C14", t, keys | {LEARNED: (table2.PLAIN, transfers.METRIC)})
