"""The paper's claims decided by code: effect, 95 % interval over seeds and test classes, verdict.

claims_table.py has the questions as data; claims_judge.py says what an interval and a verdict are;
claims_runs.py asks the questions of runs, claims_measured.py of what is measured beside them;
claims_changes.py has the changes of the method that no claim is about. All are found here by name.
"""

# ruff: noqa: F401 - names without use here are for who imports claims

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import pandas as pd

from . import paper
from .claims_changes import ABLATED, MINERS, ablation_effects, recipe_effects
from .claims_judge import (
    LEVEL,
    NOT_ENOUGH,
    NOT_REPRODUCED,
    REPRODUCED,
    Verdict,
    count,
    decide,
    interval,
)
from .claims_measured import MEASURED_DECIDERS, c5, c14, c15
from .claims_runs import Runs, VariantRuns, common_level, overfitting, verdict
from .claims_table import (
    EUCLIDEAN,
    EUCLIDEAN_MINED,
    FEWEST,
    IN_PARTS,
    MAHALANOBIS,
    MEASURES,
    OVERFITTING,
    PDDM,
    QUESTIONS,
    UNITS,
    Claim,
    Side,
)


def verdicts(
    runs: Runs,
    data: Sequence[str],
    variant_runs: VariantRuns | None = None,
    costs: pd.DataFrame | None = None,
    only: Sequence[str] = (),
    measured: Mapping[str, pd.DataFrame] | None = None,
) -> pd.DataFrame:
    """A row a question and data set: the fields of Verdict, and the claim in words.

    Questions on changes of the method (C11 to C13) have a row where `variant_runs` has those
    changes, C5 has its rows, of cost.DATA in place of a data set, where `costs` (cost.measured) is
    given. `measured` holds what claims of MEASURED_DECIDERS are decided on, which they then are:
    for C14 transfers.measured, for C15 the results of unseen.measured. `only` names the claims of
    QUESTIONS to decide; all, if empty.
    """
    asked = [q for q in QUESTIONS if not only or q.claim in only]
    rows = [verdict(q, runs, variant_runs or {}, name) for name in data for q in asked]
    rows = [row for row in rows if row] + (c5(costs) if costs is not None else [])
    for claim, frame in (measured or {}).items():
        rows += MEASURED_DECIDERS[claim](frame)
    table = pd.DataFrame(rows, columns=[f.name for f in dataclasses.fields(Verdict)])
    text = table["claim"].map(paper.CLAIMS)
    table.insert(1, "text", text.where(table["part"] == "", text + ", " + table["part"]))
    return table
