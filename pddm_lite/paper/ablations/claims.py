"""What every change of the method did: for figure, table and words."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ...training.experiments import SIZES
from ...training.runs import Run
from .. import printed
from ..decide import VariantRuns
from ..judge import interval
from ..questions import PDDM

# methods that differ from PDDM+Quadruplet in the metric alone, once all are ranked by distance: it
# mines, and E_m teaches it (but the Euclidean one, which has nothing to learn)
MINERS = {
    "Euclidean+Quadruplet": "Euclidean mining",
    "Mahalanobis score": "Mahalanobis mining",
    "LMDM score": "LMDM mining",
}
# group -> changes of the method that the paper speaks of (notebook 80), in the order of the figure
ABLATED = {
    "embedding loss": ("without E_e",),
    "batch size": ("m = 32", "m = 132"),
    "loss on the scores": ("logistic regression", "binary classification", "Fisher criterion"),
    "length of f": tuple(SIZES),
}
MINES = "mining by another metric"
COLUMNS = "data group change variant method ranking effect low high claimed collapsed seeds".split()


def effects(variant_runs: VariantRuns) -> pd.DataFrame:
    """COLUMNS: test Recall@1 of each change minus that of what it changes, paired over seeds.

    A variant is compared with the recipe as it stands, of the same method; a method of MINERS also
    with PDDM, of the same variant and by distance (group MINES). "PDDM score" is PDDM's run, ranked
    by its score. `claimed` is the paper's change,
    nan where it has none; `collapsed` counts the change's collapsed runs.
    """
    cells: dict[tuple[str, str, str], dict[int, object]] = {}
    for (data, variant, method, seed), run in variant_runs.items():
        cells.setdefault((data, variant, method), {})[seed] = run
    group_of = {change: group for group, changes in ABLATED.items() for change in changes}
    rows = []
    for (data, variant, method), own in cells.items():
        if variant and (base := cells.get((data, "", method))):
            names = (data, group_of.get(variant, "the recipe"), variant, variant)
            rankings = {"distance": method} | ({"score": "PDDM score"} if method == PDDM else {})
            rows += [
                (*names, m, by, *_paired(own, base, by, variant)) for by, m in rankings.items()
            ]
        if method in MINERS and (base := cells.get((data, variant, PDDM))):
            change = ", ".join(filter(None, (MINERS[method], variant)))
            names = (data, MINES, change, variant, method, "distance")
            rows.append((*names, *_paired(own, base, "distance", "")))
    table = pd.DataFrame(rows, columns=COLUMNS)
    order = {group: n for n, group in enumerate(("the recipe", *ABLATED, MINES))}
    return table.sort_values("group", key=lambda g: g.map(order), kind="stable", ignore_index=True)


def _recall(run: Run, ranking: str) -> float:
    """Recall@1 by a ranking at the step that it chose; nan where the run has no such ranking."""
    return run.at(ranking).metrics["test"].get(ranking, {}).get("recall_1", np.nan)


def _paired(own: dict, base: dict, ranking: str, change: str) -> tuple:
    """What the columns from `effect` on say of `own` against `base`, both by seed."""
    seeds = sorted(own.keys() & base.keys())
    of, than = ([_recall(runs[s], ranking) for s in seeds] for runs in (own, base))
    claimed = -printed.COSTS.get((change, ranking), np.nan)
    collapsed = sum(bool(own[s].metrics["collapse"]) for s in seeds)
    return *interval(np.subtract(of, than)), claimed, collapsed, len(seeds)
