"""All of the paper's claims decided: those on runs, and those that the slices decide.

The list of claims with thresholds and margins is ../questions.py, the paper's words are in
../printed.py. The only slice that imports others, and of them what decides their claims.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from ...store.errors import UserError
from ...training.study import Study
from .. import printed
from ..decide import Runs, VariantRuns, verdict
from ..fig4_convergence.claims import c5
from ..given_space import given
from ..given_space.claims import GIVEN, given_space
from ..judge import Verdict
from ..questions import QUESTIONS
from ..table2_transfer import transfers
from ..table2_transfer.claims import c14
from ..table2_zero_shot.claims import c15
from ..table2_zero_shot.unseen import measured

# claim -> function of what was measured on new classes
MEASURED_DECIDERS: dict[str, Callable[[pd.DataFrame], list[Verdict]]] = {
    "C14": c14,
    "C15": c15,
    GIVEN: given_space,
}


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
    text = table["claim"].map(printed.CLAIMS)
    table.insert(1, "text", text.where(table["part"] == "", text + ", " + table["part"]))
    return table


def table_2(study: Study, say: Callable[[str], None] = print) -> dict[str, pd.DataFrame]:
    """What the claims on Table 2 are decided on: claim -> of transfers.measured, and of `measured`;
    and what C1 and C6 are decided on in the given space, where the study has one.

    Each data set by itself: a measure of one that cannot be made is left out, and `say` says why,
    so that nothing else goes without its verdict.
    """
    found: dict[str, list[pd.DataFrame]] = {"C14": [], "C15": []}
    ways = {"C14": transfers.measured, "C15": lambda own: measured(own)[0]}
    for data in study.data:
        for claim, measure in ways.items():
            try:
                found[claim].append(measure(replace(study, data=(data,))))
            except UserError as why:
                say(f"{claim} on {data} is not decided: {why}")
    if given.grid(study):
        found[GIVEN] = [given.differences(given.measured(given.runs(study)))]
    return {c: pd.concat(t, ignore_index=True) for c, t in found.items() if t}
