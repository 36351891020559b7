"""Table 1 as a figure, and what is retrieved, image by image (Fig. 4, bottom)."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from PIL import ImageOps

from ...data import ImageSet
from ...measures.neighbours import Found
from ...methods import METHODS
from ...training.study import measures
from .. import printed as paper
from ..decide import Runs
from ..drawing import (
    COLOURS,
    NEGATIVE,
    POSITIVE,
    WIDTH,
    axes_grid,
    beside,
    dots,
    draw_legend,
    new_figure,
    nothing_to_draw,
    style,
)
from ..printed import PAPER_HALF

COLUMNS = ["query", "rank", "retrieved", "S", "D", "place", "right"]
LOOK = {True: (POSITIVE, "✓", "right: of the query's class"), False: (NEGATIVE, "✗", "wrong")}
DARK, WHITE = "#333333", dict(color="white", fontsize=12)
STEP, ROW, BEFORE = 1.1, 1.76, 0.25  # picture to picture, row to row, gap after the query; sides


@style()
def retrieved(found: Found, data: ImageSet, side: int = 112) -> tuple[Figure, pd.DataFrame]:
    """A row a query, worst ranked first: its picture, and those that the score ranks nearest.

    Under each its score S, its squared distance D, and its rank by distance, bold where that is
    beyond the row. `side` is that of a picture in pixels.
    """
    shown = found.shown
    nearest = shown["rank"].max()
    lefts = np.r_[0, np.arange(1, nearest + 1) * STEP + BEFORE]
    width, height = lefts[-1] + 1, ROW * len(found.queries)
    fig = new_figure(0.9 + height * (WIDTH - 1.3) / width)
    fig.set_layout_engine("compressed")  # knows that pictures keep their shape
    ax = fig.subplots()
    # one picture of pictures: drawn, and written to the SVG, once
    canvas = np.full((round(height * side), round(width * side), 3), 255, np.uint8)
    digits = {x: _digits(shown[x]) for x in "SD"}
    for n, q in enumerate(found.queries):
        own, top = shown[shown["query"] == q], n * ROW
        name = re.sub(r"^\d+\.", "", data.class_names[data.labels[q]]).replace("_", " ")
        words = textwrap.fill(name, 14, max_lines=3, placeholder="…")
        _frame(ax, 0, top, DARK, str(n + 1), words)
        for x, left in zip(own.itertuples(), lefts[1:], strict=True):
            colour, mark, _ = LOOK[x.right]
            words = f"S {x.S:.{digits['S']}f}\nD {x.D:.{digits['D']}f}".replace("-", "−")
            _frame(ax, left, top, colour, mark, f"{words}\n")
            weight = "bold" if x.place > nearest else "normal"
            beyond = dict(color=colour, ha="center", va="top", fontsize=11.5, weight=weight)
            ax.text(left + 0.5, top + 1.45, f"by D: {x.place}", **beyond)
        for i, left in zip((q, *own["retrieved"]), lefts, strict=True):
            y, x = round(top * side), round(left * side)
            tile = np.asarray(ImageOps.fit(data.read(int(i)).convert("RGB"), (side, side)))
            canvas[y : y + side, x : x + side] = tile[:, : canvas.shape[1] - x]
    ax.imshow(canvas, extent=(0, width, height, 0), interpolation="nearest")
    right = shown.groupby("query")["right"].sum()[list(found.queries)]
    ax.set_yticks(np.arange(len(right)) * ROW + 0.5, [f"{r} of {nearest}\nright" for r in right])
    ax.set_xticks(lefts + 0.5, ["query", *range(1, nearest + 1)])
    ax.tick_params(length=0)
    drawn = found.ranked["query"].nunique()
    ax.set(xlim=(-0.05, width + 0.05), ylim=(height, -0.05))
    ax.set(xlabel=f"{data.title}: rank by PDDM's score S")
    ax.set(ylabel=f"query, from the worst ranked to the best of {drawn} drawn at random")
    ax.spines[:].set_visible(False)
    lines = [Patch(color=c, label=f"{mark} {what}") for c, mark, what in LOOK.values()]
    words = f"D: squared distance; by D: rank by distance (bold: beyond {nearest})"
    draw_legend(fig, [*lines, Line2D([], [], lw=0, label=words)], 3)
    return fig, shown[COLUMNS]


def _digits(x: pd.Series) -> int:
    """Decimals that tell the values of x apart: two digits of their range."""
    return int(np.clip(1 - np.floor(np.log10(np.ptp(x) or 1)), 1, 6))


def _frame(ax, left: float, top: float, colour: str, mark: str, words: str) -> None:
    """The frame of a picture, a mark in its corner, and words under it."""
    ax.add_patch(Rectangle((left, top), 1, 1, fill=False, edgecolor=colour, linewidth=4))
    badge = dict(boxstyle="round,pad=0.15", facecolor=colour, edgecolor="none")
    ax.text(left + 0.04, top + 0.05, mark, va="top", weight="bold", bbox=badge, **WHITE)
    ax.text(
        left + 0.5, top + 1.06, words, color=colour, ha="center", va="top", fontsize=11.5,
        linespacing=1.15,
    )  # fmt: skip


@style()
def places(
    found: Mapping[str, Found], planes: Mapping[str, pd.DataFrame], titles: Mapping[str, str]
) -> tuple[Figure, pd.DataFrame]:
    """t-SNE of the features, a panel a data set: each query joined to what it retrieves.

    planes: data -> neighbours.plane. It shows no picture.
    """
    if not found:
        columns = ["image", "class", "x", "y", "data", "role"]
        return nothing_to_draw("PDDM score was not run"), pd.DataFrame(columns=columns)
    fig, axes = axes_grid(1, len(found), 6.2 if len(found) > 1 else 6.8)
    frames = []
    for ax, (d, own) in zip(axes[0], found.items(), strict=True):
        at = planes[d].set_index("image")[["x", "y"]]
        ax.plot(*at.to_numpy().T, "o", color="#bbbbbb", ms=3.5, mew=0)
        classes = planes[d].set_index("image")["class"]
        mates = classes.isin(classes[list(own.queries)]).to_numpy()
        ax.plot(*at[mates].to_numpy().T, "o", mfc="none", mec=POSITIVE, ms=6, mew=1.2)
        for n, q in enumerate(own.queries):
            for x in own.shown[own.shown["query"] == q].itertuples():
                colour, _, _ = LOOK[x.right]
                way = at.loc[[q, x.retrieved]].to_numpy().T
                ax.plot(*way, color=colour, lw=1.2, alpha=0.8)
                ax.plot(*way[:, 1], "o" if x.right else "X", color=colour, ms=7, mec="w", mew=0.7)
            box = dict(boxstyle="circle,pad=0.1", facecolor=DARK, edgecolor="white")
            ax.text(*at.loc[q], n + 1, ha="center", va="center", weight="bold", bbox=box, **WHITE)
        ax.set(title=titles[d], xticks=[], yticks=[], xlabel="t-SNE 1", ylabel="t-SNE 2")
        role = pd.Series("", at.index)
        role[own.shown["retrieved"]], role[list(own.queries)] = "retrieved", "query"
        frames.append(planes[d].assign(data=d, role=role.to_numpy()))
    mark, ring = dict(lw=1.2, ms=8, mec="w"), dict(marker="o", lw=0, ms=6, mew=1.2)
    lines = [
        Line2D([], [], marker="o", color=DARK, lw=0, ms=12, label="query, its number"),
        Line2D([], [], marker="o", color=POSITIVE, label="retrieved, right", **mark),
        Line2D([], [], marker="X", color=NEGATIVE, label="retrieved, wrong", **mark),
        Line2D([], [], mfc="none", mec=POSITIVE, label="of a query's class", **ring),
        Line2D([], [], marker="o", color="#bbbbbb", lw=0, ms=5, label="others"),
    ]
    draw_legend(fig, lines, 5)
    return fig, pd.concat(frames, ignore_index=True)


@style()
def recall(runs: Runs, titles: Mapping[str, str]) -> tuple[Figure, pd.DataFrame]:
    """Table 1: Recall@1 a seed and method, the paper's on ITS data apart, and Recall@K."""
    tidy = measures(runs)
    tidy = tidy[tidy["measure"].str.startswith("recall_")]
    frame = tidy.assign(K=tidy["measure"].str[7:].astype(int), source="run")
    frame = frame.rename(columns={"value": "recall"}).drop(columns=["measure", "run"])
    if frame.empty:
        return nothing_to_draw("no method was run"), frame
    names = [m for m in METHODS if m in set(frame["method"])]
    at = {m: len(names) - 1 - n for n, m in enumerate(names)}
    data = list(dict.fromkeys(frame["data"]))
    fig, axes = axes_grid(
        # high enough for the words beside the axes, however few the methods
        len(data),
        3,
        0.7 + 0.42 * len(data) * max(len(names) + 2, 9),
        width_ratios=(4, 3, 4),
    )
    for (ours, printed, curve), d in zip(axes, data, strict=True):
        here = frame[(frame["data"] == d) & (frame["source"] == "run")]
        level = here.groupby("K")["recall"].mean()
        for m in names:
            own = here[here["method"] == m]
            dots(ours, own[own["K"] == 1]["recall"], at[m], COLOURS[m], 1)
            mean = own.groupby("K")["recall"].mean() - level
            dashes = "--" if METHODS[m].rank == "score" else "-"
            curve.plot(mean.index, mean, dashes, color=COLOURS[m], marker="o", ms=4)
        start = [r.metrics["start"] for (e, m, _), r in runs.items() if (e, m) == (d, names[-1])]
        ours.axvline(np.mean(start), color="#333333", ls=":", lw=2, zorder=1)
        half = PAPER_HALF.get(d.partition("@")[0], "")
        theirs = {m: v for m, v in paper.TABLE_1.get(half, {}).items() if m in at}
        values = [v[0] for v in theirs.values()]
        printed.plot(values, [at[m] for m in theirs], "o", mfc="none", mec="#555555", mew=2, ms=8)
        printed.set_facecolor("#f1f1f1")
        printed.set_xlabel(f"paper, {half}:\nRecall@1 (%)" if half else "not in the paper")
        ours.set_xlabel(f"{beside(titles[d])}:\ntest Recall@1 (%, right: better)")
        curve.set(
            xscale="log",
            xlabel="K (colours as at the left)",
            ylabel="Recall@K over the mean\nof all methods (points)",
        )
        curve.set_xticks(paper.KS, [str(k) for k in paper.KS])
        curve.minorticks_off()
        for ax, labels in ((ours, names), (printed, [""] * len(names))):
            ax.set_yticks(list(at.values()), labels)
            ax.set(ylim=(-0.6, len(names) - 0.4), ylabel="method" if ax is ours else " ")
            ax.margins(x=0.12)
        for ax in (ours, printed, curve):
            ax.grid()
        shown = pd.DataFrame(theirs, index=paper.KS).rename_axis("K").reset_index()
        shown = shown.melt("K", var_name="method", value_name="recall")
        frame = pd.concat([frame, shown.assign(data=d, source=f"paper, {half}")])
    draw_legend(
        fig,
        [
            Line2D([], [], marker="o", color="#333333", alpha=0.6, linestyle="", label="a seed"),
            Line2D([], [], marker="|", color="#333333", ms=14, mew=3, linestyle="", label="mean"),
            Line2D([], [], color="#333333", ls=":", label="before training"),
            Line2D([], [], color="#333333", linestyle="-", label="ranked by distance"),
            Line2D([], [], color="#333333", linestyle="--", label="ranked by score"),
        ],
        5,
    )
    return fig, frame.reset_index(drop=True)
