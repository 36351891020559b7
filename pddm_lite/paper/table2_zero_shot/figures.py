"""Figures of zero-shot recognition (Table 2, right): how often it is right, and how far it errs.

Both draw what `unseen.measured` returns; each returns the figure and the table that it shows.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ..drawing import COLOURS, axes_grid, beside, dots, draw_legend, nothing_to_draw, style
from ..table2 import METHODS, PDDM, PLAIN
from ..wording import shown
from .tables import NOTHING, OTHERS, THEIRS, misses, order, rows
from .unseen import LEARNED, RULE, SHUFFLED, TRUE
from .zero_shot import KS

GREY, FLOOR = "#555555", "#999999"
FLOORS = {"marker": "x", "ls": "", "color": FLOOR, "mew": 1.5}


def look(row: str) -> dict[str, object]:
    """A row's marker: in its method's colour; a square for rivals, hollow for plain features."""
    marker = {
        "marker": "s" if row in (*OTHERS, LEARNED) else "o",
        "ls": "",
        "color": COLOURS.get(row, GREY),
    }
    return marker | ({"mfc": "none", "mew": 2} if row == PLAIN else {})


@style()
def right(results: pd.DataFrame, titles: Mapping[str, str]) -> tuple[Figure, pd.DataFrame]:
    """Flat top-5 and top-1 of each row; under each the floors, and the ceiling that ties leave.

    Rows above the line are features, with classes told apart by RULE; below are rivals. The paper's
    numbers, of other data, stand apart.
    """
    if results.empty:
        return nothing_to_draw(NOTHING), results
    frame = rows(results)
    names, data = order(frame), list(dict.fromkeys(frame["data"]))
    at = {r: len(names) - 1 - n for n, r in enumerate(names)}
    fig, axes = axes_grid(
        len(data), 3, 0.9 + 0.42 * len(data) * (len(names) + 2), width_ratios=(4, 4, 3)
    )
    for (*ours, printed), d in zip(axes, data, strict=True):
        for ax, k in zip(ours, sorted(KS, reverse=True), strict=True):
            here = frame[(frame["data"] == d) & (frame["k"] == k)]
            true = here[here["hierarchy"] == TRUE]
            for r in names:
                own = true[true["row"] == r]["flat"]
                if len(own):
                    dots(ax, own, at[r], digits=1, ms=8, **look(r))
            floor = here[here["hierarchy"] == SHUFFLED]["flat"].mean()
            guess = here["chance"].iloc[0]
            ceiling = true[true["by"] == RULE]["ceiling"].mean()
            ax.set_xlabel(
                f"flat top-{k} (%)\nguessing {shown(guess, 1)}, shuffled {shown(floor, 1)},\n"
                f"ceiling {shown(ceiling, 1)}"
            )
            ax.margins(x=0.12)
        theirs = {r: v for r, v in THEIRS.items() if r in at}
        printed.plot(
            list(theirs.values()), [at[r] for r in theirs], "o", mfc="none", mec=GREY, mew=2, ms=8
        )
        printed.set(facecolor="#f1f1f1", xlabel="paper, ImageNet 2010\n(800/200): top-5 (%)")
        for ax in (*ours, printed):
            ax.set_yticks(list(at.values()), names if ax is ours[0] else [""] * len(names))
            ax.set(ylim=(-0.6, len(names) - 0.4))
            ax.grid()
            if sum(r in OTHERS for r in names):
                ax.axhline(sum(r in OTHERS for r in names) - 0.5, color="#bbbbbb", lw=1)
        ours[0].set_ylabel(f"{beside(titles[d])}\nfeatures, or rival")
    marks = [
        Line2D([], [], alpha=0.7, ms=8, label="a seed", **look(PDDM) | {"color": "#333333"}),
        Line2D([], [], marker="|", ms=14, mew=3, lw=0, color="#333333", label="mean"),
        Line2D([], [], alpha=0.7, ms=8, label="the network's own", **look(PLAIN)),
        Line2D([], [], alpha=0.7, ms=8, label="a rival of Table 2", **look("ConSE")),
    ]
    draw_legend(fig, marks, 4)
    return fig, frame.drop(columns="run")


@style()
def astray(errors: pd.DataFrame, titles: Mapping[str, str]) -> tuple[Figure, pd.DataFrame]:
    """How far in the hierarchy answers lie from the truth, by RULE, beside guessing.

    Left: share of images by distance, of the hierarchy as it is. Right: mean distance of the wrong
    answers alone.
    """
    if errors.empty:
        return nothing_to_draw(NOTHING), errors
    own = errors[(errors["by"] == RULE) & (errors["hierarchy"] == TRUE)]
    # a draw that lacks a distance has a share of 0 there
    draws = own.groupby("data")["draw"].nunique()
    key = ["data", "features", "seed", "distance"]
    frame = own.groupby(key, sort=False)[["share", "chance"]].sum().reset_index()
    number = frame["data"].map(draws)
    frame = frame.assign(share=frame["share"] / number, chance=frame["chance"] / number)
    far = misses(errors)
    data = list(dict.fromkeys(frame["data"]))
    names = [r for r in (*METHODS[::-1], PLAIN, LEARNED) if r in set(frame["features"])]
    fig, axes = axes_grid(len(data), 2, 0.9 + 3.4 * len(data), width_ratios=(3, 2))
    for (shares, mean), d in zip(axes, data, strict=True):
        here = frame[frame["data"] == d]
        chance = here.groupby("distance")["chance"].mean()
        shares.bar(chance.index, chance, color="#cccccc", zorder=0, label="guessing (left)")
        for n, r in enumerate(names):
            by = here[here["features"] == r].groupby("distance")["share"]
            c, apart = look(r)["color"], 0.8 / len(names)
            x = by.mean().index + apart * (n - (len(names) - 1) / 2)
            shares.vlines(x, by.min(), by.max(), color=c, lw=2)
            shares.plot(x, by.mean(), ms=6, **look(r))
            one = far[(far["data"] == d) & (far["features"] == r)]
            y = len(names) - 1 - n
            found, floor = (one[one["hierarchy"] == h]["distance"] for h in (TRUE, SHUFFLED))
            mean.plot(floor, [y] * len(floor), alpha=0.7, ms=7, **FLOORS)
            dots(mean, found, y, digits=2, **look(r))
        wrong = far[far["data"] == d]["chance"].mean()
        mean.axvline(wrong, color=FLOOR, ls="--", zorder=0, label="wrong guesses (right)")
        if len(chance) <= 12:
            shares.set_xticks(chance.index)
        else:
            shares.xaxis.set_major_locator(MaxNLocator(12, integer=True))
        shares.set(xlabel="distance from truth to answer (steps; 0: right)")
        shares.set_ylabel(f"{beside(titles[d])}\nimages (%)")
        mean.set_yticks(range(len(names)), names[::-1])
        mean.set(ylim=(-0.6, len(names) - 0.4), xlabel="mean distance of wrong answers (steps)")
        shares.grid(axis="y")
        mean.grid()
    mark = dict(lw=0, color="#333333")
    marks = [
        Line2D([], [], marker="o", alpha=0.6, label="mean (left), a seed (right)", **mark),
        Line2D([], [], ms=7, label="shuffled hierarchy", **FLOORS),
    ]
    draw_legend(fig, marks, 4)
    return fig, frame
