"""Every claim's effect and interval beside what was claimed."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.markers import CARETLEFT, CARETRIGHT
from matplotlib.patches import Patch

from .. import judge, questions
from ..drawing import VERDICTS, axes_grid, axis_limits, draw_legend, style


@style()
def verdict(table: pd.DataFrame, titles: Mapping[str, str]) -> tuple[Figure, pd.DataFrame]:
    """Each claim's effect and 95 % interval beside what was claimed, a panel a unit.

    An interval that goes on beyond the axis ends there in an arrow.
    """
    order = table.groupby("text", sort=False).ngroup()  # a question, on each data set
    panels = {u: table[table["unit"] == u] for u in dict.fromkeys(table["unit"])}
    heights = [len(t) + order[t.index].nunique() + 0.5 for t in panels.values()]
    fig, axes = axes_grid(
        len(panels), 1, 1 + 0.27 * sum(heights) + 0.6 * len(panels), height_ratios=heights
    )
    cut = False
    for ax, (u, t) in zip(axes[:, 0], panels.items(), strict=True):
        below = t[t["claimed"] == "±"].assign(threshold=lambda x: -x["threshold"])
        of = questions.UNITS.get(u)
        log = of is not None and of.ratio
        if of is not None and of.margin:
            ax.axvspan(-of.margin, of.margin, color=VERDICTS[judge.LEVEL], alpha=0.1, lw=0)
        left, right = axis_limits(pd.concat([t, below]), log=log)
        at, y = {}, 0
        for _, same in t.groupby(order):
            what = same["measure"].str.replace(" - ", " − ").tolist()
            head, differ = os.path.commonprefix(what), len(set(what)) > 1
            rest = [f" ({w[len(head) :]})" * differ for w in what]
            head += "best rival" * differ
            head = f"{same['claim'].iloc[0]}  {head}"
            head = head.replace("E_e", "Eₑ")
            ax.text(0.01, y, head, transform=ax.get_yaxis_transform(), va="center", weight="bold")
            for v, rival in zip(same.itertuples(), rest, strict=True):
                y, colour = y + 1, VERDICTS[v.verdict]
                at[y] = titles.get(v.data, v.data) + rival
                ax.plot(
                    np.clip([v.low, v.high], left, right), [y, y], color=colour, lw=4, alpha=0.5
                )
                for end, beyond, arrow in (
                    (left, v.low < left, CARETLEFT),
                    (right, v.high > right, CARETRIGHT),
                ):
                    if beyond:
                        cut = True
                        ax.plot(end, y, marker=arrow, color=colour, ms=13, clip_on=False, zorder=4)
                ax.plot(v.effect, y, "o", color=colour, ms=10)
                for x in (v.threshold, -v.threshold)[: 1 + (v.claimed == "±")]:
                    ax.plot([x, x], [y - 0.45, y + 0.45], color="black", linewidth=2.5)
                beside = dict(transform=ax.get_yaxis_transform(), va="center", color=colour)
                both = v.level and v.verdict == judge.NOT_REPRODUCED
                ax.text(1.01, y, v.verdict + ", level" * both, **beside)
            y += 1
        ax.set_yticks(list(at), at.values())
        if log:
            ax.set_xscale("log", base=2)
            ax.xaxis.set_major_formatter("{x:g}")
        ax.set(xlim=(left, right), ylim=(y - 0.4, -0.6), xlabel=u, ylabel="data")
    marks = [
        Line2D([], [], color="#555555", marker="o", lw=4, ms=10, label="effect, 95 % interval"),
        Line2D(
            [],
            [],
            color="black",
            marker="|",
            ms=14,
            mew=2.5,
            lw=0,
            label="claimed: right of this (C5: left or right); of two such: between them",
        ),
    ]
    if any(u in questions.UNITS and questions.UNITS[u].margin for u in panels):
        level = dict(color=VERDICTS[judge.LEVEL], alpha=0.1)
        marks.append(Patch(**level, label="an interval within this is level"))
    if cut:
        arrow = dict(marker=CARETRIGHT, color="#555555", ms=13, lw=0)
        marks.append(Line2D([], [], **arrow, label="the interval goes on"))
    draw_legend(fig, marks, 2)
    return fig, table
