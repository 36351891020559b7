"""Fig. 1b: the score distributions of positive and negative pairs, method by method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from ...methods import METHODS
from ..decide import Runs
from ..drawing import (
    COLOURS,
    axes_grid,
    beside,
    draw_distribution,
    draw_pair_legend,
    histogram_of,
    nothing_to_draw,
    style,
)
from ..wording import spread

FIG_1B = ("Triplet", "Euclidean+Quadruplet", "Mahalanobis score", "LMDM score", "PDDM score")


@style()
def score_distributions(
    runs: Runs,
    titles: Mapping[str, str],
    methods: Sequence[str] = FIG_1B,
) -> tuple[Figure, pd.DataFrame]:
    """Fig. 1b: scores of positive and negative pairs; a row a data set, a column a method.

    Curves are the first seed's; overlap, AUC and equal-error rate are means over the seeds. All
    scores share one scale, drawing.ranks.
    """
    methods = [m for m in methods if any(n == m for _, n, _ in runs)]
    data, frames = list(dict.fromkeys(d for d, _, _ in runs)), []
    if not methods:
        return nothing_to_draw("none of the methods of this figure was run"), pd.DataFrame()
    fig, axes = axes_grid(len(data), len(methods), 0.9 + 3.0 * len(data))
    for row, d in zip(axes, data, strict=True):
        for ax, m in zip(row, methods, strict=True):
            ranking = METHODS[m].rank
            own = {s: r for (a, b, s), r in sorted(runs.items()) if (a, b) == (d, m)}
            seed, run = next(iter(own.items()))
            h = histogram_of(run, ranking)
            values = pd.DataFrame([r.metrics["test"][ranking] for r in own.values()])
            means = values[["overlap", "auc", "eer"]].mean()
            frames.append(h.assign(data=d, method=m, seed=seed, **means))
            text = "\n".join(
                f"{k} {spread(values[k.lower()], 3)}" for k in ("overlap", "AUC", "EER")
            )
            draw_distribution(ax, h, COLOURS[m], text)
            if d == data[0]:
                ax.set_title(m.replace("+", "+\n") if len(methods) > 4 else m)
        row[0].set_ylabel(f"{beside(titles[d])}\ntest pairs")
    several = len({s for _, m, s in runs if m in methods}) > 1
    seeds = f"curves: seed {seed}; numbers: all seeds" if several else f"seed {seed}"
    draw_pair_legend(fig, f"shared by both ({seeds})")
    return fig, pd.concat(frames, ignore_index=True)
