"""Changes of the recipe and of the method as a table, and the runs that collapsed."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from .. import decide, questions
from ..decide import VariantRuns
from ..wording import spread, with_interval
from . import claims as claims_ablations

AS_IT_STANDS = "the recipe as it stands"


def change_table(variant_runs: VariantRuns, data: str) -> pd.DataFrame:
    """Variants of the recipe on one data set: a row a variant and method.

    Values are "mean ± standard deviation" over seeds. Of the last two columns one is what claim C13
    is about, the other the paired difference of Recall@1 by distance to the recipe as it stands,
    with its 95 % Student interval.
    """
    found = claims_ablations.effects(variant_runs)
    found = found[(found["group"] != claims_ablations.MINES) & (found["ranking"] == "distance")]
    paired = {(x.data, x.variant, x.method): x for x in found.itertuples()}
    cells: dict[tuple[str, str, str], list] = {}
    for (d, variant, method, _), run in variant_runs.items():
        if d == data:
            cells.setdefault((d, variant, method), []).append(run)
    rows = []
    for key, own in cells.items():
        metrics = [run.metrics for run in own]
        row = [key[1] or AS_IT_STANDS, key[2]]
        for measure, digits in (("recall_1", 1), ("auc", 3)):
            for ranking in ("distance", "score"):  # each at the step that it chose
                tests = [run.at(ranking).metrics["test"] for run in own]
                tests = [test[ranking] for test in tests if ranking in test]
                row.append(spread(pd.Series([t[measure] for t in tests]), digits))
        row.append(f"{sum(bool(m['collapse']) for m in metrics)} of {len(metrics)}")
        row.append(", ".join(str(m["chosen_step"]) for m in metrics))
        learned = [run for run in own if "score" in run.metrics["test"]]
        row.append(spread(pd.Series([decide.overfitting(run) for run in learned]), 3))
        x = paired.get(key)
        row.append(with_interval(x.effect, x.low, x.high, 1, "+") if x else "")
        rows.append(row)
    columns = ["R@1 by distance", "R@1 by score", "AUC by distance", "AUC by score", "collapsed"]
    columns = ["recipe", "method", *columns, "chosen step, by seed", questions.OVERFITTING]
    return pd.DataFrame(rows, columns=[*columns, "R@1 against the recipe [95 % interval]"])


def collapses(variant_runs: VariantRuns, titles: Mapping[str, str]) -> list[str]:
    """A line for each message of collapsed runs, once a variant, with the seeds that gave it; then
    how many runs collapsed."""
    said: dict[tuple[str, str, str, str], list[int]] = {}
    for (d, variant, method, seed), run in variant_runs.items():
        if message := run.metrics["collapse"]:
            said.setdefault((d, variant, method, message), []).append(seed)
    number = sum(map(len, said.values()))
    return [
        f"{titles[d]}, {variant or AS_IT_STANDS}, {method}, "
        f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}: {message}"
        for (d, variant, method, message), seeds in said.items()
    ] + [f"{number} of {len(variant_runs)} runs collapsed."]
