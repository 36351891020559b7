"""The paper's figures from stored runs: each returns the figure and the table that it shows."""

from __future__ import annotations

import io
import json
import os
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from PIL import Image, ImageOps

from . import claims, paper
from .claims import Runs, VariantRuns
from .data import ImageSet
from .methods import METHODS
from .store import write_atomic, write_text
from .study import Study, measures
from .tables import PAPER_HALF, spread

# One colour, one meaning, in every figure; told apart with any of the common colour blindnesses.
COLOURS = {
    "Contrastive": "#b3b3b3",
    "Triplet": "#7fcdf5",
    "LiftedStruct": "#4b5f78",
    "Euclidean+Quadruplet": "#0072c6",
    "Mahalanobis score": "#d65fa0",
    "LMDM score": "#999933",
    "PDDM score": "#f0a500",
    "PDDM+Triplet": "#8c3b12",
    "PDDM+Quadruplet": "#e2500f",
}
POSITIVE, NEGATIVE = "#3aa99a", "#882255"  # pairs of one class, pairs of two classes
VERDICTS = {
    claims.REPRODUCED: "#117733",
    claims.NOT_REPRODUCED: "#b0186b",
    claims.NOT_ENOUGH: "#777777",
}
WIDTH = 11.0  # inches; printed at half that width, the smallest letters are still 6 points high

FIG_1B = ("Euclidean+Quadruplet", "Mahalanobis score", "LMDM score", "PDDM score")
SCORES = {"euclidean": "−Euclidean distance", "mahalanobis": "−(Mahalanobis distance)²"}
FIG_4 = ("Euclidean+Quadruplet", "PDDM+Quadruplet")


def style():
    """Context (or decorator) in which every figure is made and saved."""
    return mpl.rc_context(
        {
            **mpl.rcParamsDefault,
            "font.size": 13,
            "axes.titlesize": 13,
            "axes.titlelocation": "left",
            "axes.titleweight": "bold",
            "xtick.labelsize": 12,
            "ytick.labelsize": 12,
            "legend.fontsize": 12,
            "legend.frameon": False,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            "grid.color": "#dddddd",
            "lines.linewidth": 2.2,
            "svg.hashsalt": "pddm-lite",
            "backend": mpl.rcParams["backend"],
        }
    )


def _figure(height: float) -> Figure:
    """A figure outside pyplot, so that a notebook neither shows it twice nor keeps it."""
    fig = Figure(figsize=(WIDTH, max(height, 2.0)), layout="constrained")
    fig.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
    return fig


def _grid(rows: int, columns: int, height: float, **kw) -> tuple[Figure, np.ndarray]:
    fig = _figure(height)
    return fig, fig.subplots(rows, columns, squeeze=False, **kw)


def _legend(fig: Figure, handles: Sequence, columns: int = 4) -> None:
    fig.legend(handles=handles, loc="outside lower center", ncols=columns)


def beside(title: str) -> str:
    """A data set's title in lines short enough for an axis."""
    return textwrap.fill(title, 26)


def _nothing(why: str) -> Figure:
    """A figure that says in words why it is empty."""
    fig, axes = _grid(1, 1, 2.0)
    axes[0, 0].set(xlabel="nothing to draw", ylabel=" ", xticks=[], yticks=[])
    axes[0, 0].text(0.5, 0.5, why, ha="center", va="center", wrap=True)
    return fig


@style()
def score_distributions(
    runs: Runs,
    titles: Mapping[str, str],
    split: str = "test",
    methods: Sequence[str] = FIG_1B,
) -> tuple[Figure, pd.DataFrame]:
    """Fig. 1b: scores of positive and negative pairs; a row a data set, a column a method.

    Curves are the first seed's; overlap, AUC and equal-error rate are means over the seeds.
    """
    methods = [m for m in methods if any(n == m for _, n, _ in runs)]
    data, frames = list(dict.fromkeys(d for d, _, _ in runs)), []
    if not methods:
        return _nothing("none of the methods of this figure was run"), pd.DataFrame()
    fig, axes = _grid(len(data), len(methods), 0.9 + 3.0 * len(data))
    for row, d in zip(axes, data, strict=True):
        for ax, m in zip(row, methods, strict=True):
            ranking = METHODS[m].rank
            own = {s: r for (a, b, s), r in sorted(runs.items()) if (a, b) == (d, m)}
            seed, run = next(iter(own.items()))
            h = run.histograms
            h = h[(h["split"] == split) & (h["ranking"] == ranking)].reset_index(drop=True)
            values = pd.DataFrame([r.metrics[split][ranking] for r in own.values()])
            means = values[["overlap", "auc", "eer"]].mean()
            frames.append(h.assign(data=d, method=m, seed=seed, **means))
            edges = np.r_[h["left"], h["right"].iloc[-1]]
            p, n = 100 * h["positive"], 100 * h["negative"]
            ax.stairs(n, edges, fill=True, color=NEGATIVE, alpha=0.3)
            ax.stairs(p, edges, fill=True, color=POSITIVE, alpha=0.35)
            ax.stairs(np.minimum(p, n), edges, fill=True, color="#333333", alpha=0.75)
            ax.stairs(n, edges, color=NEGATIVE, linewidth=1.8)
            ax.stairs(p, edges, color=POSITIVE, linewidth=1.8)
            text = "\n".join(
                f"{k} {spread(values[k.lower()], 3)}" for k in ("overlap", "AUC", "EER")
            )
            ax.text(0.02, 0.95, text, transform=ax.transAxes, va="top", fontsize=11.5)
            ax.set_ylim(0, 1.5 * max(p.max(), n.max()))  # room for the words
            kind = METHODS[m].similarity if ranking == "score" else "euclidean"
            ax.set_xlabel(SCORES.get(kind, "score S (no unit)"))
            ax.xaxis.set_major_locator(MaxNLocator(3))
            ax.yaxis.set_major_locator(MaxNLocator(3, integer=True))
            if d == data[0]:
                ax.set_title(m)
            ax.spines["top"].set(visible=True, color=COLOURS[m], linewidth=5)
        row[0].set_ylabel(f"{beside(titles[d])}\n{split} pairs (% a bin)")
    kinds = (POSITIVE, "pairs of one class"), (NEGATIVE, "pairs of two classes")
    kinds += (("#555555", f"shared by both (curves: seed {seed}; numbers: all seeds)"),)
    _legend(fig, [Patch(color=c, label=k) for c, k in kinds])
    return fig, pd.concat(frames, ignore_index=True)


@style()
def convergence(runs: Runs, titles: Mapping[str, str]) -> tuple[Figure, pd.DataFrame]:
    """Fig. 4, top: E_e and test Recall@1 under Euclidean and under PDDM mining of quadruplets.

    E_e (Eq. 4) is drawn since both minimise it; each run's own miner picks the tuples it is the
    mean of. Diamonds are where a seed reaches the level that claim C4 compares.
    """
    columns = ["data", "method", "seed", "step", "seconds", "E_e", "test_recall_1"]
    frames = [
        run.history[columns[3:]].assign(data=d, method=m, seed=s)
        for (d, m, s), run in runs.items()
        if m in FIG_4
    ]
    if not frames:
        return _nothing(f"neither {' nor '.join(FIG_4)} was run"), pd.DataFrame(
            columns=[*columns, "level", "reached"]
        )
    frame = pd.concat(frames, ignore_index=True)[columns].assign(level=np.nan, reached=np.nan)
    for (d, s), both in frame.groupby(["data", "seed"]):
        curves = {m: t.set_index("step")["test_recall_1"] for m, t in both.groupby("method")}
        level, reached = (len(curves) == 2 and claims.common_level(curves)) or (np.nan, {})
        for m, step in reached.items():
            own = (frame[["data", "seed", "method"]] == [d, s, m]).all(axis=1)
            frame.loc[own, ["level", "reached"]] = level, step
    data = list(dict.fromkeys(frame["data"]))
    fig, axes = _grid(len(data), 3, 0.9 + 3.2 * len(data))
    for row, d in zip(axes, data, strict=True):
        for m in [m for m in FIG_4 if m in set(frame["method"])]:
            own = frame[(frame["data"] == d) & (frame["method"] == m)]
            mean = own.groupby("step").mean(numeric_only=True)
            steps, shown = own.groupby("step"), [("E_e", mean.index), ("test_recall_1", mean.index)]
            for ax, (y, x) in zip(row, [*shown, ("test_recall_1", mean["seconds"])], strict=True):
                low, high = steps[y].min(), steps[y].max()
                ax.fill_between(x, low, high, color=COLOURS[m], alpha=0.22, linewidth=0)
                ax.plot(x, mean[y], color=COLOURS[m])
            marks = own.groupby("seed")[["reached", "level"]].first().dropna()
            row[1].plot(
                *marks.to_numpy().T, "D", mfc="white", mec=COLOURS[m], ms=8, mew=2, zorder=4
            )
        row[0].set_ylabel(f"{beside(titles[d])}\nloss Eₑ (Eq. 4)")
        for ax in row[1:]:
            ax.set_ylabel("test Recall@1 (%)")
        for ax, x in zip(row, ("step", "step", "training time (s)"), strict=True):
            ax.set_xlabel(x)
            ax.grid(axis="y")
    lines = [Line2D([], [], color=COLOURS[m], label=m.replace("+", " mining + ")) for m in FIG_4]
    mark = dict(marker="D", mfc="white", mec="#333333", ms=8, mew=2, linestyle="")
    lines += [
        Patch(color="#333333", alpha=0.22, label="band: lowest to highest seed"),
        Line2D([], [], **mark, label="common level of claim C4 reached, one a seed"),
    ]
    _legend(fig, lines, 2)
    return fig, frame


@style()
def recall(runs: Runs, titles: Mapping[str, str]) -> tuple[Figure, pd.DataFrame]:
    """Table 1: Recall@1 a seed and method, the paper's on ITS data apart, and Recall@K."""
    tidy = measures(runs)
    tidy = tidy[tidy["measure"].str.startswith("recall_")]
    frame = tidy.assign(K=tidy["measure"].str[7:].astype(int), source="run")
    frame = frame.rename(columns={"value": "recall"}).drop(columns=["measure", "run"])
    if frame.empty:
        return _nothing("no method was run"), frame
    names = [m for m in METHODS if m in set(frame["method"])]
    at = {m: len(names) - 1 - n for n, m in enumerate(names)}
    data = list(dict.fromkeys(frame["data"]))
    fig, axes = _grid(
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
            one = own[own["K"] == 1]["recall"]
            ours.plot(one, [at[m]] * len(one), "o", color=COLOURS[m], alpha=0.6, ms=7)
            ours.plot(one.mean(), at[m], "|", color=COLOURS[m], ms=20, mew=3)
            number = dict(transform=ours.get_yaxis_transform(), va="center", fontsize=11)
            ours.text(1.01, at[m], f"{one.mean():.1f}", **number)
            mean = own.groupby("K")["recall"].mean() - level
            dashes = "--" if METHODS[m].rank == "score" else "-"
            curve.plot(mean.index, mean, dashes, color=COLOURS[m], marker="o", ms=4)
        half = PAPER_HALF.get(d.partition("@")[0], "")
        theirs = {m: v for m, v in paper.TABLE_1.get(half, {}).items() if m in at}
        values = [v[0] for v in theirs.values()]
        printed.plot(values, [at[m] for m in theirs], "o", mfc="none", mec="#555555", mew=2, ms=8)
        printed.set_facecolor("#f1f1f1")
        printed.set_xlabel(f"paper, {half}:\nRecall@1 (%)" if half else "not in the paper")
        ours.set_xlabel(f"{beside(titles[d])}:\ntest Recall@1 (%)")
        curve.set(
            xscale="log", xlabel="K", ylabel="Recall@K over the mean\nof all methods (points)"
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
    _legend(
        fig,
        [
            Line2D([], [], marker="o", color="#333333", alpha=0.6, linestyle="", label="a seed"),
            Line2D([], [], marker="|", color="#333333", ms=14, mew=3, linestyle="", label="mean"),
            Line2D([], [], color="#333333", linestyle="-", label="ranked by distance"),
            Line2D([], [], color="#333333", linestyle="--", label="ranked by score"),
        ],
    )
    return fig, frame.reset_index(drop=True)


@style()
def verdict(table: pd.DataFrame, titles: Mapping[str, str]) -> tuple[Figure, pd.DataFrame]:
    """Each claim's effect and 95 % interval beside what was claimed, a panel a unit.

    An interval that meets the frame goes on beyond it.
    """
    parts = table["measure"].str.partition(": ")
    names = {
        "overlap": "difference of overlaps",
        claims.POINTS: "Recall@1 (points)",
        claims.OVERFITTING: "difference of overfitting (train − test AUC of the score)",
    }
    unit = parts[0].map(names).fillna("steps of Euclidean mining per step of PDDM mining")
    order = table.groupby("data").cumcount()  # the same comparison has the same place in each
    panels = {u: table[unit == u] for u in dict.fromkeys(unit)}
    heights = [len(t) + order[t.index].nunique() + 0.5 for t in panels.values()]
    fig, axes = _grid(
        len(panels), 1, 1 + 0.27 * sum(heights) + 0.6 * len(panels), height_ratios=heights
    )
    for ax, (u, t) in zip(axes[:, 0], panels.items(), strict=True):
        left, right = _limits(t, log=u.startswith("steps"))
        at, y = {}, 0
        for _, same in t.groupby(order):
            what = parts[2][same.index].str.replace(" - ", " − ").tolist()
            head, differ = os.path.commonprefix(what), len(set(what)) > 1
            rest = [f" ({w[len(head) :]})" * differ for w in what]
            head += "best rival" * differ
            head = f"{same['claim'].iloc[0]}  {head or 'speed of PDDM over Euclidean mining'}"
            head = head.replace("E_e", "Eₑ")
            ax.text(0.01, y, head, transform=ax.get_yaxis_transform(), va="center", weight="bold")
            for v, rival in zip(same.itertuples(), rest, strict=True):
                y, colour = y + 1, VERDICTS[v.verdict]
                at[y] = titles[v.data] + rival
                ax.plot(
                    np.clip([v.low, v.high], left, right), [y, y], color=colour, lw=4, alpha=0.5
                )
                ax.plot(v.effect, y, "o", color=colour, ms=10)
                ax.plot([v.threshold] * 2, [y - 0.45, y + 0.45], color="black", linewidth=2.5)
                beside = dict(transform=ax.get_yaxis_transform(), va="center", color=colour)
                ax.text(1.01, y, v.verdict, **beside)
            y += 1
        ax.set_yticks(list(at), at.values())
        if u.startswith("steps"):
            ax.set_xscale("log", base=2)
            ax.xaxis.set_major_formatter("{x:g}")
        ax.set(xlim=(left, right), ylim=(y - 0.4, -0.6), xlabel=u, ylabel="data")
    marks = [
        Line2D([], [], color="#555555", marker="o", lw=4, ms=10, label="effect, 95 % interval"),
        Line2D(
            [], [], color="black", marker="|", ms=14, mew=2.5, lw=0, label="claimed: right of this"
        ),
    ]
    _legend(fig, marks, 2)
    return fig, table


def _limits(t: pd.DataFrame, log: bool, most: float = 3.0) -> tuple[float, float]:
    """Ends of an axis that holds effects and thresholds whole, and intervals as far as is sane.

    `most` is how far an interval may widen it to each side, in ranges of effects and thresholds.
    """
    with np.errstate(divide="ignore"):
        f = np.log2 if log else np.asarray
        points, ends = f(t[["effect", "threshold"]]), f(t[["low", "high"]])
    low, high = np.nanmin(points), np.nanmax(points)
    room = (high - low) or 1.0
    left = max(np.fmin(low, np.fmin.reduce(ends, axis=None)), low - most * room) - 0.06 * room
    right = min(np.fmax(high, np.fmax.reduce(ends, axis=None)), high + most * room) + 0.06 * room
    return (2.0**left, 2.0**right) if log else (left, right)


@style()
def recipe(table: pd.DataFrame, titles: Mapping[str, str]) -> tuple[Figure, pd.DataFrame]:
    """What changes of the recipe are worth, and PDDM against Euclidean mining by quadruplets.

    `table` is claims.recipe_effects. Changes stand in one order for all data sets, the one that
    costs most on top. An interval that meets the frame goes on beyond it.
    """
    recall_1 = table[table["measure"] == "recall_1"].assign(threshold=0.0)
    kinds = {k: t for k, t in recall_1.groupby("compared")}
    if not kinds:
        return _nothing("no changes of the recipe and no two minings were run"), table
    data = list(dict.fromkeys(recall_1["data"]))
    change = kinds.get("change", recall_1[:0])
    names = change.groupby("variant")["effect"].mean().sort_values(ascending=False).index.tolist()
    each, ratios = max(3.0, 0.9 + 0.42 * len(names)), [{"change": 5, "mining": 3}[k] for k in kinds]
    fig, axes = _grid(len(data), len(kinds), 0.9 + each * len(data), width_ratios=ratios)
    for row, d in zip(axes, data, strict=True):
        for ax, (kind, every) in zip(row, kinds.items(), strict=True):
            own = every[every["data"] == d]
            draw = _changes if kind == "change" else _minings
            left, right = _limits(every, log=False)
            draw(ax, own, (min(left, -1.0), max(right, 1.0)), names)
        row[0].set_ylabel(f"{beside(titles[d])}\n{row[0].get_ylabel()}")
    shown = [m for m in FIG_4 if m in set(change["method"])]
    lines = [Line2D([], [], color=COLOURS[m], marker="o", lw=4, ms=9, label=m) for m in shown]
    if change["collapsed"].any():
        label = "a run or more collapsed"
        lines.append(Line2D([], [], color="#333333", marker="X", lw=0, ms=11, label=label))
    if "mining" in kinds:
        of = {claims.REPRODUCED: "PDDM better", claims.NOT_REPRODUCED: "Euclidean better"}
        for word in dict.fromkeys(kinds["mining"]["verdict"]):
            mark = dict(color=VERDICTS[word], marker="D", lw=4, ms=8)
            lines.append(Line2D([], [], **mark, label=of.get(word, word)))
    _legend(fig, lines, 4 if len(lines) == 4 else 3)
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
ALONG = {"length of f": ("dim", "d"), "batch size": ("batch_size", "m")}
RANKINGS = {"distance": "-", "score": "--"}  # the score's marks are open, too


@style()
def ablations(variant_runs: VariantRuns, titles: Mapping[str, str]) -> tuple[Figure, pd.DataFrame]:
    """What each change of the method does, beside what the paper says of it: a column a data set.

    Takes what claims.ablation_effects takes. Below the changes, Recall@1 against d and m where the
    study has several. An interval that meets the frame goes on beyond it.
    """
    effects, levels = claims.ablation_effects(variant_runs), _levels(variant_runs)
    if effects.empty:
        return _nothing("none of the paper's ablations was run"), effects
    data, below = list(dict.fromkeys(effects["data"])), levels.groupby("group", sort=False)["at"]
    lines = []  # the name of each group, and its changes below it
    for group, own in effects.groupby("group", sort=False):
        lines += [(group, ""), *((group, change) for change in dict.fromkeys(own["change"]))]
    heights, widths = [0.9 + 0.3 * len(lines)], [1 + number for number in below.nunique()]
    heights += [2.8] * bool(widths)
    fig, wide = _figure(0.7 + sum(heights)), len(widths) or 1
    shape = dict(height_ratios=heights, width_ratios=(widths or [1]) * len(data))
    cells = fig.add_gridspec(len(heights), wide * len(data), **shape)
    limits = _limits(effects.assign(threshold=effects["claimed"].fillna(0)), False, most=0.4)
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
    _legend(fig, marks, 3 if len(marks) in (5, 6) else 4)
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
        seeds = t.groupby("at")["recall_1"]
        mean, low, high = seeds.mean(), seeds.min(), seeds.max()
        ax.fill_between(mean.index, low, high, color=COLOURS[m], alpha=0.18, linewidth=0)
        face = "white" if ranking == "score" else COLOURS[m]
        look = dict(color=COLOURS[m], marker="o", ms=7, mfc=face, mew=2)
        ax.plot(mean.index, mean, RANKINGS[ranking], **look)
    at = sorted(own["at"].unique())
    ax.set(xscale="log", xlabel=name)
    ax.set_xticks(at, [str(x) for x in at])
    ax.minorticks_off()
    ax.margins(x=0.08)
    ax.grid(axis="y")


@style()
def samples(data: ImageSet, classes: int = 6, images: int = 9) -> tuple[Figure, pd.DataFrame]:
    """A contact sheet: a row a class, half of them of the training classes, a column an image."""
    side, names, rows, tiles = 96, [], [], []
    rng, n = np.random.default_rng(0), data.train_classes
    halves = np.arange(n), np.arange(n, len(data.class_names))
    drawn = [rng.permutation(half)[: classes // 2] for half in halves]
    for c in np.sort(np.concatenate(drawn)):
        part = "train" if c < data.train_classes else "test"
        names.append(f"{data.class_names[c]}\n({part})")
        chosen = np.flatnonzero(data.labels == c)[:images]
        rows += [(data.class_names[c], part, n + 1, int(i)) for n, i in enumerate(chosen)]
        row = [np.asarray(ImageOps.fit(data.read(int(i)), (side, side))) for i in chosen]
        row += [np.full((side, side, 3), 255, np.uint8)] * (images - len(row))
        tiles.append(np.concatenate(row, axis=1))
    fig, axes = _grid(1, 1, 0.8 + len(tiles) * (WIDTH - 2.2) / images)
    fig.set_layout_engine("compressed")  # knows that pictures keep their shape
    ax = axes[0, 0]
    ax.imshow(np.concatenate(tiles), interpolation="nearest")
    for k in range(1, max(images, len(tiles))):  # white gaps between the pictures
        ax.axvline(side * k - 0.5, color="white", linewidth=3)
        if k < len(tiles):
            ax.axhline(side * k - 0.5, color="white", linewidth=6)
    ax.set_xticks(side * np.arange(images) + side / 2, range(1, images + 1))
    ax.set_yticks(side * np.arange(len(names)) + side / 2, names)
    ax.set(xlabel=f"{data.title}: image of the class", ylabel="class")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return fig, pd.DataFrame(rows, columns=["class", "part", "column", "index"])


def save(
    fig: Figure, frame: pd.DataFrame, study: Study, name: str, runs: Runs | None = None
) -> Path:
    """Write figures/NAME.png, .svg, .csv (what it shows) and .json (its runs); the PNG's path.

    The same figure gives the same bytes. Places (folders) are left out of the .json.
    """
    folder = study.folder / "figures"
    with style():
        fig.draw_without_rendering()  # lay out once: PNG and SVG agree, and so does a second save
        fig.set_layout_engine("none")
        svg = {"format": "svg", "metadata": {"Date": None}}
        write_atomic(folder / f"{name}.svg", lambda f: fig.savefig(f, **svg))
        pixels = io.BytesIO()
        fig.savefig(pixels, format="png", dpi=160, metadata={"Software": None})
    # 256 colours are enough for these figures, at a third of the size
    small = Image.open(pixels).convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT)
    write_atomic(
        folder / f"{name}.png", lambda f: small.save(f, "PNG", optimize=True, dpi=(160, 160))
    )
    write_text(folder / f"{name}.csv", frame.to_csv(index=False, lineterminator="\n"))
    arguments = {k: v for k, v in study.arguments().items() if k not in ("results", "data_root")}
    arguments["weights"] = Path(study.weights).name
    ids = sorted({run.id for run in (runs or {}).values()})
    about = {"figure": name, "study": arguments, "runs": ids}
    write_text(folder / f"{name}.json", json.dumps(about, indent=1) + "\n")
    return folder / f"{name}.png"
