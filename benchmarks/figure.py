"""One figure of the benchmarks' tables: time against size, both axes logarithmic."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from pddm_lite.paper.drawing import axes_grid, style

BATCH, ITEMS = "batch size m (4 images a class)", "number of items N"
# table -> (title, what the size is)
PANELS = {
    "losses": ("Losses: ours and PML's", BATCH),
    "step": ("A step of PDDM without the network", BATCH),
    "allpairs": ("All pairs scored by PDDM", ITEMS),
    "retrieval": ("Recall@K of all items", ITEMS),
}


def lines(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """size, ms and the way it was taken, of a table that PANELS names; no row of what was not."""
    if name == "step":
        table = table.melt(["m", "quadruplets"], ["sparse_ms", "full_ms"], "side", "ms")
        side = table["side"].map({"sparse_ms": "ours", "full_ms": "full m × m matrix"})
        way = side + ", quadruplets: " + table["quadruplets"].astype(str)
    else:
        columns = [c for c in ("side", "way", "precision") if c in table and table[c].nunique() > 1]
        way = table[columns or ["way"]].agg(", ".join, axis=1)
    ms = table["ms"] if "ms" in table else 1e3 * table["s"]
    size = table["N"] if "N" in table else table["m"]
    return pd.DataFrame({"size": size, "ms": ms, "way": way}).dropna()


@style()
def draw(tables: dict[str, pd.DataFrame], device: str = "cpu") -> Figure:
    """A panel for each table that PANELS names."""
    shown = [name for name in PANELS if name in tables]
    rows = -(-len(shown) // 2)
    fig, axes = axes_grid(rows, min(2, len(shown)), 6.3 * rows)
    clock = "time (ms)" if device.startswith("cuda") else "CPU time (ms)"
    for ax, name in zip(axes.flat, shown, strict=False):
        own, (title, what) = lines(name, tables[name]), PANELS[name]
        sns.lineplot(own, x="size", y="ms", hue="way", style="way", markers=True, ax=ax)
        ax.set(xscale="log", yscale="log", xlabel=what, ylabel=clock, title=title)
        sizes = sorted(own["size"].unique())
        ax.set_xticks(sizes, [f"{x:,}" for x in sizes])
        ax.minorticks_off()
        sns.move_legend(ax, "upper left", bbox_to_anchor=(-0.16, -0.15), title=None)
    for ax in axes.flat[len(shown) :]:
        ax.set_axis_off()
    return fig
