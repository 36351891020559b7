"""Figure of claim C5: what a batch costs against its size."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from . import cost
from .cost import PAPER_M
from .figures import COLOURS, _grid, _legend, band, style

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
    fig, axes = _grid(1, 2, 5.8)
    counted, timed = axes[0]
    for way, (colour, dashes, marker, place) in LOOKS.items():
        own = frame[frame["way"] == way].groupby("m")
        pairs, ms = own["pairs"].first(), own["ms"]
        # a wide line shows below a narrow one: several ways score the same pairs
        wide = 3.5 * (way in (cost.LIFTED, cost.EUCLIDEAN))
        look = dict(marker=marker, mfc="white", mew=2)
        counted.plot(pairs, dashes, lw=2.2 + wide, ms=7 + wide, color=colour, **look)
        band(timed, frame[frame["way"] == way], "m", "ms", colour, ls=dashes, ms=7, **look)
        if np.isfinite(p.loc[way, "seconds"]):
            words = dict(textcoords="offset points", va="center", color=colour)
            end = pairs.index[-1], ms.mean().iloc[-1]
            timed.annotate(f"p = {p.loc[way, 'seconds']:.1f}", end, place, **words)
    m = sorted(frame["m"].unique())
    timed.set_ylim(0.4 * frame["ms"].min(), 3 * frame["ms"].max())
    for ax, label in ((counted, "pairs scored a batch"), (timed, "CPU time of a step (ms)")):
        ax.set(xscale="log", yscale="log", xlabel=f"batch size m, {cost.IMAGES} images a class")
        ax.set_ylabel(label)
        ax.set_xticks(m, [str(x) for x in m])
        ax.set_xticks([], minor=True)
        ax.axvline(PAPER_M, color="#bbbbbb", lw=5, alpha=0.5, zorder=0)
        ax.grid()
    timed.set_xlim(0.85 * m[0], 2.2 * m[-1])
    timed.yaxis.set_major_formatter("{x:g}")
    model = dict(transform=timed.transAxes, ha="right", va="bottom")
    timed.text(0.99, 0.03, "fitted: time = a + b mᵖ", **model)
    shown = [
        Line2D([], [], color=c, ls=dashes, marker=mark, ms=7, mfc="white", mew=2, label=way)
        for way, (c, dashes, mark, _) in reversed(LOOKS.items())
    ]
    shown += [
        Patch(color="#333333", alpha=0.22, label="band: lowest to highest seed"),
        Line2D([], [], color="#bbbbbb", lw=5, alpha=0.5, label=f"the paper's m = {PAPER_M}"),
    ]
    _legend(fig, shown, 3)
    return fig, frame
