"""Figures of transfer to new classes (left half of Table 2), from `transfers.measured`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, NullFormatter

from .. import table2
from ..drawing import COLOURS, axes_grid, band, beside, dots, draw_legend, nothing_to_draw, style
from ..printed import TABLE_2
from ..table2 import PDDM, PLAIN, UNTRAINED
from . import transfers
from .classifiers import ALL
from .transfers import KNN, LINEAR, METRIC, NCM, SCORE

# (features, classifier) -> how a table calls it, its colour, its dashes or mark; in their order
LOOKS = {
    (PLAIN, NCM): ("plain features", "#222222", "--"),
    (PLAIN, METRIC): ("plain, metric of [21]", "#66aa55", "-"),
    (UNTRAINED, NCM): ("untrained head", "#8a8a8a", ":"),
    **{(m, NCM): (m, COLOURS[m], "-") for m in table2.METHODS},
    (PDDM, SCORE): ("PDDM score", COLOURS["PDDM score"], "-"),
    (PLAIN, KNN): ("plain: k-NN", "#222222", "v"),
    (PLAIN, LINEAR): ("plain: linear", "#222222", "^"),
    (PDDM, KNN): ("PDDM+Quadruplet: k-NN", COLOURS[PDDM], "v"),
    (PDDM, LINEAR): ("PDDM+Quadruplet: linear", COLOURS[PDDM], "^"),
}
# drawn as marks: few sizes are trained
TRAINED = {KNN: ("v", "k-NN, retrained"), LINEAR: ("^", "linear, retrained")}
BOLD = ((PLAIN, NCM), (PLAIN, METRIC), (PDDM, NCM))  # the other curves are thin, under these
FEW = "PDDM score, few classes"  # in the legend: of all classes the right panel has none
THIN = {"lw": 1.2, "zorder": 1.5}
IN_TABLE_2 = {(PLAIN, METRIC): "NCM [21]", (PDDM, NCM): "PDDM"}  # the paper's name of a row


@style()
def accuracy(frame: pd.DataFrame, titles: Mapping[str, str]) -> tuple[Figure, pd.DataFrame]:
    """Top-1 against the number of new classes, and against the images that make a mean.

    Left: the level, with chance and what is trained on the new classes themselves. Middle: each
    method's top-1 over that of the plain features, seed by seed, which the left cannot show. Right:
    all new classes, fewer images per mean. Bands reach from the lowest to the highest seed.
    """
    t = transfers.seeds_mean(frame)
    if t.empty:
        return nothing_to_draw("nothing was measured"), t
    data = list(dict.fromkeys(t["data"]))
    fig, axes = axes_grid(len(data), 3, 1.5 + 3.5 * len(data), width_ratios=(5, 5, 4))
    for (level, over, few), d in zip(axes, data, strict=True):
        own = t[t["data"] == d]
        sizes, whole = own[own["per_mean"] == ALL], own[own["classes"] == own["classes"].max()]
        _level(level, sizes)
        _over(over, frame[(frame["data"] == d) & (frame["per_mean"] == ALL) & (frame["k"] == 1)])
        _curves(few, whole, "images")
        classes = f"all {whole['classes'].iloc[0]:,} new classes"
        few.set(xlabel=f"images per mean (log),\n{classes}", ylabel="top-1 (%)")
        few.yaxis.set_major_locator(MaxNLocator(5))
        few.set_ylim(0)
        level.set_ylabel(f"{beside(titles[d])}\ntop-1 (%, log)")
        for ax in (level, over):
            ax.set_xlabel("number of new classes (log)")
        for ax in (level, over, few):
            ax.set_xscale("log")
            ax.xaxis.set_minor_formatter(NullFormatter())
            ax.xaxis.set_major_formatter("{x:,g}")
            ax.grid()
    hollow = dict(color="#555555", mfc="white", mew=2, ms=8, lw=0)
    listed = [Line2D([], [], marker=mark, label=name, **hollow) for mark, name in TRAINED.values()]
    listed.append(Patch(color="#333333", alpha=0.2, label="lowest to highest seed"))
    draw_legend(fig, listed, 4)
    return fig, t


def _of(t: pd.DataFrame, key: tuple[str, str]) -> pd.DataFrame:
    return t[(t["features"] == key[0]) & (t["classifier"] == key[1])]


def paired(rows: pd.DataFrame, own: tuple[str, str], base: tuple[str, str]) -> pd.DataFrame:
    """Accuracies `own` and `base` of two sorts of (features, classifier), by classes and seed.

    rows: of `transfers.measured`, of one data set, k and number of images per mean. Means are over
    the draws that both were measured on.
    """
    keys = ["classes", "seed", "draw"]
    a, b = (_of(rows, key).set_index(keys)["accuracy"] for key in (own, base))
    both = pd.DataFrame({"own": a, "base": b.reindex(a.index)}).dropna()
    return both.groupby(["classes", "seed"]).mean()


def _curves(ax, rows: pd.DataFrame, x: str, bands=BOLD) -> None:
    """Means over seeds of all rows of LOOKS but the trained ones, some with the band from the
    lowest to the highest seed."""
    for key, (name, colour, dashes) in LOOKS.items():
        own = _of(rows, key)
        if key[1] not in TRAINED and len(own):
            look = {"ls": dashes, "label": FEW if key[1] == SCORE else name}
            look |= {} if key in BOLD else THIN
            band(ax, own, x, "accuracy", colour, 0.15 * (key in bands), **look)


def _level(ax, sizes: pd.DataFrame) -> None:
    _curves(ax, sizes, "classes")
    for key, (_, colour, mark) in LOOKS.items():
        if key[1] in TRAINED and len(own := _of(sizes, key)):
            mean = own.groupby("classes")["accuracy"].mean()
            ax.plot(mean, mark, color=colour, mfc="white", mew=2, ms=8, zorder=4)
    classes = np.array(sorted(sizes["classes"].unique()))
    ax.plot(classes, 100 / classes, color="#bbbbbb", lw=4, zorder=1, label="chance")
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter("{x:g}")


def _over(ax, rows: pd.DataFrame) -> None:
    """Each row of LOOKS over the plain features, both on the same seed's draws of classes."""
    gains = []
    for key in [k for k in LOOKS if k[1] not in TRAINED and k != (PLAIN, NCM)]:
        mean = paired(rows, key, (PLAIN, NCM))
        gain = 100 * (mean["own"] / mean["base"].replace(0, np.nan) - 1)
        gain = gain.rename("accuracy").reset_index()
        gains.append(gain.assign(features=key[0], classifier=key[1]))
    _curves(ax, pd.concat(gains), "classes", ((PDDM, NCM), (PLAIN, METRIC)))
    ax.axhline(0, color=LOOKS[PLAIN, NCM][1], ls="--", lw=1.6, zorder=1)
    ax.yaxis.set_major_formatter(lambda x, _: f"{x:+g}".replace("-", "−") if x else "0")
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.set_ylabel("top-1 over that of\nplain features (% of it)")


def decimals(top: pd.DataFrame) -> int:
    """Decimals of a percentage: of thousands of classes few images are found."""
    return 1 if top["accuracy"].max() > 5 else 2


@style()
def table_2(frame: pd.DataFrame, titles: Mapping[str, str]) -> tuple[Figure, pd.DataFrame]:
    """Table 2's left half: top-1 over all new classes a row, and the paper's numbers apart."""
    t = transfers.at_all(frame)
    if t.empty:
        return nothing_to_draw("nothing was measured"), t
    data = list(dict.fromkeys(t["data"]))
    keys = [k for k in LOOKS if k[1] != SCORE and len(_of(t, k))]
    at = {k: len(keys) - 1 - n for n, k in enumerate(keys)}
    fig, axes = axes_grid(
        1, len(data) + 1, 1.2 + 0.42 * len(keys), width_ratios=[3] * len(data) + [2]
    )
    for ax, d in zip(axes[0], data, strict=False):
        own = t[t["data"] == d]
        for key in keys:
            dots(ax, _of(own, key)["accuracy"], at[key], LOOKS[key][1], decimals(own))
        classes = f"{own['classes'].iloc[0]:,} new classes"
        ax.set_xlabel(f"{beside(titles[d])}:\n{classes},\ntop-1 (%)")
        ax.xaxis.set_major_locator(MaxNLocator(4))
    printed = axes[0, -1]
    rows = {key: name for key, name in IN_TABLE_2.items() if key in at}
    values = [TABLE_2["transfer"][name] for name in rows.values()]
    printed.plot(values, [at[k] for k in rows], "o", mfc="none", mec="#555555", mew=2, ms=9)
    for (key, name), x in zip(rows.items(), values, strict=True):
        words = dict(textcoords="offset points", va="center", color="#555555", fontsize=11)
        printed.annotate(f"{name} {x:.1f}", (x, at[key]), (0, 16), ha="center", **words)
    printed.set_facecolor("#f1f1f1")
    printed.set(xlabel="paper,\nImageNet-10K,\ntop-1 (%)", xlim=(16, 34))
    printed.set_xticks([20, 30])
    for n, ax in enumerate(axes[0]):
        ax.set_yticks(list(at.values()), [LOOKS[k][0] for k in keys] if n == 0 else [""] * len(at))
        ax.set(ylim=(-0.6, len(keys) - 0.4), ylabel="features" if n == 0 else " ")
        ax.axhline(sum(k[1] in TRAINED for k in keys) - 0.5, color="#555555", lw=1)
        ax.grid()
    marks = [
        Line2D([], [], marker="o", color="#333333", alpha=0.6, linestyle="", label="a seed"),
        Line2D([], [], marker="|", color="#333333", ms=14, mew=3, linestyle="", label="mean"),
        Line2D([], [], color="#555555", lw=1, label="below: trained on the new classes"),
    ]
    draw_legend(fig, marks)
    return fig, t
