"""Table and generated words of notebook 40_embedding."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ...measures import spread as spreads
from ...methods import METHODS
from ..claims import Runs
from ..wording import spread
from .figures import Names, distances, first_seed, firsts, pairs


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
            ("quarters", "loosest / tightest quarter", 1, 2),
            ("quarters_by_chance", "if equally loose", 1, 2),
            ("nmi", "NMI", 1, 3),
            ("f1", "F1", 1, 3),
            ("silhouette", "silhouette", 1, 3),
        ):
            row[title] = spread(factor * own[column], digits)
        rows.append(row | {"seeds": len(own)})
    return pd.DataFrame(rows)


def sentences(survey: pd.DataFrame, runs: Runs, titles: Mapping[str, str], names: Names) -> str:
    """What the enlarged classes and the spreads of all say, from the numbers alone."""
    lines, chosen = [], pairs(runs)
    for d, own in firsts(runs).items():
        a, b = chosen[d]
        A, B = (names[d][c].replace("_", " ") for c in (a, b))
        for m, run in own.items():
            stored, seed = run.embeddings, first_seed(runs, d, m)
            found = distances(stored["f"], stored["labels"], a, b)
            within, across, tight = ((x**2).mean() ** 0.5 for x in found.values())
            word = "exceeds" if within > across else "does not exceed"
            far = 100 * spreads.of(run, spreads.farthest)
            some = len(stored["labels"]) > spreads.PAIRED  # then not all classes are asked
            which = f" (of those drawn, at most {spreads.PAIRED:,} images)" if some else ""
            lines.append(
                f"Seed {seed}, {titles[d]}, {m}: the distance within {A} (rms {within:.3f}) {word} "
                f"that to {B} ({across:.3f}); within {B} it is {tight:.3f}. In {far:.0f} % of "
                f"classes{which} the two farthest images lie farther apart than the class's "
                "nearest pair with another class."
            )
            found = survey[(survey["data"] == d) & (survey["method"] == m)]
            mine, n = found.mean(numeric_only=True), len(found)
            over = f"Mean of {n} seeds" if n > 1 else f"Seed {seed}"
            lines.append(
                f"  {over}: spread exceeds the gap in {100 * mine['looser']:.0f} % of the unseen "
                "classes, "
                f"were all equally loose in {100 * mine['looser_by_chance']:.0f} %; the loosest "
                f"quarter spreads {mine['quarters']:.2f} times as far as the tightest, were all "
                f"equally loose {mine['quarters_by_chance']:.2f} times."
            )
    return "\n".join(lines) or "No method with quadruplets was run: nothing was enlarged."
