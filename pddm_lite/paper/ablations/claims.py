"""What every change of the method did: for figures, tables and words."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from ...training.experiments import CHANGES, SIZES
from ...training.runs import Run
from .. import printed
from ..claims import VariantRuns
from ..judge import decide, interval
from ..questions import EUCLIDEAN, PDDM


def _by_seed(
    variant_runs: VariantRuns, data: str, variant: str, method: str = PDDM
) -> dict[int, Run]:
    """seed -> run."""
    asked = (data, variant, method)
    return {s: run for (*key, s), run in variant_runs.items() if tuple(key) == asked}


def _recall(ranking: str) -> Callable[[Run], float]:
    return lambda run: run.metrics["test"][ranking]["recall_1"]


# ------------------------------------------------------------------- variants of the recipe


def recipe_effects(variant_runs: VariantRuns) -> pd.DataFrame:
    """Paired differences between variants of the recipe: what figure, tables and words show.

    Rows whose `compared` is "change": a variant's test Recall@1 by distance minus that of the
    recipe as it stands, same method and seeds. "mining": PDDM mining minus Euclidean mining at one
    number of quadruplets a batch (0: all), in Recall@1 and in AUC, with a verdict on "PDDM mining
    is better". `untrained` counts the pairs of which both runs kept step 0: these differ in nothing
    that training did. `collapsed` counts the variant's collapsed runs.
    """
    cells: dict[tuple[str, str, str], dict[int, Run]] = {}
    for (data, variant, method, seed), run in variant_runs.items():
        cells.setdefault((data, variant, method), {})[seed] = run
    rows = []
    for (data, variant, method), own in cells.items():
        base = cells.get((data, "", method), {})
        if variant:
            rows.append(("change", data, variant, method, *_against(own, base, "recall_1")))
        if method == PDDM and (data, variant, EUCLIDEAN) in cells and _quadruplets_alone(variant):
            for measure in ("recall_1", "auc"):
                against = _against(own, cells[data, variant, EUCLIDEAN], measure)
                rows.append(("mining", data, variant, method, *against))
    columns = ["compared", "data", "variant", "method", "measure", "quadruplets"]
    columns += ["effect", "low", "high", "verdict", "collapsed", "untrained", "seeds"]
    table = pd.DataFrame(rows, columns=columns)
    # two variants with one number of quadruplets are one comparison; 0 stands for all
    mining = table["compared"] == "mining"
    table.loc[~mining, "verdict"] = ""  # of a change nothing was claimed
    table = table[~mining | ~table.duplicated(["compared", "data", "measure", "quadruplets"])]
    order = table["quadruplets"].replace(0, np.inf).where(mining, -1)
    return table.loc[order.sort_values(kind="stable").index].reset_index(drop=True)


def _quadruplets_alone(variant: str) -> bool:
    return not variant or CHANGES[variant][1].keys() == {"quadruplets"}


def _against(own: dict[int, Run], base: dict[int, Run], measure: str) -> tuple:
    """What the columns from `measure` on say of `own` against `base`, both by seed."""
    seeds = sorted(own.keys() & base.keys())
    values = [
        own[s].metrics["test"]["distance"][measure] - base[s].metrics["test"]["distance"][measure]
        for s in seeds
    ]
    collapsed = sum(bool(own[s].metrics["collapse"]) for s in seeds)
    untrained = sum(
        own[s].metrics["chosen_step"] == base[s].metrics["chosen_step"] == 0 for s in seeds
    )
    number = next(iter(own.values())).experiment.quadruplets
    return measure, number, *decide(values), collapsed, untrained, len(seeds)


# --------------------------------------------------------------------------------- ablations

# methods that differ from PDDM+Quadruplet in the metric alone, once all are ranked by distance: it
# mines, and E_m teaches it (but the Euclidean one, which has nothing to learn)
MINERS = {
    "Euclidean mining": "Euclidean+Quadruplet",
    "Mahalanobis mining": "Mahalanobis score",
    "LMDM mining": "LMDM score",
}
# group -> changes of PDDM with everything else alike, in the order of figure and words
ABLATED = {
    "embedding loss": ("without E_e",),
    "batch size": ("m = 32", "m = 132"),
    "loss on the scores": ("logistic regression", "binary classification", "Fisher criterion"),
    "length of f": tuple(SIZES),
    "quadruplets a batch": ("1 quadruplet", "16 quadruplets"),
    "scaling of S": ("scores not scaled",),
    "what mines": tuple(MINERS),
}


def ablation_effects(variant_runs: VariantRuns) -> pd.DataFrame:
    """Test Recall@1 of each change in ABLATED minus the recipe's as it stands, paired over seeds.

    A row a data set, change and ranking (of other miners by distance alone); `variant_runs` has
    the miners beside PDDM as variant "". `claimed` is the paper's change, nan where it has none;
    `collapsed` counts the change's collapsed runs.
    """
    rows = []
    for data in dict.fromkeys(d for d, *_ in variant_runs):
        base = _by_seed(variant_runs, data, "")
        for group, change in [(g, c) for g, changes in ABLATED.items() for c in changes]:
            variant, method = ("", MINERS[change]) if change in MINERS else (change, PDDM)
            own = _by_seed(variant_runs, data, variant, method)
            seeds = sorted(own.keys() & base.keys())
            if not seeds:
                continue
            collapsed = sum(bool(own[s].metrics["collapse"]) for s in seeds)
            for ranking in ("distance", "score") if method == PDDM else ("distance",):
                of = _recall(ranking)
                values = [of(own[s]) - of(base[s]) for s in seeds]
                claimed = -printed.COSTS.get((change, ranking), np.nan)
                row = (data, group, change, method, ranking, *interval(values), claimed)
                rows.append((*row, collapsed, len(seeds)))
    columns = "data group change method ranking effect low high claimed collapsed seeds"
    return pd.DataFrame(rows, columns=columns.split())
