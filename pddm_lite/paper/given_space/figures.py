"""Figures of the given space: two distributions, the knob turned, the rungs climbed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...methods import METHODS
from ...training.runs import Run
from ..drawing import (
    COLOURS,
    along,
    axes_grid,
    draw_distribution,
    draw_legend,
    draw_pair_legend,
    histogram_of,
    nothing_to_draw,
    style,
)
from ..wording import spread
from .given import ALONE, CLIMBED, ENDS, ROWS, RUNGS, Key

NOT_RUN = "the given space was not measured in this study"
SHAPES = {0.0: dict(ls="--", mfc="white"), 1.0: dict(ls="-")}


@style()
def distributions(made: Mapping[Key, Run], table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Scores of pairs of unseen species, where only the similarity learned: a row a place of the
    knob, a column a metric. Curves are the first world's, overlaps mean and deviation over worlds;
    `table` is given.measured. All scores share one scale, drawing.ranks."""
    first = {}  # (heterogeneity, row) -> a run whose histograms hold it
    for (h, _, rung, row), run in made.items():
        if rung == ALONE:
            first.setdefault((h, "Euclidean"), run)
            first.setdefault((h, row), run)
    places = [h for h in sorted({h for h, _ in first}) if (h, "PDDM") in first]
    names = [name for name in ROWS if any((h, name) in first for h in places)]
    if not places:
        return nothing_to_draw(NOT_RUN), pd.DataFrame()
    fig, axes = axes_grid(len(places), len(names), 0.9 + 2.7 * len(places))
    frames = []
    for row, h in zip(axes, places, strict=True):
        for ax, name in zip(row, names, strict=True):
            ranking = METHODS[ROWS[name]].rank
            drawn = histogram_of(first[h, name], "distance" if name == "Euclidean" else ranking)
            own = table.query("rung == @ALONE and row == @name and heterogeneity == @h")["overlap"]
            text = f"overlap {spread(own, 3)}"
            draw_distribution(ax, drawn, COLOURS[ROWS[name]], text, 1.3)
            if h == places[0]:
                ax.set_title(name)
            frames.append(drawn.assign(heterogeneity=h, row=name, overlap=own.mean()))
        loose = {0.0: "all equally loose", 1.0: "loose here, tight there"}.get(h, "")
        row[0].set_ylabel(f"heterogeneity {h:g}\n{loose}")
    draw_pair_legend(fig, "shared by both")
    return fig, pd.concat(frames, ignore_index=True)


@style()
def overlap(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Overlap on unseen species against the knob, where only the similarity learned: dots are
    worlds, lines their means."""
    t = table[table["rung"] == ALONE]
    if t.empty:
        return nothing_to_draw(NOT_RUN), t
    fig, axes = axes_grid(1, 1, 4.8)
    ax = axes[0, 0]
    names = [r for r in ROWS if r in set(t["row"])]
    for n, name in enumerate(names):
        own, colour = t[t["row"] == name], COLOURS[ROWS[name]]
        aside = (n - (len(names) - 1) / 2) * 0.012
        along(ax, own["heterogeneity"], own["overlap"], colour, aside)
    places = np.unique(t["heterogeneity"])
    ax.set_xticks(places, [f"{h:g}" for h in places])
    ax.set(xlabel="heterogeneity of the world", ylabel="overlap of the two distributions")
    ax.set_ylim(0)
    ax.grid(axis="y")
    lines = [Line2D([], [], color=COLOURS[ROWS[r]], marker="o", ms=6, label=r) for r in names]
    draw_legend(fig, lines)
    return fig, t[["heterogeneity", "world", "row", "overlap", "auc", "run"]]


@style()
def rungs(table: pd.DataFrame, spreads: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """What learning the space does: left, overlap of the Euclidean metric and PDDM, rung by rung;
    right, how uneven the unseen species are (given.ratios). Dots are worlds, lines their means."""
    t = table[table["row"].isin(CLIMBED) & table["heterogeneity"].isin(ENDS)]
    s = spreads[spreads["heterogeneity"].isin(ENDS)]
    if t.empty:
        return nothing_to_draw(NOT_RUN), t
    # on the first rung both metrics have one space
    s = pd.concat([s[s["row"] != "the world"]] + [
        s[s["row"] == "the world"].assign(row=name) for name in CLIMBED
    ])  # fmt: skip
    fig, axes = axes_grid(1, 2, 5.0)
    for ax, frame, value in ((axes[0, 0], t, "overlap"), (axes[0, 1], s, "ratio")):
        for n, name in enumerate(CLIMBED):
            for h in ENDS:
                own = frame[(frame["row"] == name) & (frame["heterogeneity"] == h)]
                at, colour = own["rung"].map(list(RUNGS).index), COLOURS[ROWS[name]]
                along(ax, at, own[value], colour, (n - 0.5) * 0.08, **SHAPES[h])
        labels = [rung.replace(" with", "\nwith").replace("with a ", "with a\n") for rung in RUNGS]
        ax.set_xticks(range(len(RUNGS)), labels)
        ax.grid(axis="y")
    axes[0, 0].set(ylabel="overlap of the two distributions", ylim=(0, None))
    axes[0, 1].set(ylabel="spread of the loosest quarter of\nclasses over the tightest's (log)")
    axes[0, 1].set_yscale("log")
    places = [1, 1.5, 2, 3, 4, 6]
    axes[0, 1].set_yticks(places, [f"{y:g}" for y in places])
    axes[0, 1].set_yticks([], minor=True)
    axes[0, 1].set_ylim(0.95, max(5.0, 1.1 * s["ratio"].max()))
    lines = [Line2D([], [], color=COLOURS[ROWS[r]], marker="o", ms=6, label=r) for r in CLIMBED]
    lines += [
        Line2D([], [], color="#333333", marker="o", ms=6, label=f"heterogeneity {h:g}", **SHAPES[h])
        for h in ENDS[::-1]
    ]
    draw_legend(fig, lines)
    both = [t[["heterogeneity", "world", "rung", "row", "overlap", "run"]], s]
    return fig, pd.concat(both, ignore_index=True)
