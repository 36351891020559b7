"""Figures of notebook 20 beside Fig. 1b itself: training and unseen, the knob, thresholds, classes.

`thresholds`, `worlds` and `two_classes` draw a column a choice: all of them side by side, or the
one that a widget asks for.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ...methods import METHODS
from ...training import runs as training_runs
from .. import drawing
from ..claims import Runs
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

AXES = {"distance": "−Euclidean distance", "score": "PDDM score"}
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
    axes[0, 0].set_ylabel("spread of the loosest quarter of\nclasses over that of the tightest")
    for ax, measure, unit in zip(
        axes[0, 1:], ("overlap", "recall_1"), ("overlap", "Recall@1 (points)"), strict=True
    ):
        for n, (what, colour) in enumerate(LEADS.items()):
            t = lead[(lead["compared"] == what) & (lead["measure"] == measure)]
            along(ax, t["heterogeneity"], t["lead"], colour, (n - 0.5) * 0.02)
        ax.axhline(0, color="black", lw=1)
        ax.set_ylabel(f"PDDM's lead in {unit}")
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


@style()
def worlds(
    runs: Mapping[tuple[float, str, int], training_runs.Run], chosen: Sequence[float] = ()
) -> tuple[Figure, pd.DataFrame]:
    """Distributions under the Euclidean metric and PDDM, a column a place of the knob (all of them
    by default): the first seed's, with the means of overlap and AUC over the seeds."""
    chosen = list(chosen) or list(dict.fromkeys(h for h, _, _ in runs))
    rows = {m: k for m, k in {EUCLIDEAN: "distance", PDDM: "score"}.items()
            if any(m == name for _, name, _ in runs)}  # fmt: skip
    if not chosen or not rows:
        return nothing_to_draw("the knob was not turned in this study"), pd.DataFrame()
    fig, axes = axes_grid(len(rows), len(chosen), 0.9 + 2.6 * len(rows), sharey="row")
    frames = []
    for row, (m, ranking) in zip(axes, rows.items(), strict=True):
        for ax, h in zip(row, chosen, strict=True):
            own = [x for (k, name, _), x in runs.items() if (k, name) == (h, m)]
            drawn = drawing.histogram_of(own[0], ranking)
            values = pd.DataFrame([x.metrics["test"][ranking] for x in own])
            text = f"overlap {values['overlap'].mean():.3f}\nAUC {values['auc'].mean():.3f}"
            draw_distribution(ax, drawn, AXES[ranking], COLOURS[m], text, 1.6)
            frames.append(drawn.assign(heterogeneity=h, method=m))
            if m == next(iter(rows)):
                ax.set_title(f"heterogeneity {h:g}" if h == chosen[0] else f"{h:g}")
        row[0].set_ylim(0, 1.6 * max(100 * f[["positive", "negative"]].to_numpy().max()
                                     for f in frames[-len(chosen):]))  # fmt: skip
        row[0].set_ylabel(f"{m}\ntest pairs (% a bin)")
    draw_pair_legend(fig, "shared by both")
    return fig, pd.concat(frames, ignore_index=True)


# ----------------------------------------------------------------------------------- thresholds


@style()
def thresholds(
    runs: Runs, data: str, chosen: Sequence[float] = (0.4, 0.55, 0.7)
) -> tuple[Figure, pd.DataFrame]:
    """What a threshold does: a row a metric, a column a place of the threshold, 0 at the lowest
    score drawn and 1 at the highest. A pair at or above it is taken for one of one class."""
    first = {
        m: x
        for (d, m, _), x in reversed(runs.items())
        if d == data and m in heterogeneity_scores.PAIR
    }
    if not first:
        return nothing_to_draw("neither metric was run"), pd.DataFrame()
    names = [m for m in heterogeneity_scores.PAIR if m in first]
    fig, axes = axes_grid(len(names), len(chosen), 0.9 + 2.7 * len(names), sharey="row")
    rows = []
    for row, m in zip(axes, names, strict=True):
        h = drawing.histogram_of(first[m], heterogeneity_scores.PAIR[m])
        miss, accepted = heterogeneity_scores.errors(h)
        for ax, place in zip(row, chosen, strict=True):
            at = min(round(place * len(h)), len(h) - 1)
            draw_distribution(ax, h, AXES[heterogeneity_scores.PAIR[m]], COLOURS[m], room=1.75)
            ax.axvline(h["left"][at], ymax=0.78, color="black", lw=2)
            look = dict(transform=ax.transAxes, va="top", weight="bold", fontsize=11.5)
            text = f"{100 * miss[at]:.0f} % of one class rejected"
            ax.text(0.02, 0.97, text, color=POSITIVE, **look)
            text = f"{100 * accepted[at]:.0f} % of two classes accepted"
            ax.text(0.02, 0.87, text, color=NEGATIVE, **look)
            rows.append((data, m, place, h["left"][at], miss[at], accepted[at]))
            if m == names[0]:
                ax.set_title(f"threshold at {place:.2f}")
        row[0].set_ylabel(f"{m}\ntest pairs (% a bin)")
    draw_pair_legend(fig, "shared by both")
    columns = ["data", "method", "place", "threshold", "rejected", "accepted"]
    return fig, pd.DataFrame(rows, columns=columns)


def spread_classes(some: heterogeneity_scores.Sample) -> list[tuple[int, int]]:
    """Up to three pairs of classes of a sample: the one that the common threshold, too strict for
    it, costs most; one that it suits; and the one for which it is too lax that it costs most."""
    common = heterogeneity_scores.thresholds(some)["common"].iloc[0]
    cuts = np.append(np.quantile(some.S, np.linspace(0, 1, 401)), common)
    rows = []
    for a, b in combinations(np.unique(some.labels).tolist(), 2):
        (in_a, across), (in_b, _) = some.pairs(a, [b]), some.pairs(b, [a])
        error = heterogeneity_scores.mistakes(np.r_[in_a, in_b], across, cuts)
        rows.append((a, b, cuts[error.argmin()] - common, error[-1] - error.min()))
    t = pd.DataFrame(rows, columns=["a", "b", "away", "saved"])
    sides = (t[t["away"] < 0]["saved"], -t["away"].abs(), t[t["away"] > 0]["saved"])
    chosen = dict.fromkeys(side.idxmax() for side in sides if len(side))
    return [(int(a), int(b)) for a, b in t.loc[list(chosen), ["a", "b"]].to_numpy()]


@style()
def two_classes(
    samples: Mapping[str, heterogeneity_scores.Sample],
    pairs: Sequence[tuple[int, int]],
    names: Sequence[str],
) -> tuple[Figure, pd.DataFrame]:
    """Every pair of images of two classes: a row a metric, a column two classes.

    samples: method -> its sample of scores; names: of all classes, by label. The black line is the
    one threshold that does best over all classes of the sample, the dashed one is the best for
    these two. Titles: heterogeneity.mistakes of both, in percent.
    """
    if not samples or not pairs:
        return nothing_to_draw("neither metric was run"), pd.DataFrame()
    fig, axes = axes_grid(len(samples), len(pairs), 1.2 + 2.7 * len(samples), sharex="row")
    rows = []
    for row, (m, some) in zip(axes, samples.items(), strict=True):
        common = heterogeneity_scores.thresholds(some)["common"].iloc[0]
        cuts = np.quantile(some.S, np.linspace(0, 1, 401))
        for ax, (a, b) in zip(row, pairs, strict=True):
            (in_a, across), (in_b, _) = some.pairs(a, [b]), some.pairs(b, [a])
            both = np.r_[in_a, in_b]
            error = heterogeneity_scores.mistakes(both, across, np.r_[cuts, common])
            own = cuts[error[:-1].argmin()]
            kinds = (in_a, POSITIVE), (in_b, POSITIVE), (across, NEGATIVE)
            for y, (x, colour) in enumerate(reversed(kinds)):
                jitter = np.random.default_rng(y).uniform(-0.3, 0.3, len(x))
                ax.plot(x, y + jitter, "o", color=colour, ms=3.5, alpha=0.5, mew=0)
            ax.axvline(common, color="black", lw=2)
            ax.axvline(own, color="black", lw=2, ls=(0, (2, 2)))
            wrong = f"one threshold {100 * error[-1]:.0f} %,\nown {100 * error.min():.0f} % wrong"
            ax.set_title(wrong, weight="normal", fontsize=12)
            ax.set_yticks(range(3), ["across", *(_short(names[c]) for c in (b, a))])
            ax.set(xlabel=AXES[heterogeneity_scores.PAIR[m]], ylim=(-0.6, 2.6))
            ax.xaxis.set_major_locator(MaxNLocator(3))
            ax.spines["top"].set(visible=True, color=COLOURS[m], linewidth=5)
            rows.append((m, names[a], names[b], common, own, error[-1], error.min()))
    marks = [
        Line2D([], [], marker="o", lw=0, color=POSITIVE, label="pair of one class"),
        Line2D([], [], marker="o", lw=0, color=NEGATIVE, label="pair of two classes"),
        Line2D([], [], color="black", label="one threshold for all classes"),
        Line2D([], [], color="black", ls=(0, (2, 2)), label="best for these two"),
    ]
    draw_legend(fig, marks)
    columns = ["method", "class_a", "class_b", "common", "own", "error_common", "error_own"]
    return fig, pd.DataFrame(rows, columns=columns)


def _short(name: str) -> str:
    """A class's name in lines short enough for a tick; folder names as words."""
    return textwrap.fill(re.sub("[._]+", " ", name), 12)


@style()
def one_threshold(
    samples: Mapping[tuple[str, str, int], heterogeneity_scores.Sample],
    prices: pd.DataFrame,
    titles: Mapping[str, str],
) -> tuple[Figure, pd.DataFrame]:
    """Each class's own best threshold, in standard deviations of the metric's scores from the one
    for all: a row a data set, a dot a class of the first seed, against its error."""
    data = list(dict.fromkeys(d for d, _, _ in samples))
    if not data:
        return nothing_to_draw("neither metric was run"), prices
    fig, axes = axes_grid(
        len(data), len(heterogeneity_scores.PAIR), 0.9 + 2.9 * len(data), sharex=True, sharey="row"
    )
    frames = []
    for row, d in zip(axes, data, strict=True):
        top = 1.0
        for ax, m in zip(row, heterogeneity_scores.PAIR, strict=True):
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
                ax.set_title(m)
            ax.grid(axis="y")
            frames.append(t)
        row[0].set_ylim(-1, 1.25 * top)  # room for the words
        row[0].set_ylabel(f"{beside(titles[d])}\nerrors of a class (%)")
    for ax in axes[-1]:
        ax.set_xlabel("class's own threshold − the one for all (sd of scores)")
    mark = dict(marker="o", lw=0, ms=7, color="#333333")
    draw_legend(fig, [
        Line2D([], [], **mark, label="a class under the one threshold"),
        Line2D([], [], mfc="white", **mark, label="under its own"),
    ])  # fmt: skip
    return fig, pd.concat(frames, ignore_index=True)
