"""Table 1 and the clusters beside it, a data set at a time."""

from __future__ import annotations

import pandas as pd

from ...methods import METHODS
from ...training.study import measures
from .. import printed as paper
from ..decide import Runs
from ..printed import PAPER_HALF
from ..wording import spread

BEFORE = "untrained R@1"


def recall_table(runs: Runs, data: str) -> pd.DataFrame:
    """Table 1 for one data set: a row a method, columns R@1 .. R@32, AUC, seeds, the paper's R@1.

    "untrained R@1" is that of step 0 by distance: the network as it was pretrained, on d principal
    axes where the recipe starts there. Values are "mean +- spread" (standard deviation over seeds),
    Recall in percent. The last column is from the paper's own data set and network, for the order
    of methods, not for the level.
    """
    tidy = measures({k: r for k, r in runs.items() if k[0] == data})
    half = PAPER_HALF.get(data.partition("@")[0], "")
    ours = [f"R@{k}" for k in paper.KS]
    theirs = f"paper R@1 ({half})" if half else "paper R@1"
    rows = []
    for name in [m for m in METHODS if m in set(tidy["method"])]:
        own = tidy[tidy["method"] == name]
        row = {"method": name, "ranked by": METHODS[name].rank}
        for k in paper.KS:
            row[f"R@{k}"] = spread(own[own["measure"] == f"recall_{k}"]["value"], 1)
        row["AUC"] = spread(own[own["measure"] == "auc"]["value"], 3)
        row[BEFORE] = ""
        if METHODS[name].rank == "distance":
            start = [r.metrics["start"] for k, r in runs.items() if k[:2] == (data, name)]
            row[BEFORE] = spread(pd.Series(start), 1)
        row["seeds"] = own["seed"].nunique()
        printed = paper.TABLE_1.get(half, {}).get(name.partition(" (random")[0])
        row[theirs] = f"{printed[0]:.1f}" if printed else ""
        rows.append(row)
    return pd.DataFrame(
        rows, columns=["method", "ranked by", *ours, "AUC", BEFORE, "seeds", theirs]
    )


def cluster_table(runs: Runs, data: str) -> pd.DataFrame:
    """Measures of Song et al. 2016 and MAP@R, of the features: a row a method ranked by distance.

    MAP@R in percent; NMI and F1 of k-means clusters in [0, 1]; mean ± spread over seeds.
    """
    rows = []
    for name in [m for m in METHODS if METHODS[m].rank == "distance"]:
        own = [
            r.metrics["test"]["distance"] for (d, m, _), r in runs.items() if (d, m) == (data, name)
        ]
        if own:
            row = {"method": name}
            for measure, title, digits in (
                ("map_at_r", "MAP@R", 1),
                ("nmi", "NMI", 3),
                ("f1", "F1", 3),
            ):
                row[title] = spread(pd.Series([x[measure] for x in own]), digits)
            rows.append(row | {"seeds": len(own)})
    return pd.DataFrame(rows, columns=["method", "MAP@R", "NMI", "F1", "seeds"])
