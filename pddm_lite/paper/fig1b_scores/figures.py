"""Figures of notebook 20 beside Fig. 1b itself, which is distributions.py: training and unseen,
the knob, thresholds, classes.

`thresholds` draws a column a choice: all of them side by side, or the one that a widget asks for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ...methods import METHODS
from .. import drawing
from ..decide import Runs
from ..drawing import (
    COLOURS,
    NEGATIVE,
    POSITIVE,
    along,
    axes_grid,
    beside,
    draw_distribution,
    draw_legend,
    draw_pair_legend,
    nothing_to_draw,
    style,
)
from ..questions import EUCLIDEAN, PDDM
from ..wording import spread
from . import heterogeneity as heterogeneity_scores
from .distributions import FIG_1B

CHANGE = {"overlap": "overlap", "auc": "AUC", "eer": "equal-error rate"}
LINES = {  # space of heterogeneity.dilution -> its look
    heterogeneity_scores.SPACES[0]: dict(color="black", ls="-"),
    heterogeneity_scores.SPACES[1]: dict(color="#777777", ls="--"),
    EUCLIDEAN: dict(color=COLOURS[EUCLIDEAN], ls="-"),
    PDDM: dict(color=COLOURS[PDDM], ls="-"),
}
LEADS = dict(
    zip(heterogeneity_scores.COMPARED, (COLOURS["PDDM score"], COLOURS[PDDM]), strict=True)
)


@style()
def train_unseen(runs: Runs, titles: Mapping[str, str]) -> tuple[Figure, pd.DataFrame]:
    """Overlap, AUC and EER on training and on unseen classes: a row a data set, means over seeds.

    The way from the open mark to the full one is what the metric does worse on what it has not
    seen.
    """
    rows = [
        (d, m, s, split, k, run.metrics[split][METHODS[m].rank][k])
        for (d, m, s), run in runs.items()
        if m in FIG_1B
        for split in ("train", "test")
        for k in CHANGE
    ]
    frame = pd.DataFrame(rows, columns=["data", "method", "seed", "split", "measure", "value"])
    if frame.empty:
        return nothing_to_draw("none of the methods of this figure was run"), frame
    data, names = list(dict.fromkeys(frame["data"])), [m for m in FIG_1B if m in set(frame.method)]
    fig, axes = axes_grid(len(data), 3, 0.9 + (0.8 + 0.42 * len(names)) * len(data), sharey=True)
    for row, d in zip(axes, data, strict=True):
        for ax, k in zip(row, CHANGE, strict=True):
            for y, m in enumerate(reversed(names)):
                own = frame[(frame[["data", "method", "measure"]] == [d, m, k]).all(axis=1)]
                by = own.groupby("split")["value"]
                train, test = by.mean()["train"], by.mean()["test"]
                ax.plot([train, test], [y, y], color=COLOURS[m], lw=3, alpha=0.5)
                ax.plot(train, y, "o", mfc="white", mec=COLOURS[m], mew=2, ms=9)
                ax.plot(own[own["split"] == "test"]["value"], [y] * own["seed"].nunique(), "|",
                        color=COLOURS[m], ms=12, mew=1.5)  # fmt: skip
                ax.plot(test, y, "o", color=COLOURS[m], ms=9)
            ax.set(xlabel=CHANGE[k], ylim=(-0.6, len(names) - 0.4))
            ax.set_yticks(range(len(names)), reversed(names))
            ax.xaxis.set_major_locator(MaxNLocator(4))
            ax.margins(x=0.1)
            ax.grid(axis="x")
        row[0].set_ylabel(beside(titles[d]))
    mark = dict(marker="o", lw=0, ms=9, color="#333333")
    draw_legend(
        fig,
        [
            Line2D([], [], mfc="white", mew=2, **mark, label="training classes"),
            Line2D([], [], **mark, label="unseen classes"),
            Line2D([], [], marker="|", lw=0, ms=12, color="#333333", label="a seed, unseen"),
        ],
    )
    return fig, frame


# ------------------------------------------------------------------------------------- the knob


@style()
def heterogeneity(lead: pd.DataFrame, ratios: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Left, what the knob does to the classes' spreads, space by space; then PDDM's lead over the
    Euclidean metric. Dots are seeds, lines their means."""
    if lead.empty:
        return nothing_to_draw("the knob was not turned in this study"), lead
    fig, axes = axes_grid(1, 3, 4.6)
    for space, t in ratios.groupby("space"):
        own = t.groupby("heterogeneity")["ratio"].mean()
        axes[0, 0].plot(own.index, own, **LINES[space], marker="o", ms=4, label=space)
    axes[0, 0].set_yscale("log", base=2)
    axes[0, 0].yaxis.set_major_formatter("{x:g}")
    axes[0, 0].set_ylabel("spread of the loosest quarter of\nclasses over the tightest's (log)")
    for ax, measure, unit in zip(
        axes[0, 1:], ("overlap", "recall_1"), ("overlap", "Recall@1 (points)"), strict=True
    ):
        for n, (what, colour) in enumerate(LEADS.items()):
            t = lead[(lead["compared"] == what) & (lead["measure"] == measure)]
            along(ax, t["heterogeneity"], t["lead"], colour, (n - 0.5) * 0.02)
        ax.axhline(0, color="black", lw=1)
        ax.set_ylabel(f"PDDM's lead in {unit} (↑ better)")
        ax.margins(y=0.12)
    for ax in axes[0]:
        ax.set_xlabel("heterogeneity of the world")
        ax.set_xticks(np.unique(lead["heterogeneity"]))
        ax.set_xticklabels([f"{h:g}" for h in np.unique(lead["heterogeneity"])])
        ax.grid(axis="y")
    lines = [Line2D([], [], **look, label=space) for space, look in LINES.items()]
    lines += [Line2D([], [], color=c, marker="o", ms=6, label=what) for what, c in LEADS.items()]
    draw_legend(fig, lines, 3)
    return fig, pd.concat([lead, ratios.assign(measure="looseness ratio")], ignore_index=True)


# ----------------------------------------------------------------------------------- thresholds


@style()
def thresholds(
    runs: Runs,
    data: str,
    rejected: Sequence[float] = (0.02, 0.1, 0.3),
    methods: Sequence[str] = ("Triplet", "LMDM score", "PDDM score"),
) -> tuple[Figure, pd.DataFrame]:
    """What a threshold does: a row a metric, a column a share of the pairs of one class that the
    threshold rejects, the same for all metrics. A pair at or above it is taken for one of one
    class. First seed."""
    first = {m: x for (d, m, _), x in reversed(runs.items()) if d == data and m in methods}
    if not first:
        return nothing_to_draw("none of the metrics was run"), pd.DataFrame()
    names = [m for m in methods if m in first]
    fig, axes = axes_grid(len(names), len(rejected), 0.9 + 2.4 * len(names))
    rows = []
    for row, m in zip(axes, names, strict=True):
        h = drawing.histogram_of(first[m], METHODS[m].rank)
        miss, accepted = heterogeneity_scores.errors(h)
        for ax, share in zip(row, rejected, strict=True):
            at = int(np.abs(miss - share).argmin())
            draw_distribution(ax, h, COLOURS[m], room=1.7)
            ax.axvline(drawing.ranks(h)[at], ymax=0.72, color="black", lw=2)
            look = dict(transform=ax.transAxes, va="top", weight="bold", fontsize=11.5)
            text = f"{100 * miss[at]:.0f} % of one class rejected"
            ax.text(0.02, 0.95, text, color=POSITIVE, **look)
            text = f"{100 * accepted[at]:.0f} % of two classes accepted"
            ax.text(0.02, 0.84, text, color=NEGATIVE, **look)
            rows.append((data, m, h["left"][at], miss[at], accepted[at]))
        row[0].set_ylabel(m)
    draw_pair_legend(fig, "shared by both")
    return fig, pd.DataFrame(rows, columns=["data", "method", "threshold", "rejected", "accepted"])


@style()
def one_threshold(
    samples: Mapping[tuple[str, str, int], heterogeneity_scores.Sample],
    prices: pd.DataFrame,
    titles: Mapping[str, str],
    called: Mapping[str, str] | None = None,
) -> tuple[Figure, pd.DataFrame]:
    """Each class's own best threshold, in standard deviations of the metric's scores from the one
    for all: a row a data set, a column a metric of `samples`, a dot a class of the first seed,
    against its error. `called`: method -> what the figure calls it."""
    data = list(dict.fromkeys(d for d, _, _ in samples))
    names = [m for m in METHODS if any(m == name for _, name, _ in samples)]
    if not data:
        return nothing_to_draw("none of the metrics was run"), prices
    fig, axes = axes_grid(len(data), len(names), 0.9 + 2.9 * len(data), sharex=True, sharey="row")
    frames = []
    for row, d in zip(axes, data, strict=True):
        top = 1.0
        for ax, m in zip(row, names, strict=True):
            own = {s: x for (a, b, s), x in samples.items() if (a, b) == (d, m)}
            if not own:
                ax.set_axis_off()
                continue
            seed, some = next(iter(own.items()))
            t = heterogeneity_scores.thresholds(some)
            t = t.assign(data=d, method=m, seed=seed, away=(t["own"] - t["common"]) / some.S.std())
            for x, y, z in t[["away", "error_own", "error_common"]].to_numpy():
                ax.plot([x, x], [100 * y, 100 * z], color=COLOURS[m], lw=2, alpha=0.6)
            ax.plot(t["away"], 100 * t["error_common"], "o", color=COLOURS[m], ms=7)
            ax.plot(t["away"], 100 * t["error_own"], "o", mfc="white", mec=COLOURS[m], ms=6)
            ax.axvline(0, color="black", lw=2, zorder=0)
            top = max(top, 100 * t["error_common"].max())
            p = 100 * prices[(prices["data"] == d) & (prices["method"] == m)]
            one, own_ones = (spread(p[f"error_{k}"], 1) for k in ("common", "own"))
            text = f"one threshold {one} %\nown ones {own_ones} %"
            look = dict(
                va="top", ha="right", fontsize=11.5, bbox=dict(fc="white", ec="none", pad=1)
            )
            ax.text(0.98, 0.97, text, transform=ax.transAxes, **look)
            if d == data[0]:
                ax.set_title((called or {}).get(m, m))
            ax.grid(axis="y")
            frames.append(t)
        row[0].set_ylim(-1, 1.5 * top)  # room for the words
        row[0].set_ylabel(f"{beside(titles[d])}\nerrors of a class (%)")
    for ax in axes[-1]:
        ax.set_xlabel("own threshold −\nthe one for all (sd)")
    mark = dict(marker="o", lw=0, ms=7, color="#333333")
    draw_legend(fig, [
        Line2D([], [], **mark, label="a class under the one threshold"),
        Line2D([], [], mfc="white", **mark, label="under its own"),
    ])  # fmt: skip
    return fig, pd.concat(frames, ignore_index=True)
