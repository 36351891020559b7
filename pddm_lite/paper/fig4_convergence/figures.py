"""Fig. 4, top: how fast training goes, by steps and by time; what a batch costs by its size.

The bottom of Fig. 4, queries and what they retrieve, is table1_retrieval/figures.py.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from .. import decide
from ..decide import Runs
from ..drawing import COLOURS, FIG_4, axes_grid, band, beside, draw_legend, nothing_to_draw, style
from . import cost
from .cost import PAPER_M

# way -> (its method's colour, dashes, marker, where its exponent stands in points from its end);
# dashes tell two ways of one method
LOOKS = {
    cost.LIFTED: (COLOURS["LiftedStruct"], "-", "D", (10, 0)),
    cost.EUCLIDEAN: (COLOURS["Euclidean+Quadruplet"], "-", "o", (10, 0)),
    cost.FISHER: (COLOURS["PDDM+Quadruplet"], ":", "^", (-28, 13)),
    cost.EVERY: (COLOURS["PDDM+Quadruplet"], "--", "s", (-2, 13)),
    cost.PDDM: (COLOURS["PDDM+Quadruplet"], "-", "o", (10, 0)),
}


@style()
def batch_cost(costs: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Pairs counted and milliseconds of CPU a step against m, both axes logarithmic.

    `costs` is cost.measured. The number at a curve's end is its exponent by cost.exponent, the mean
    over seeds; a band is the lowest to the highest seed.
    """
    frame = costs.assign(ms=1e3 * costs["seconds"])
    p = cost.exponents(costs).groupby("way").mean(numeric_only=True)
    fig, axes = axes_grid(1, 2, 5.8)
    counted, timed = axes[0]
    for way, (colour, dashes, marker, place) in LOOKS.items():
        own = frame[frame["way"] == way].groupby("m")
        pairs, ms = own["pairs"].first(), own["ms"]
        # a wide line shows below a narrow one: several ways score the same pairs
        wide = 3.5 * (way in (cost.LIFTED, cost.EUCLIDEAN))
        look = dict(marker=marker, mfc="white", mew=2)
        look["label"] = way
        counted.plot(pairs, dashes, lw=2.2 + wide, ms=7 + wide, color=colour, **look)
        band(timed, frame[frame["way"] == way], "m", "ms", colour, ls=dashes, ms=7, **look)
        if np.isfinite(p.loc[way, "seconds"]):
            words = dict(textcoords="offset points", va="center", color=colour)
            end = pairs.index[-1], ms.mean().iloc[-1]
            timed.annotate(f"p = {p.loc[way, 'seconds']:.1f}", end, place, **words)
    m = sorted(frame["m"].unique())
    timed.set_ylim(0.4 * frame["ms"].min(), 3 * frame["ms"].max())
    for ax, label in ((counted, "pairs scored a batch"), (timed, "CPU time of a step (ms)")):
        ax.set(
            xscale="log", yscale="log", xlabel=f"batch size m (log), {cost.IMAGES} images a class"
        )
        ax.set_ylabel(f"{label}, log")
        ax.set_xticks(m, [str(x) for x in m])
        ax.set_xticks([], minor=True)
        ax.axvline(PAPER_M, color="#bbbbbb", lw=5, alpha=0.5, zorder=0)
        ax.grid()
    timed.set_xlim(0.85 * m[0], 2.2 * m[-1])
    timed.yaxis.set_major_formatter("{x:g}")
    model = dict(transform=timed.transAxes, ha="right", va="bottom")
    timed.text(0.99, 0.03, "fitted: time = a + b mᵖ", **model)
    shown = [
        Patch(color="#333333", alpha=0.22, label="band: lowest to highest seed"),
        Line2D([], [], color="#bbbbbb", lw=5, alpha=0.5, label=f"the paper's m = {PAPER_M}"),
    ]
    draw_legend(fig, shown, 3)
    return fig, frame


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
        return nothing_to_draw(f"neither {' nor '.join(FIG_4)} was run"), pd.DataFrame(
            columns=[*columns, "level", "reached"]
        )
    frame = pd.concat(frames, ignore_index=True)[columns].assign(level=np.nan, reached=np.nan)
    for (d, s), both in frame.groupby(["data", "seed"]):
        curves = {m: t.set_index("step")["val_recall_1"] for m, t in both.groupby("method")}
        level, reached = (len(curves) == 2 and decide.common_level(curves)) or (np.nan, {})
        for m, step in reached.items():
            own = (frame[["data", "seed", "method"]] == [d, s, m]).all(axis=1)
            frame.loc[own, ["level", "reached"]] = level, step
    data = list(dict.fromkeys(frame["data"]))
    fig, axes = axes_grid(len(data), 3, 0.9 + 3.2 * len(data))
    for row, d in zip(axes, data, strict=True):
        for m in [m for m in FIG_4 if m in set(frame["method"])]:
            own = frame[(frame["data"] == d) & (frame["method"] == m)]
            fastest = own.groupby("seed")["seconds"].max().idxmin()
            seconds = own[own["seed"] == fastest].set_index("step")["seconds"]
            own = own.assign(fastest=own["step"].map(seconds))
            words = m.replace("+", " mining + ")
            band(row[0], own, "step", "E_e", COLOURS[m], label=words)
            band(row[1], own, "step", "val_recall_1", COLOURS[m])
            band(row[2], own, "fastest", "val_recall_1", COLOURS[m])
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
    mark = dict(marker="D", mfc="white", mec="#333333", ms=8, mew=2, linestyle="")
    lines = [
        Patch(color="#333333", alpha=0.22, label="band: lowest to highest seed"),
        Line2D([], [], **mark, label="common level of claim C4 reached, one a seed"),
    ]
    draw_legend(fig, lines, 2)
    return fig, frame
