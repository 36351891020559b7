"""Tables from stored runs: one place for notebooks, report and README, so that they agree."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from . import paper
from .methods import METHODS
from .study import Study, measures
from .training import Run

# the paper's half that a data set stands beside (never as if it were the same data)
PAPER_HALF = {
    "synthetic_birds": "CUB-200-2011",
    "cub200_2010": "CUB-200-2011",
    "synthetic_cars": "CARS196",
    "cars196_half": "CARS196",
}


def recall_table(runs: dict[tuple[str, str, int], Run], data: str) -> pd.DataFrame:
    """Table 1 for one data set: a row a method, columns R@1 .. R@32, AUC, seeds, the paper's R@1.

    Values are "mean +- spread" (standard deviation over seeds), Recall in percent. The last column
    is from the paper's own data set and network, for the order of methods, not for the level.
    """
    tidy = measures({k: r for k, r in runs.items() if k[0] == data})
    half = PAPER_HALF.get(data.partition("@")[0], "")
    rows = []
    for name in [m for m in METHODS if m in set(tidy["method"])]:
        own = tidy[tidy["method"] == name]
        row = {"method": name, "ranked by": METHODS[name].rank}
        for k in paper.KS:
            row[f"R@{k}"] = spread(own[own["measure"] == f"recall_{k}"]["value"], 1)
        row["AUC"] = spread(own[own["measure"] == "auc"]["value"], 3)
        row["seeds"] = own["seed"].nunique()
        printed = paper.TABLE_1.get(half, {}).get(name)
        row[f"paper R@1 ({half})" if half else "paper R@1"] = f"{printed[0]:.1f}" if printed else ""
        rows.append(row)
    return pd.DataFrame(rows)


def spread(values: pd.Series, digits: int) -> str:
    """ "mean ± standard deviation" of the values; the mean alone for one; "" for none."""
    if len(values) == 0:
        return ""
    text = f"{values.mean():.{digits}f}"
    return text if len(values) == 1 else f"{text} ± {values.std(ddof=1):.{digits}f}"


def verdict_table(verdicts: pd.DataFrame, title: Callable[[str], str] = str) -> pd.DataFrame:
    """Claims as a reader wants them: claim, data set, effect with interval, threshold, verdict."""
    t = verdicts
    digits = [1 if "points" in m else (2 if "steps" in m else 3) for m in t["measure"]]
    effect = [
        f"{e:.{d}f}" + (f" [{a:.{d}f}, {b:.{d}f}]" if a == a else "") if e == e else "none"
        for e, a, b, d in zip(t["effect"], t["low"], t["high"], digits, strict=True)
    ]
    return pd.DataFrame(
        {
            "claim": t["claim"] + ": " + t["text"],
            "data": t["data"].map(title),
            "measured": t["measure"],
            "effect [95 % interval]": effect,
            "claimed": [f"> {x:g}" for x in t["threshold"]],
            "verdict": t["verdict"],
            "seeds": t["seeds"],
            "note": t["note"],
        }
    )


def protocol(study: Study, runs: dict[tuple[str, str, int], Run]) -> str:
    """One line that says how the numbers were made, from the runs themselves."""
    run = next(iter(runs.values()))
    e, m = run.experiment, run.manifest
    held = f"step chosen on {e.holdout:.0%} held-out training classes" if e.holdout else "last step"
    weights = e.weights.rpartition("/")[2] or "default weights"
    return (
        f"{e.backbone} ({weights}), {e.mode}, d = {e.dim}, m ="
        f" {e.batch_size} = {e.classes} x {e.images}, recipe '{study.recipe}', up to {e.steps:,} "
        f"steps, {held}; seeds {', '.join(map(str, study.seeds))}; "
        f"{m['gpu'] or m['cpu']}, torch {m['torch']}"
    )
