"""One figure of the benchmarks' tables: time against size, both axes logarithmic."""

from __future__ import annotations

from itertools import cycle

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from pddm_lite.paper.drawing import COLOURS, axes_grid, style

# way -> (colour, dashes, marker): a colour is a family of losses; ours are whole lines
OURS = {name: (COLOURS[name], "-", "o") for name in COLOURS}
FAMILY = {
    "LiftedStructureLoss": (COLOURS["LiftedStruct"], "--", "s"),
    "TripletMarginMiner + TripletMarginLoss": (COLOURS["Triplet"], "--", "s"),
    "BatchHardMiner + TripletMarginLoss": (COLOURS["Triplet"], ":", "^"),
    "MultiSimilarityLoss": ("#117733", "--", "s"),
}
QUADRUPLETS = {
    "1": ("one quadruplet", "o"),
    "16": ("16 quadruplets", "s"),
    "all": ("one for every positive pair", "^"),
}
BATCH = "batch size m (4 images a class)"
# ours in turn, and what ours is compared with; on a GPU each way comes in several precisions
WHOLE = ("#e2500f", "#f0a500", "#882255", "#3aa99a", "#4b0092", "#999933")
DASHED = ("#555555", "#0072c6", "#b3b3b3")
COMPARED = ("plain", "tiles of torch", "FAISS", "AccuracyCalculator")


def _ticks(ax: Axes, xs, xlabel: str, ylabel: str) -> None:
    xs = sorted(set(xs))
    ax.set(xscale="log", yscale="log", xlabel=xlabel, ylabel=ylabel)
    ax.set_xticks(xs, [f"{x:,}" for x in xs])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,g}"))
    ax.grid()


def _line(ax: Axes, xs, ys, look, label: str) -> None:
    colour, dashes, marker = look
    ax.plot(xs, ys, dashes, color=colour, marker=marker, ms=6.5, mfc="white", mew=2, label=label)


def _below(ax: Axes, columns: int = 1) -> None:
    ax.legend(
        loc="upper left",
        bbox_to_anchor=(-0.16, -0.15),
        ncols=columns,
        fontsize=10.5,
        columnspacing=0.8,
        handlelength=2.2,
    )


def _stops(ax: Axes, x, y, why: str) -> None:
    """Why a line ends before the others."""
    ax.annotate(why, (x, y), (9, 0), textcoords="offset points", va="center", color="#555555")


def _losses(ax: Axes, table: pd.DataFrame, clock: str) -> None:
    for (side, way), own in table.dropna(subset="ms").groupby(["side", "way"], sort=False):
        look = FAMILY.get(way) or OURS[way]
        name = way if side == "ours" else f"PML {way.replace('TripletMarginLoss', 'triplet loss')}"
        _line(ax, own["m"], own["ms"], look, name)
        if way == "LiftedStructureLoss" and own["m"].max() == 256:
            _stops(ax, 256, own["ms"].iloc[-1], "9 GB at 512")
    _ticks(ax, table["m"], BATCH, f"{clock} of mine, loss, backward (ms)")
    ax.set_title("Ours and pytorch-metric-learning (PML)")
    _below(ax, 2)


def _step(ax: Axes, table: pd.DataFrame, clock: str) -> None:
    d = table["d"].iloc[0]
    for way, colour, dashes, name in (
        ("sparse_ms", COLOURS["PDDM+Quadruplet"], "-", "ours"),
        ("full_ms", "#555555", "--", "full m × m matrix"),
    ):
        for q, own in table.dropna(subset=way).groupby(
            table["quadruplets"].astype(str), sort=False
        ):
            kind, marker = QUADRUPLETS.get(q, (f"{q} quadruplets", "D"))
            if way == "sparse_ms" or q == "1":  # the full matrix costs the same for any number
                label = f"{name}, {kind}" if way == "sparse_ms" else f"{name}, any number"
                _line(ax, own["m"], own[way], (colour, dashes, marker), label)
    one = table[table["quadruplets"].astype(str) == "1"].dropna(subset="full_ms")
    for m, full, sparse, times in one[["m", "full_ms", "sparse_ms", "times_faster"]].values:
        ax.vlines(m, sparse, full, color="#999999", lw=1.2, zorder=1)
        at = (m, full**0.8 * sparse**0.2)
        ax.annotate(f"{times:,.0f}×", at, (5, 0), textcoords="offset points", va="center")
        if m == 256:
            _stops(ax, m, full, "2 GB at 512")
    if len(one):
        ax.plot([], [], color="#999999", lw=1.2, label="full matrix over one quadruplet, times")
    _ticks(ax, table["m"], BATCH, f"{clock} of a step, no network (ms)")
    ax.set_title(f"A step of PDDM, d = {d}")
    _below(ax)


def _lines(table: pd.DataFrame):
    """(name, N, seconds) of a table with way, N, s or ms and, perhaps, precision."""
    if "s" not in table:
        table = table.assign(s=table["ms"] / 1e3)
    for way, own in table.dropna(subset="s").groupby("way", sort=False):
        kinds = own.groupby("precision", sort=False) if "precision" in own else [("", own)]
        several = "precision" in table and table["precision"].nunique() > 1
        for precision, part in kinds:
            yield f"{way}, {precision}" if several else way, part["N"], part["s"]


def _by_n(title: str):
    def draw(ax: Axes, table: pd.DataFrame, clock: str) -> None:
        whole, dashed = cycle(WHOLE), cycle(DASHED)
        for name, n, seconds in _lines(table):
            rival = name.startswith(COMPARED)
            look = (next(dashed), "--", "s") if rival else (next(whole), "-", "o")
            _line(ax, n, seconds, look, name)
        _ticks(ax, table["N"], "number of items N", f"{clock} (s)")
        ax.set_title(title)
        _below(ax)

    return draw


PANELS = {
    "losses": _losses,
    "step": _step,
    "allpairs": _by_n("All pairs scored by PDDM"),
    "retrieval": _by_n("Recall@K of all items"),
}


@style()
def draw(tables: dict[str, pd.DataFrame], device: str = "cpu") -> Figure:
    """A panel for each table that has one: losses, step and, with a column N, the other two."""
    shown = [n for n in PANELS if n in tables and (n in ("losses", "step") or "N" in tables[n])]
    rows = -(-len(shown) // 2)
    fig, axes = axes_grid(rows, min(2, len(shown)), 6.3 * rows)
    clock = "time" if device.startswith("cuda") else "CPU time"
    for ax, name in zip(axes.flat, shown, strict=False):
        PANELS[name](ax, tables[name], clock)
    for ax in axes.flat[len(shown) :]:
        ax.set_axis_off()
    return fig
