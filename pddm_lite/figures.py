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
from matplotlib.markers import CARETLEFT, CARETRIGHT
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from PIL import Image, ImageOps

from . import claims, letters, ownership, paper, tables
from .claims import Runs
from .data import ImageSet
from .methods import METHODS
from .store import write_atomic, write_text
from .study import Study, measures
from .tables import PAPER_HALF, spread

# One colour, one meaning, in every figure; told apart with any of the common colour blindnesses.
COLOURS = {
    "Softmax": "#4b0092",
    "Contrastive": "#b3b3b3",
    "Triplet": "#7fcdf5",
    "LiftedStruct": "#4b5f78",
    # as the paper had them, not mined: paler than the same rival run with care
    "Contrastive (random pairs)": "#e6e6e6",
    "Triplet (random)": "#c9e9fb",
    "LiftedStruct (random pairs)": "#8fa6c9",
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
    claims.LEVEL: "#20308a",
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
            "font.family": letters.fonts(),
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
    sigmoid: bool = False,
) -> tuple[Figure, pd.DataFrame]:
    """Fig. 1b: scores of positive and negative pairs; a row a data set, a column a method.

    Curves are the first seed's; overlap, AUC and equal-error rate are means over the seeds. With
    `sigmoid` distances are drawn as the paper draws the Euclidean one, mapped to [0, 1].
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
            kind = METHODS[m].similarity if ranking == "score" else "euclidean"
            name = SCORES.get(kind, "score S (no unit)")
            if sigmoid and kind in SCORES:
                h, name = squashed(h), f"σ({name.lstrip('−')})"
            values = pd.DataFrame([r.metrics[split][ranking] for r in own.values()])
            means = values[["overlap", "auc", "eer"]].mean()
            frames.append(h.assign(data=d, method=m, seed=seed, **means))
            text = "\n".join(
                f"{k} {spread(values[k.lower()], 3)}" for k in ("overlap", "AUC", "EER")
            )
            _distribution(ax, h)
            ax.text(0.02, 0.95, text, transform=ax.transAxes, va="top", fontsize=11.5)
            ax.set_xlabel(name)
            if d == data[0]:
                ax.set_title(m)
            ax.spines["top"].set(visible=True, color=COLOURS[m], linewidth=5)
        row[0].set_ylabel(f"{beside(titles[d])}\n{split} pairs (% a bin)")
    several = len({s for _, m, s in runs if m in methods}) > 1
    seeds = f"curves: seed {seed}; numbers: all seeds" if several else f"seed {seed}"
    _pair_legend(fig, f"shared by both ({seeds})")
    return fig, pd.concat(frames, ignore_index=True)


def _distribution(ax, h: pd.DataFrame, room: float = 1.5) -> None:
    """A histogram (evaluation.scores.histogram); `room` is the axis' height over the highest bin's,
    for words above."""
    edges = np.r_[h["left"], h["right"].iloc[-1]]
    p, n = 100 * h["positive"], 100 * h["negative"]
    ax.stairs(n, edges, fill=True, color=NEGATIVE, alpha=0.3)
    ax.stairs(p, edges, fill=True, color=POSITIVE, alpha=0.35)
    ax.stairs(np.minimum(p, n), edges, fill=True, color="#333333", alpha=0.75)
    ax.stairs(n, edges, color=NEGATIVE, linewidth=1.8)
    ax.stairs(p, edges, color=POSITIVE, linewidth=1.8)
    ax.set_ylim(0, room * max(p.max(), n.max()))
    ax.xaxis.set_major_locator(MaxNLocator(3))
    ax.yaxis.set_major_locator(MaxNLocator(3, integer=True))


def _pair_legend(fig: Figure, shared: str) -> None:
    kinds = (POSITIVE, "pairs of one class"), (NEGATIVE, "pairs of two classes")
    _legend(fig, [Patch(color=c, label=k) for c, k in (*kinds, ("#555555", shared))])


def squashed(h: pd.DataFrame) -> pd.DataFrame:
    """A histogram of scores x mapped to S = 1 / (1 + exp(-(x - m) / s)), as bins of equal width.

    m and s are mean and standard deviation of positives and negatives, both counted alike. The map
    is monotone: overlap, AUC and equal-error rate stay as they are.
    """
    x, share = (h["left"] + h["right"]) / 2, (h["positive"] + h["negative"]) / 2
    m = np.average(x, weights=share)
    s = np.sqrt(np.average((x - m) ** 2, weights=share))
    h = h.assign(**{k: 1 / (1 + np.exp(-(h[k] - m) / s)) for k in ("left", "right")})
    width = h["right"] - h["left"]
    return h.assign(**{k: h[k] * width.mean() / width for k in ("positive", "negative")})


@style()
def convergence(runs: Runs, titles: Mapping[str, str]) -> tuple[Figure, pd.DataFrame]:
    """Fig. 4, top: E_e and Recall@1 of held-out classes, by Euclidean and by PDDM mining.

    E_e (Eq. 4) is drawn since both minimise it; each run's own miner picks the tuples it is the
    mean of. Diamonds are where a seed reaches the level that claim C4 compares. Time is that of the
    fastest seed: the rest take longer for the same work since the machine had other work.
    """
    columns = ["data", "method", "seed", "step", "seconds", "E_e", "val_recall_1"]
    frames = [
        run.history.reindex(columns=columns[3:]).assign(data=d, method=m, seed=s)
        for (d, m, s), run in runs.items()
        if m in FIG_4
    ]
    if not frames:
        return _nothing(f"neither {' nor '.join(FIG_4)} was run"), pd.DataFrame(
            columns=[*columns, "level", "reached"]
        )
    frame = pd.concat(frames, ignore_index=True)[columns].assign(level=np.nan, reached=np.nan)
    for (d, s), both in frame.groupby(["data", "seed"]):
        curves = {m: t.set_index("step")["val_recall_1"] for m, t in both.groupby("method")}
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
            steps, shown = own.groupby("step"), [("E_e", mean.index), ("val_recall_1", mean.index)]
            fastest = own.groupby("seed")["seconds"].max().idxmin()
            seconds = own[own["seed"] == fastest].set_index("step")["seconds"]
            shown.append(("val_recall_1", seconds.reindex(mean.index)))
            for ax, (y, x) in zip(row, shown, strict=True):
                low, high = steps[y].min(), steps[y].max()
                ax.fill_between(x, low, high, color=COLOURS[m], alpha=0.22, linewidth=0)
                ax.plot(x, mean[y], color=COLOURS[m])
            marks = own.groupby("seed")[["reached", "level"]].first().dropna()
            row[1].plot(
                *marks.to_numpy().T, "D", mfc="white", mec=COLOURS[m], ms=8, mew=2, zorder=4
            )
        row[0].set_ylabel(f"{beside(titles[d])}\nloss Eₑ (Eq. 4)")
        for ax in row[1:]:
            ax.set_ylabel("Recall@1 of held-out\nclasses (%)")
        for ax, x in zip(
            row, ("step", "step", "wall-clock training\ntime (s), fastest seed"), strict=True
        ):
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
            ours.text(1.01, at[m], tables.shown(one.mean(), 1), **number)
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

    An interval that goes on beyond the axis ends there in an arrow.
    """
    order = table.groupby("text", sort=False).ngroup()  # a question, on each data set
    panels = {u: table[table["unit"] == u] for u in dict.fromkeys(table["unit"])}
    heights = [len(t) + order[t.index].nunique() + 0.5 for t in panels.values()]
    fig, axes = _grid(
        len(panels), 1, 1 + 0.27 * sum(heights) + 0.6 * len(panels), height_ratios=heights
    )
    cut = False
    for ax, (u, t) in zip(axes[:, 0], panels.items(), strict=True):
        below = t[t["claimed"] == "±"].assign(threshold=lambda x: -x["threshold"])
        of = claims.UNITS.get(u)
        log = of is not None and of.ratio
        if of is not None and of.margin:
            ax.axvspan(-of.margin, of.margin, color=VERDICTS[claims.LEVEL], alpha=0.1, lw=0)
        left, right = _limits(pd.concat([t, below]), log=log)
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
                both = v.level and v.verdict == claims.NOT_REPRODUCED
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
    if any(u in claims.UNITS and claims.UNITS[u].margin for u in panels):
        level = dict(color=VERDICTS[claims.LEVEL], alpha=0.1)
        marks.append(Patch(**level, label="an interval within this is level"))
    if cut:
        arrow = dict(marker=CARETRIGHT, color="#555555", ms=13, lw=0)
        marks.append(Line2D([], [], **arrow, label="the interval goes on"))
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
    ownership.check(study)
    folder = study.folder / "figures"
    with style(), letters.told():
        for text in fig.findobj(Text):  # "$" in the name of a class or folder is no formula
            if "$" in text.get_text() and "\\math" not in text.get_text():
                text.set_parse_math(False)
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
