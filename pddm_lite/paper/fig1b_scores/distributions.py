"""Fig. 1b: the score distributions of positive and negative pairs, method by method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ...methods import METHODS
from ..claims import Runs
from ..drawing import (
    COLOURS,
    axes_grid,
    beside,
    draw_distribution,
    draw_pair_legend,
    nothing_to_draw,
    style,
)
from ..wording import spread

FIG_1B = ("Euclidean+Quadruplet", "Mahalanobis score", "LMDM score", "PDDM score")
SCORES = {"euclidean": "−Euclidean distance", "mahalanobis": "−(Mahalanobis distance)²"}


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
        return nothing_to_draw("none of the methods of this figure was run"), pd.DataFrame()
    fig, axes = axes_grid(len(data), len(methods), 0.9 + 3.0 * len(data))
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
            draw_distribution(ax, h, name, COLOURS[m], text)
            if d == data[0]:
                ax.set_title(m)
        row[0].set_ylabel(f"{beside(titles[d])}\n{split} pairs (% a bin)")
    several = len({s for _, m, s in runs if m in methods}) > 1
    seeds = f"curves: seed {seed}; numbers: all seeds" if several else f"seed {seed}"
    draw_pair_legend(fig, f"shared by both ({seeds})")
    return fig, pd.concat(frames, ignore_index=True)


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
