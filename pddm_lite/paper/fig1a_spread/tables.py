"""Table and generated words of notebook 40_embedding."""

from __future__ import annotations

import pandas as pd

from ...methods import METHODS
from ..wording import spread


def spread_table(survey: pd.DataFrame, data: str) -> pd.DataFrame:
    """A row a method that ranks by distance; mean ± standard deviation over seeds.

    survey: spread.survey. "equally loose": the column before it, if all classes were.
    """
    rows = []
    for name in [m for m in METHODS if m in set(survey["method"])]:
        own = survey[(survey["data"] == data) & (survey["method"] == name)]
        row = {"method": name}
        for column, title, factor, digits in (
            ("looser", "spread > gap, %", 100, 1),
            ("looser_by_chance", "if equally loose, %", 100, 1),
            ("farthest", "farthest pair > nearest other, %", 100, 0),
            ("quarters", "loosest / tightest quarter", 1, 2),
            ("quarters_by_chance", "if equally loose", 1, 2),
            ("nmi", "NMI", 1, 3),
            ("f1", "F1", 1, 3),
            ("silhouette", "silhouette", 1, 3),
        ):
            row[title] = spread(factor * own[column], digits)
        rows.append(row | {"seeds": len(own)})
    return pd.DataFrame(rows)
