"""What each change of the recipe or the method does to Recall@1, and one setting turned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...methods import METHODS
from ...training.runs import Run
from ..drawing import (
    COLOURS,
    axes_grid,
    beside,
    draw_legend,
    nothing_to_draw,
    style,
)
from ..questions import PDDM


@style()
def changes(table: pd.DataFrame, titles: Mapping[str, str]) -> tuple[Figure, pd.DataFrame]:
    """Each change's effect on test Recall@1 with its 95 % interval: a column a data set.

    `table` is claims.effects. Filled marks rank by distance, hollow ones by the score; a cross
    stands where runs collapsed, a black tick at the paper's change. An interval that meets the
    frame goes on beyond it.
    """
    table = table[table["effect"].notna()]
    if table.empty:
        return nothing_to_draw("no change of the method was run"), table
    lines = []  # the name of each group, and its changes below it
    for group, own in table.groupby("group", sort=False):
        lines += [(group, ""), *((group, change) for change in dict.fromkeys(own["change"]))]
    data = list(dict.fromkeys(table["data"]))
    fig, axes = axes_grid(1, len(data), 1.5 + 0.36 * len(lines), sharey=True)
    # effects and the paper's changes whole, and intervals as far as is sane
    points, ends = table[["effect", "claimed"]].stack(), table[["low", "high"]].stack()
    low, high = min(points.min(), -1.0), max(points.max(), 1.0)
    room = 0.4 * (high - low)
    left = max(min(low, ends.min()), low - room)
    right = min(max(high, ends.max()), high + room)
    for ax, d in zip(axes[0], data, strict=True):
        _changes(ax, table[table["data"] == d], lines)
        ax.set(xlim=(left - 0.1 * room, right + 0.1 * room), title=beside(titles[d]))
        ax.set(xlabel="change of test Recall@1\n(points; right of 0: better)")
    ax = axes[0, 0]
    words = [change.replace("E_e", "Eₑ") or group for group, change in lines]
    ax.set_yticks(range(len(lines)), words)
    for label, (_, change) in zip(ax.get_yticklabels(), lines, strict=True):
        label.set_weight("normal" if change else "bold")
    ax.set(ylim=(len(lines) - 0.5, -0.5), ylabel="change")
    mark = dict(color="#333333", marker="o", lw=4, ms=8)
    marks = [
        Line2D([], [], color=COLOURS[m], lw=4, label=m)
        for m in METHODS
        if m in set(table["method"])
    ]
    marks += [
        Line2D([], [], **mark, label="ranked by distance"),
        Line2D([], [], **mark, mfc="white", mew=2, label="ranked by score"),
    ]
    if table["claimed"].notna().any():
        tick = dict(color="black", marker="|", ms=14, mew=2.5, lw=0)
        marks.append(Line2D([], [], **tick, label="the paper's change"))
    if table["collapsed"].any():
        label = "a run or more collapsed"
        marks.append(Line2D([], [], color="#333333", marker="X", lw=0, ms=10, label=label))
    draw_legend(fig, marks, 3)
    return fig, table


def _changes(ax, own: pd.DataFrame, lines: Sequence[tuple[str, str]]) -> None:
    """A line a change; its marks, a method and ranking each, one below the other."""
    for (group, change), t in own.groupby(["group", "change"], sort=False):
        apart = 0.26 * (np.arange(len(t)) - (len(t) - 1) / 2)
        for y, v in zip(lines.index((group, change)) + apart, t.itertuples(), strict=True):
            colour, crossed = COLOURS[v.method], v.collapsed > 0
            look = dict(color=colour, lw=4, alpha=0.5, solid_capstyle="butt")
            ax.plot([v.low, v.high], [y, y], **look)
            hollow = dict(mfc="white", mew=2) if v.ranking == "score" else {}
            ax.plot(
                v.effect, y, "X" if crossed else "o", color=colour, ms=8 + 2 * crossed, **hollow
            )
            ax.plot([v.claimed] * 2, [y - 0.15, y + 0.15], color="black", lw=2.5, zorder=4)
    ax.axvline(0, color="black", linewidth=1.5, zorder=0)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x")


@style()
def turned(before: Run, after: Run, words: str) -> tuple[Figure, pd.DataFrame]:
    """One setting turned: loss and held-out Recall@1 of two runs of one seed, step by step.

    Test classes are not shown: what is chosen here is chosen on the held-out training classes.
    """
    runs = {"the recipe as it stands": before, words: after}
    frame = pd.concat([run.history.assign(recipe=name) for name, run in runs.items()])
    shown = {
        "loss": "loss",
        "val_recall_1": "Recall@1 of held-out classes,\nby distance (%)",
        "val_score_recall_1": "Recall@1 of held-out classes,\nby score (%)",
    }
    columns = [c for c in shown if c in frame and frame[c].notna().any()]
    fig, axes = axes_grid(1, len(columns), 4.0)
    look = dict(hue="recipe", style="recipe", palette=["#333333", COLOURS[PDDM]])
    for ax, column in zip(axes[0], columns, strict=True):
        sns.lineplot(frame, x="step", y=column, ax=ax, legend=ax is axes[0, 0], **look)
        ax.set_ylabel(shown[column])
        ax.grid(axis="y")
    handles, _ = axes[0, 0].get_legend_handles_labels()
    axes[0, 0].get_legend().remove()
    draw_legend(fig, handles, 2)
    return fig, frame[["recipe", "step", *columns]]
