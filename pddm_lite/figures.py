"""The figures of the paper from stored runs: each returns the figure and the table that it shows."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from PIL import ImageOps

from . import claims, paper
from .claims import Runs
from .data import ImageSet
from .methods import METHODS
from .store import write_atomic, write_text
from .study import Study, measures
from .tables import PAPER_HALF, spread
from .training import Run

# One colour, one meaning, in every figure; told apart with any of the common colour blindnesses.
COLOURS = {
    "Contrastive": "#9a9a9a",
    "Triplet": "#6cc3f0",
    "LiftedStruct": "#4b5f78",
    "Euclidean+Quadruplet": "#0067b3",
    "Mahalanobis score": "#cc79a7",
    "LMDM score": "#8a8a1e",
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

FIG_1B = (
    ("Euclidean+Quadruplet", "distance"),
    ("Mahalanobis score", "score"),
    ("LMDM score", "score"),
    ("PDDM score", "score"),
)
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


def _grid(rows: int, columns: int, height: float, **kw) -> tuple[Figure, np.ndarray]:
    """A figure outside pyplot, so that a notebook neither shows it twice nor keeps it."""
    fig = Figure(figsize=(WIDTH, max(height, 2.0)), layout="constrained")
    fig.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
    return fig, fig.subplots(rows, columns, squeeze=False, **kw)


def _legend(fig: Figure, handles: Sequence, columns: int = 4) -> None:
    fig.legend(handles=handles, loc="outside lower center", ncols=columns)


def _nothing(why: str) -> Figure:
    """A figure that says in words why it is empty."""
    fig, axes = _grid(1, 1, 2.0)
    axes[0, 0].set(xlabel="nothing to draw", ylabel=" ", xticks=[], yticks=[])
    axes[0, 0].text(0.5, 0.5, why, ha="center", va="center", wrap=True)
    return fig


def _data(runs: Runs) -> list[str]:
    return list(dict.fromkeys(d for d, _, _ in runs))


@style()
def score_distributions(
    runs: Runs,
    titles: Mapping[str, str],
    split: str = "test",
    panels: Sequence[tuple[str, str]] = FIG_1B,
) -> tuple[Figure, pd.DataFrame]:
    """Fig. 1b: scores of positive and negative pairs; a row a data set, a column (method, ranking).

    Curves are the first seed's; overlap, AUC and equal-error rate are means over the seeds.
    """
    panels = [p for p in panels if any(m == p[0] for _, m, _ in runs)]
    names = ["overlap", "auc", "eer"]
    if not panels:
        empty = ["data", "method", "ranking", "seed", "left", "right", "positive", "negative"]
        return _nothing("none of the methods of this figure was run"), pd.DataFrame(
            columns=empty + names
        )
    data, frames = _data(runs), []
    fig, axes = _grid(len(data), len(panels), 0.9 + 3.1 * len(data), sharey="row")
    for row, d in zip(axes, data, strict=True):
        for ax, (m, ranking) in zip(row, panels, strict=True):
            own = {s: r for (a, b, s), r in sorted(runs.items()) if (a, b) == (d, m)}
            seed, run = next(iter(own.items()))
            h = run.histograms
            h = h[(h["split"] == split) & (h["ranking"] == ranking)].reset_index(drop=True)
            values = pd.DataFrame([r.metrics[split][ranking] for r in own.values()])
            ends = {"data": d, "method": m, "ranking": ranking, "seed": seed}
            h = h[["left", "right", "positive", "negative"]].assign(**ends, **values[names].mean())
            frames.append(h)
            edges = np.r_[h["left"], h["right"].iloc[-1]]
            p, n = 100 * h["positive"], 100 * h["negative"]
            ax.stairs(n, edges, fill=True, color=NEGATIVE, alpha=0.3)
            ax.stairs(p, edges, fill=True, color=POSITIVE, alpha=0.35)
            ax.stairs(np.minimum(p, n), edges, fill=True, color="#333333", alpha=0.75)
            ax.stairs(n, edges, color=NEGATIVE, linewidth=1.8)
            ax.stairs(p, edges, color=POSITIVE, linewidth=1.8)
            text = "\n".join(f"{k} {spread(values[k.lower()], 3)}" for k in ("overlap", "AUC", "EER"))
            ax.text(0.03, 0.98, text, transform=ax.transAxes, va="top", fontsize=11)
            ax.set_xlabel(_score_name(m, ranking))
            ax.xaxis.set_major_locator(MaxNLocator(4))
            if ax in axes[0]:
                ax.set_title(m, color=COLOURS[m])
        row[0].set_ylabel(f"{titles[d]}\n{split} pairs, % per bin")
        row[0].set_ylim(0, 1.55 * row[0].dataLim.y1)  # room for the words
    kinds = (POSITIVE, "one class"), (NEGATIVE, "two classes"), ("#5a5a5a", "shared area = overlap")
    _legend(fig, [Patch(color=c, label=k) for c, k in kinds])
    return fig, pd.concat(frames, ignore_index=True)


def _score_name(name: str, ranking: str) -> str:
    if ranking == "distance":
        return "−Euclidean distance"
    kind = METHODS[name].similarity
    return "−(Mahalanobis distance)²" if kind == "mahalanobis" else "score S (no unit)"


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
        for m, level, step in _common_level(both):
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
            row[1].plot(*marks.to_numpy().T, "D", mfc="white", mec=COLOURS[m], ms=8, mew=2, zorder=4)
        row[0].set_ylabel(f"{titles[d]}\nloss Eₑ (Eq. 4, mean of its parts)")
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


def _common_level(both: pd.DataFrame) -> list[tuple[str, float, float]]:
    """(method, level, step that reaches it) of one data set and seed, as claims.c4 defines it."""
    curves = {m: t.set_index("step")["test_recall_1"] for m, t in both.groupby("method")}
    if len(curves) < 2:
        return []
    start, best = both.iloc[0]["test_recall_1"], min(c.max() for c in curves.values())
    level = start + 0.9 * (best - start)
    if best - start < 0.5:
        return []
    return [(m, level, claims._first_step(c, level)) for m, c in curves.items()]


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
    data = _data(runs)
    fig, axes = _grid(
        len(data), 3, 0.7 + 0.42 * len(data) * (len(names) + 2), width_ratios=(4, 3, 4)
    )
    for (ours, printed, curve), d in zip(axes, data, strict=True):
        for m in names:
            own = frame[(frame["data"] == d) & (frame["method"] == m) & (frame["source"] == "run")]
            one = own[own["K"] == 1]["recall"]
            ours.plot(one, [at[m]] * len(one), "o", color=COLOURS[m], alpha=0.6, ms=7)
            ours.plot(one.mean(), at[m], "|", color=COLOURS[m], ms=20, mew=3)
            mean = own.groupby("K")["recall"].mean()
            dashes = "--" if METHODS[m].rank == "score" else "-"
            curve.plot(mean.index, mean, dashes, color=COLOURS[m], marker="o", ms=4)
        half = PAPER_HALF.get(d.partition("@")[0], "")
        theirs = {m: v for m, v in paper.TABLE_1.get(half, {}).items() if m in at}
        values = [v[0] for v in theirs.values()]
        printed.plot(values, [at[m] for m in theirs], "o", mfc="none", mec="#555555", mew=2, ms=8)
        printed.set_facecolor("#f1f1f1")
        printed.set_xlabel(f"paper, {half}:\nRecall@1 (%)" if half else "not in the paper")
        ours.set_xlabel(f"{titles[d]}:\ntest Recall@1 (%)")
        curve.set(xscale="log", xlabel="K", ylabel=f"{titles[d]}:\ntest Recall@K (%)")
        curve.set_xticks(paper.KS, [str(k) for k in paper.KS])
        curve.minorticks_off()
        for ax, labels in ((ours, names), (printed, [""] * len(names))):
            ax.set_yticks(list(at.values()), labels)
            ax.set(ylim=(-0.6, len(names) - 0.4), ylabel="method" if ax is ours else " ")
            ax.margins(x=0.12)
        for label, m in zip(ours.get_yticklabels(), names, strict=True):
            label.set_color(COLOURS[m])
        for ax in (ours, printed, curve):
            ax.grid()
        rows = [(d, m, -1, v, k, half) for m, vs in theirs.items() for k, v in zip(paper.KS, vs)]
        shown = pd.DataFrame(rows, columns=["data", "method", "seed", "recall", "K", "source"])
        frame = pd.concat([frame, shown.assign(source="paper, " + shown["source"])])
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
    """Each claim's effect and 95 % interval beside what was claimed, one panel a unit."""
    units = table["measure"].str.partition(": ")
    kinds = {"overlap": "overlap, difference", "Recall@1, points": "Recall@1, points"}
    unit = units[0].map(kinds).fillna("steps of Euclidean mining per step of PDDM mining")
    what = units[2].where(units[2] != "", "PDDM mining against Euclidean mining, speed")
    rows = [table.index[unit == u] for u in dict.fromkeys(unit)]
    fig, axes = _grid(
        len(rows), 1, 1.2 + 0.5 * len(table) + 0.6 * len(rows), height_ratios=[len(r) for r in rows]
    )
    for ax, index in zip(axes[:, 0], rows, strict=True):
        ax.set_xlabel(unit[index[0]])
        if "steps" in unit[index[0]]:
            ax.set_xscale("log", base=2)
            ax.xaxis.set_major_formatter("{x:g}")
        labels = []
        for y, n in enumerate(sorted(index, key=lambda n: (int(table.claim[n][1:]), what[n]))):
            v, colour = table.loc[n], VERDICTS[table.verdict[n]]
            ax.plot([v.low, v.high], [y, y], color=colour, linewidth=3, alpha=0.6)
            ax.plot(v.effect, y, "o", color=colour, ms=9)
            ax.plot([v.threshold] * 2, [y - 0.4, y + 0.4], color="black", linewidth=2)
            ax.text(1.01, y, v.verdict, transform=ax.get_yaxis_transform(), color=colour, va="center")
            short = textwrap.shorten(what[n], 58, placeholder=" …")
            labels.append(f"{v.claim}  {short}\n{titles[v.data]}")
        ax.set_yticks(range(len(labels)), labels, fontsize=11)
        ax.set(ylim=(len(labels) - 0.4, -0.6), ylabel="claim")
        ax.grid(axis="x")
    marks = [
        Line2D([], [], color="#555555", marker="o", lw=3, label="effect, 95 % interval over seeds"),
        Line2D([], [], color="black", marker="|", ms=14, mew=2, lw=0, label="claimed: right of this"),
    ]
    _legend(fig, marks, 2)
    return fig, table


@style()
def samples(data: ImageSet, classes: int = 6, images: int = 10) -> tuple[Figure, pd.DataFrame]:
    """A contact sheet: a row a class, evenly over training and test classes, a column an image."""
    side, names, rows, tiles = 96, [], [], []
    for c in np.unique(np.linspace(0, len(data.class_names) - 1, classes).astype(int)):
        part = "train" if c < data.train_classes else "test"
        names.append(f"{data.class_names[c]}\n({part})")
        chosen = np.flatnonzero(data.labels == c)[:images]
        rows += [(data.class_names[c], part, n + 1, int(i)) for n, i in enumerate(chosen)]
        row = [np.asarray(ImageOps.fit(data.read(int(i)), (side, side))) for i in chosen]
        row += [np.full((side, side, 3), 255, np.uint8)] * (images - len(row))
        tiles.append(np.concatenate(row, axis=1))
    fig, axes = _grid(1, 1, 0.8 + len(tiles) * (WIDTH - 2.2) / images)
    ax = axes[0, 0]
    ax.imshow(np.concatenate(tiles))
    for k in range(1, max(images, len(tiles))):  # white gaps between the pictures
        ax.axvline(side * k - 0.5, color="white", linewidth=3)
        if k < len(tiles):
            ax.axhline(side * k - 0.5, color="white", linewidth=6)
    ax.set_xticks(side * np.arange(images) + side / 2, range(1, images + 1))
    ax.set_yticks(side * np.arange(len(names)) + side / 2, names)
    ax.set(xlabel="image of the class", ylabel=f"{data.title}: class")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return fig, pd.DataFrame(rows, columns=["class", "part", "column", "index"])


def save(
    fig: Figure, frame: pd.DataFrame, study: Study, name: str, runs: Iterable[Run] | Runs = ()
) -> Path:
    """Write figures/NAME.png, .svg, .csv (what it shows) and .json (from which runs); the PNG's path.

    The same figure gives the same bytes. Places (results, data_root) are left out of the .json.
    """
    folder = study.folder / "figures"
    with style():
        fig.draw_without_rendering()  # lay out once: PNG and SVG agree, and so does a second save
        fig.set_layout_engine("none")
        for kind, kw in (("png", {"dpi": 160, "metadata": {"Software": None}}), ("svg", {})):
            kw = kw or {"metadata": {"Date": None}}
            write_atomic(
                folder / f"{name}.{kind}", lambda f, k=kind, kw=kw: fig.savefig(f, format=k, **kw)
            )
    write_text(folder / f"{name}.csv", frame.to_csv(index=False, lineterminator="\n"))
    arguments = {k: v for k, v in study.arguments().items() if k not in ("results", "data_root")}
    ids = sorted({run.id for run in (runs.values() if isinstance(runs, dict) else runs)})
    about = {"figure": name, "study": arguments, "runs": ids}
    write_text(folder / f"{name}.json", json.dumps(about, indent=1) + "\n")
    return folder / f"{name}.png"


__all__ = ["COLOURS", "Axes", "convergence", "recall", "samples", "save", "score_distributions"]
