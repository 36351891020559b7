"""Figures of changes of the recipe and of the method: the paper's ablations, C11 to C13."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .. import judge
from ..claims import VariantRuns
from ..drawing import (
    COLOURS,
    FIG_4,
    VERDICTS,
    axes_grid,
    axis_limits,
    band,
    beside,
    draw_legend,
    new_figure,
    nothing_to_draw,
    style,
)
from . import claims


@style()
def recipe(table: pd.DataFrame, titles: Mapping[str, str]) -> tuple[Figure, pd.DataFrame]:
    """What changes of the recipe are worth, and PDDM against Euclidean mining by quadruplets.

    `table` is claims.recipe_effects. Changes stand in one order for all data sets, the one that
    costs most on top. An interval that meets the frame goes on beyond it.
    """
    recall_1 = table[table["measure"] == "recall_1"].assign(threshold=0.0)
    kinds = {k: t for k, t in recall_1.groupby("compared")}
    if not kinds:
        return nothing_to_draw("no changes of the recipe and no two minings were run"), table
    data = list(dict.fromkeys(recall_1["data"]))
    change = kinds.get("change", recall_1[:0])
    names = change.groupby("variant")["effect"].mean().sort_values(ascending=False).index.tolist()
    each, ratios = max(3.0, 0.9 + 0.42 * len(names)), [{"change": 5, "mining": 3}[k] for k in kinds]
    fig, axes = axes_grid(len(data), len(kinds), 0.9 + each * len(data), width_ratios=ratios)
    for row, d in zip(axes, data, strict=True):
        for ax, (kind, every) in zip(row, kinds.items(), strict=True):
            own = every[every["data"] == d]
            draw = _changes if kind == "change" else _minings
            left, right = axis_limits(every, log=False)
            draw(ax, own, (min(left, -1.0), max(right, 1.0)), names)
        row[0].set_ylabel(f"{beside(titles[d])}\n{row[0].get_ylabel()}")
    shown = [m for m in FIG_4 if m in set(change["method"])]
    lines = [Line2D([], [], color=COLOURS[m], marker="o", lw=4, ms=9, label=m) for m in shown]
    if change["collapsed"].any():
        label = "a run or more collapsed"
        lines.append(Line2D([], [], color="#333333", marker="X", lw=0, ms=11, label=label))
    if "mining" in kinds:
        of = {judge.REPRODUCED: "PDDM better", judge.NOT_REPRODUCED: "Euclidean better"}
        for word in dict.fromkeys(kinds["mining"]["verdict"]):
            mark = dict(color=VERDICTS[word], marker="D", lw=4, ms=8)
            lines.append(Line2D([], [], **mark, label=of.get(word, word)))
    draw_legend(fig, lines, 4 if len(lines) == 4 else 3)
    return fig, table


def _changes(ax, own: pd.DataFrame, limits: tuple[float, float], names: Sequence[str]) -> None:
    """A line a change of the recipe: dots with intervals, a cross where a run collapsed."""
    dodge = {m: 0.16 * (2 * n - 1) for n, m in enumerate(FIG_4[::-1])}
    for v in own.itertuples():
        twice = (own["variant"] == v.variant).sum() > 1
        y, colour = names.index(v.variant) - twice * dodge[v.method], COLOURS[v.method]
        ax.plot(np.clip([v.low, v.high], *limits), [y, y], color=colour, lw=4, alpha=0.5)
        ax.plot(v.effect, y, "X" if v.collapsed else "o", color=colour, ms=11 if v.collapsed else 9)
        if v.collapsed:
            words = f"{v.collapsed} of {v.seeds} collapsed"
            right = dict(transform=ax.get_yaxis_transform(), ha="right", va="center", color=colour)
            ax.text(0.99, y, words, fontsize=11, bbox=dict(fc="white", ec="none", pad=1), **right)
    ax.axvline(0, color="black", linewidth=1.5, zorder=0)
    ax.set_yticks(range(len(names)), names)
    ax.set(xlim=limits, ylim=(-0.6, len(names) - 0.4), ylabel="change")
    ax.set(title="change − recipe as it stands", xlabel="Recall@1 (points)")
    ax.grid(axis="x")


def _minings(ax, own: pd.DataFrame, limits: tuple[float, float], _: Sequence[str]) -> None:
    """PDDM mining minus Euclidean mining, by the number of quadruplets a batch."""
    for x, v in enumerate(own.itertuples()):
        colour = VERDICTS[v.verdict]
        ax.plot([x, x], np.clip([v.low, v.high], *limits), color=colour, lw=4, alpha=0.5)
        ax.plot(x, v.effect, "D", color=colour, ms=9)
        beside = dict(va="center", fontsize=11, bbox=dict(fc="white", ec="none", pad=1))
        ax.text(x + 0.14, v.effect, f"{v.effect:+.1f}", **beside)
    ax.axhline(0, color="black", linewidth=1.5, zorder=0)
    ax.set_xticks(range(len(own)), [str(q or "all") for q in own["quadruplets"]])
    ax.set(ylim=limits, xlim=(-0.5, max(len(own), 1) - 0.3), xlabel="quadruplets a batch")
    ax.set(title="PDDM − Euclidean", ylabel="Recall@1 (points)")
    ax.grid(axis="y")


# group of claims.ABLATED -> (setting, its letter): Recall@1 against these has panels of its own
ALONG = {"length of f": ("embedding_size", "d"), "batch size": ("batch_size", "m")}
RANKINGS = {"distance": "-", "score": "--"}  # the score's marks are open, too


@style()
def ablations(variant_runs: VariantRuns, titles: Mapping[str, str]) -> tuple[Figure, pd.DataFrame]:
    """What each change of the method does, beside what the paper says of it: a column a data set.

    Takes what claims.ablation_effects takes. Below the changes, Recall@1 against d and m where the
    study has several. An interval that meets the frame goes on beyond it.
    """
    effects, levels = claims.ablation_effects(variant_runs), _levels(variant_runs)
    if effects.empty:
        return nothing_to_draw("none of the paper's ablations was run"), effects
    data, below = list(dict.fromkeys(effects["data"])), levels.groupby("group", sort=False)["at"]
    lines = []  # the name of each group, and its changes below it
    for group, own in effects.groupby("group", sort=False):
        lines += [(group, ""), *((group, change) for change in dict.fromkeys(own["change"]))]
    heights, widths = [0.9 + 0.3 * len(lines)], [1 + number for number in below.nunique()]
    heights += [2.8] * bool(widths)
    fig, wide = new_figure(0.7 + sum(heights)), len(widths) or 1
    shape = dict(height_ratios=heights, width_ratios=(widths or [1]) * len(data))
    cells = fig.add_gridspec(len(heights), wide * len(data), **shape)
    limits = axis_limits(effects.assign(threshold=effects["claimed"].fillna(0)), False, most=0.4)
    for n, d in enumerate(data):
        ax = fig.add_subplot(cells[0, wide * n : wide * (n + 1)])
        _ablated(ax, effects[effects["data"] == d], lines)
        ax.set(xlim=limits, title=textwrap.fill(titles[d], 64 // len(data)))
        ax.set_ylabel("" if n else "change")
        ax.tick_params(labelleft=not n)
        own, first = levels[levels["data"] == d].groupby("group", sort=False), None
        for k, (group, points) in enumerate(own):
            ax = fig.add_subplot(cells[1, wide * n + k], sharey=first)
            first = first or ax
            _along(ax, points, ALONG[group][1])
            ax.set_ylabel("" if n or k else "test Recall@1 (%)")
            ax.tick_params(labelleft=not k)
    mark = dict(color="#333333", marker="o", lw=4, ms=8)
    marks = [
        Line2D([], [], **mark, label="by distance"),
        Line2D([], [], **mark, mfc="white", mew=2, label="by score"),
    ]
    if effects["claimed"].notna().any():
        tick = dict(color="black", marker="|", ms=14, mew=2.5, lw=0)
        marks.append(Line2D([], [], **tick, label="the paper's change"))
    if effects["collapsed"].any():
        label = "a run or more collapsed"
        marks.append(Line2D([], [], color="#333333", marker="X", lw=0, ms=10, label=label))
    for m in [m for m in FIG_4[::-1] if m in set(levels["method"])]:
        marks.append(Line2D([], [], color=COLOURS[m], lw=4, label=m))
    draw_legend(fig, marks, 3 if len(marks) in (5, 6) else 4)
    return fig, pd.concat([effects, levels], ignore_index=True)


def _ablated(ax, own: pd.DataFrame, lines: Sequence[tuple[str, str]]) -> None:
    """A line a change, by distance above by score; a cross where runs collapsed."""
    for v in own.itertuples():
        y, colour = lines.index((v.group, v.change)), COLOURS[v.method]
        if (own["change"] == v.change).sum() > 1:
            y += {"distance": -0.2, "score": 0.2}[v.ranking]
        ax.plot([v.low, v.high], [y, y], color=colour, lw=4, alpha=0.5, solid_capstyle="butt")
        open_, ms = (
            dict(mfc="white", mew=2) if v.ranking == "score" else {},
            11 if v.collapsed else 8,
        )
        ax.plot(v.effect, y, "X" if v.collapsed else "o", color=colour, ms=ms, **open_)
        ax.plot([v.claimed] * 2, [y - 0.19, y + 0.19], color="black", lw=2.5, zorder=4)
    for group, change in lines:
        if not change:
            y = lines.index((group, change))
            ax.axhline(y - 0.5, color="#dddddd", linewidth=1, zorder=0)
    ax.axvline(0, color="black", linewidth=1.5, zorder=0)
    ax.set_yticks(
        range(len(lines)), [change.replace("E_e", "Eₑ") or group for group, change in lines]
    )
    for label, (_, change) in zip(ax.get_yticklabels(), lines, strict=True):
        label.set_weight("normal" if change else "bold")
    ax.set(ylim=(len(lines) - 0.5, -0.5), xlabel="change of test Recall@1 (points)")
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x")


def _levels(variant_runs: VariantRuns) -> pd.DataFrame:
    """Test Recall@1 a seed along the settings in ALONG, of the methods that were run at several."""
    rows = []
    for group, (setting, _) in ALONG.items():
        for (d, variant, m, s), run in variant_runs.items():
            if m in FIG_4 and variant in ("", *claims.ABLATED[group]):
                x = getattr(run.experiment, setting)
                for ranking, measures in run.metrics["test"].items():
                    rows.append((d, group, m, ranking, s, x, measures["recall_1"]))
    columns = ["data", "group", "method", "ranking", "seed", "at", "recall_1"]
    levels = pd.DataFrame(rows, columns=columns)
    return levels[levels.groupby(columns[:4])["at"].transform("nunique") > 1]


def _along(ax, own: pd.DataFrame, name: str) -> None:
    """Recall@1 against one setting: mean and, as a band, lowest to highest seed."""
    for (m, ranking), t in own.groupby(["method", "ranking"], sort=False):
        face = "white" if ranking == "score" else COLOURS[m]
        look = dict(ls=RANKINGS[ranking], marker="o", ms=7, mfc=face, mew=2)
        band(ax, t, "at", "recall_1", COLOURS[m], **look)
    at = sorted(own["at"].unique())
    ax.set(xscale="log", xlabel=name)
    ax.set_xticks(at, [str(x) for x in at])
    ax.minorticks_off()
    ax.margins(x=0.08)
    ax.grid(axis="y")
