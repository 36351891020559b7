"""The paper's claims decided by code: effect, 95 % interval over paired seeds, verdict.

`verdicts` asks each claim's function, all of which are found here by name: claims_runs.py decides
on the runs of Table 1, claims_changes.py on changes of the method, claims_measured.py on cost and
on new classes; claims_evidence.py says what a verdict is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import pandas as pd

from . import paper
from .claims_changes import (  # noqa: F401 - names without use here are for who imports claims
    ABLATED,
    CHANGE_DECIDERS,
    MINERS,
    ablation_effects,
    overfitting,
    recipe_effects,
)
from .claims_evidence import (  # noqa: F401
    CLUSTERS,
    EUCLIDEAN,
    EUCLIDEAN_MINED,
    IN_PARTS,
    MAHALANOBIS,
    NOT_ENOUGH,
    NOT_REPRODUCED,
    OVERFITTING,
    PDDM,
    POINTS,
    REPRODUCED,
    SHARE,
    SIMILAR,
    Runs,
    VariantRuns,
    Verdict,
    count,
    decide,
    interval,
)
from .claims_measured import (  # noqa: F401
    FALLING,
    FASTER,
    MEASURED_DECIDERS,
    NEW_CLASSES,
    ORDER,
    RISING,
    UNSEEN,
    c5,
    c14,
    c15,
)
from .claims_runs import DECIDERS, c4, c10, common_level  # noqa: F401


def verdicts(
    runs: Runs,
    data: Sequence[str],
    variant_runs: VariantRuns | None = None,
    costs: pd.DataFrame | None = None,
    only: Sequence[str] = (),
    measured: Mapping[str, pd.DataFrame] | None = None,
) -> pd.DataFrame:
    """A row a claim and data set: the fields of Verdict, and the claim in words.

    Claims on changes of the method (C11 to C13) have a row where `variant_runs` has those changes,
    C5 has its rows, of cost.DATA in place of a data set, where `costs` (cost.measured) is given.
    `measured` holds what claims of MEASURED_DECIDERS are decided on, which they then are: for C14
    transfers.measured, for C15 the results of unseen.measured. `only` names the claims to decide of
    the others; all, if empty.
    """
    rows = []
    for name in data:
        rows += [f(runs, name) for claim in only or DECIDERS for f in DECIDERS.get(claim, ())]
        asked = [f(variant_runs or {}, name) for fs in CHANGE_DECIDERS.values() for f in fs]
        rows += [verdict for verdict in asked if verdict]
    rows += c5(costs) if costs is not None else []
    for claim, frame in (measured or {}).items():
        rows += MEASURED_DECIDERS[claim](frame)
    table = pd.DataFrame(rows, columns=[f.name for f in dataclasses.fields(Verdict)])
    part = table.pop("part")
    text = table["claim"].map(paper.CLAIMS)
    table.insert(1, "text", text.where(part == "", text + ", " + part))
    return table
