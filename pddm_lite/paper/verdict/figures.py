"""The verdicts as a heat map: a row a question, a column a data set."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping

import pandas as pd
import seaborn as sns
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from .. import printed
from ..drawing import VERDICTS, axes_grid, draw_legend, nothing_to_draw, style
from ..given_space.claims import GIVEN
from . import tables


@style()
def verdict(table: pd.DataFrame, titles: Mapping[str, str]) -> tuple[Figure, pd.DataFrame]:
    """Each question's verdict and effect on each data set, by kind of claim (printed.KINDS).

    A mark (tables.MARKS) tells the four verdicts apart without colour.
    """
    if table.empty:
        return nothing_to_draw("no claim was asked"), table
    columns = [titles.get(d, d) for d in dict.fromkeys(table["data"])]
    shown = tables.verdict_table(table, titles.get)
    effect = shown["effect [95 % interval]"].str.partition(" [")[0].str.replace("-", "−")
    words = shown["verdict"].map(tables.MARKS) + "  " + effect
    code = table["verdict"].map({v: n for n, v in enumerate(VERDICTS)})
    rows, labels = [], []
    for kind, claims in printed.KINDS.items():
        own = table[table["claim"].isin(claims)]
        if len(own):
            rows.append((dict.fromkeys(columns), dict.fromkeys(columns, "")))
            labels.append(kind)
        for _, same in own.groupby("text", sort=False):
            at = {titles.get(x.data, x.data): x.Index for x in same.itertuples()}
            rows.append(tuple({c: of[i] for c, i in at.items()} for of in (code, words)))
            labels.append(_question(same, shown.loc[same.index, "claimed"].iloc[0]))
    codes, text = (pd.DataFrame(x, columns=columns, index=labels) for x in zip(*rows, strict=True))
    fig, axes = axes_grid(1, 1, 1.2 + 0.3 * len(labels))
    ax = axes[0, 0]
    sns.heatmap(
        codes.astype(float), annot=text.fillna(""), fmt="", annot_kws={"size": 11}, cbar=False,
        cmap=ListedColormap(list(VERDICTS.values())), vmin=-0.5, vmax=len(VERDICTS) - 0.5,
        linewidths=2, ax=ax,
    )  # fmt: skip
    for label in ax.get_yticklabels():
        label.set(weight="bold" if label.get_text() in printed.KINDS else "normal", size=11)
    ax.set_xticklabels([textwrap.fill(c, 10) for c in columns], rotation=0, size=11)
    ax.set(xlabel="data", ylabel="question, and what is claimed of its effect")
    ax.tick_params(length=0)
    marks = [Patch(color=c, label=f"{tables.MARKS[v]}  {v}") for v, c in VERDICTS.items()]
    draw_legend(fig, marks)
    return fig, table


def _question(same: pd.DataFrame, claimed: str) -> str:
    """ "C10  PDDM+Quadruplet − best rival  > 8" of the rows of one question."""
    what = same["measure"].tolist()
    head = os.path.commonprefix(what) + "best rival" * (len(set(what)) > 1)
    part = same["part"].iloc[0]
    if part.startswith(f"{GIVEN}: "):  # which says at which heterogeneity
        head = f"{head.partition(':')[0]}: {part.removeprefix(f'{GIVEN}: ')}"
    elif part.startswith("over the best rival"):  # run with care, or as printed
        head = head.replace("best rival", part.removeprefix("over the "))
    head = head.replace(" - ", " − ").replace("E_e", "Eₑ")
    return f"{same['claim'].iloc[0]}  {head}  {claimed}"
