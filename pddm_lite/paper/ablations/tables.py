"""Changes of the recipe as tables and in words."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from .. import claims as paper_claims
from .. import questions
from ..claims import VariantRuns
from ..wording import spread, with_interval
from . import claims as claims_ablations

# ------------------------------------------------------------------- variants of the recipe

AS_IT_STANDS = "the recipe as it stands"


def recipe_table(variant_runs: VariantRuns, data: str) -> pd.DataFrame:
    """Variants of the recipe on one data set: a row a variant and method.

    Values are "mean ± standard deviation" over seeds; the last column is the paired difference of
    Recall@1 by distance to the recipe as it stands, with its 95 % Student interval.
    """
    effects = claims_ablations.recipe_effects(variant_runs)
    effects = effects[(effects["data"] == data) & (effects["compared"] == "change")]
    paired = {(x.variant, x.method): x for x in effects.itertuples()}
    rows = []
    for (variant, method), own in _rows(variant_runs, data).items():
        metrics = [run.metrics for run in own]
        row = [variant or AS_IT_STANDS, method]
        for measure, digits in (("recall_1", 1), ("auc", 3)):
            for ranking in ("distance", "score"):
                tests = [m["test"][ranking] for m in metrics if ranking in m["test"]]
                row.append(spread(pd.Series([t[measure] for t in tests]), digits))
        row.append(f"{sum(bool(m['collapse']) for m in metrics)} of {len(metrics)}")
        row.append(", ".join(str(m["chosen_step"]) for m in metrics))
        x = paired.get((variant, method))
        row.append(with_interval(x.effect, x.low, x.high, 1, "+") if x else "")
        rows.append(row)
    columns = ["R@1 by distance", "R@1 by score", "AUC by distance", "AUC by score", "collapsed"]
    columns = ["recipe", "method", *columns, "chosen step, by seed"]
    return pd.DataFrame(rows, columns=[*columns, "R@1 against the recipe [95 % interval]"])


def _rows(variant_runs: VariantRuns, data: str) -> dict[tuple[str, str], list]:
    """(variant, method) -> its runs on one data set: a row of a table each."""
    cells: dict[tuple[str, str], list] = {}
    for (d, variant, method, _), run in variant_runs.items():
        if d == data:
            cells.setdefault((variant, method), []).append(run)
    return cells


def ablation_table(variant_runs: VariantRuns, data: str) -> pd.DataFrame:
    """recipe_table, and what claim C13 is about: how far the score overfits."""
    table = recipe_table(variant_runs, data)
    gaps = []
    for runs in _rows(variant_runs, data).values():
        learned = [run for run in runs if "score" in run.metrics["test"]]
        gaps.append(spread(pd.Series([paper_claims.overfitting(run) for run in learned]), 3))
    return table.assign(**{questions.OVERFITTING: gaps})


def quadruplets_table(variant_runs: VariantRuns, data: str) -> pd.DataFrame:
    """PDDM mining minus Euclidean mining on one data set: a row a number of quadruplets a batch.

    The verdict is on "PDDM mining is better": reproduced where the whole interval lies above 0.
    """
    effects = claims_ablations.recipe_effects(variant_runs)
    effects = effects[(effects["data"] == data) & (effects["compared"] == "mining")]
    rows = []
    for number, both in effects.groupby("quadruplets", sort=False):
        row = {"quadruplets": str(number or "all")}
        for measure, name, digits in (("recall_1", "R@1, points", 1), ("auc", "AUC", 3)):
            (x,) = both[both["measure"] == measure].itertuples()
            row[f"{name} [95 % interval]"] = with_interval(x.effect, x.low, x.high, digits, "+")
            row[f"{name.partition(',')[0]} verdict"] = x.verdict
        rows.append(row | {"seeds": x.seeds})
    columns = ["quadruplets", "R@1, points [95 % interval]", "R@1 verdict", "AUC [95 % interval]"]
    return pd.DataFrame(rows, columns=[*columns, "AUC verdict", "seeds"])


def collapses(variant_runs: VariantRuns, titles: Mapping[str, str]) -> list[str]:
    """A line for each message of collapsed runs, once a variant, with the seeds that gave it."""
    said: dict[tuple[str, str, str, str], list[int]] = {}
    for (d, variant, method, seed), run in variant_runs.items():
        if message := run.metrics["collapse"]:
            said.setdefault((d, variant, method, message), []).append(seed)
    return [
        f"{titles[d]}, {variant or AS_IT_STANDS}, {method}, "
        f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}: {message}"
        for (d, variant, method, message), seeds in said.items()
    ]
