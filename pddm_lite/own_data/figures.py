"""The figure of one's own folder: what a query finds before and after training."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from PIL import ImageOps
from torch import Tensor

from ..data import ImageSet
from ..paper.drawing import NEGATIVE, POSITIVE, WIDTH, axes_grid, draw_legend, style

GAP, APART, FRAME = 0.14, 0.55, 0.05  # between pictures and blocks, and of a frame: in pictures


@style()
def neighbours(
    data: ImageSet, features: Mapping[str, Tensor], queries: int = 5, shown: int = 4
) -> tuple[Figure, pd.DataFrame]:
    """The nearest test images of a few queries: a row each, a block of columns a set of features.

    features: what to call it -> f [n, d] of data.test, ranked by Euclidean distance. The queries
    are drawn by a fixed seed, one a class, whatever they find.
    """
    labels = data.labels[data.test]
    rng = np.random.default_rng(0)
    classes = np.sort(rng.permutation(np.unique(labels))[:queries])
    drawn = [int(rng.choice(np.flatnonzero(labels == c))) for c in classes]
    shown, step = min(shown, len(labels) - 1), 1 + GAP
    wide = step + len(features) * (shown * step + APART)
    fig, axes = axes_grid(1, 1, 1.0 + len(drawn) * step * (WIDTH - 1.9) / wide)
    fig.set_layout_engine("compressed")  # knows that pictures keep their shape
    ax, rows, ticks = axes[0, 0], [], {0.5: "query"}
    for y, q in enumerate(drawn):
        _picture(ax, data, q, 0.0, y * step, "#333333")
        for b, (name, f) in enumerate(features.items()):
            D = (f - f[q]).norm(dim=1)
            D[q] = np.inf  # left out by its place, not by its distance: it may have duplicates
            for k, n in enumerate(D.argsort(stable=True)[:shown].tolist()):
                x = step + APART + b * (shown * step + APART) + k * step
                right = labels[n] == labels[q]
                _picture(ax, data, n, x, y * step, POSITIVE if right else NEGATIVE)
                rows.append((name, int(data.test[q]), k + 1, int(data.test[n]), right, D[n].item()))
                ticks[x + 0.5] = str(k + 1)
    for b, name in enumerate(features):
        middle = step + APART + b * (shown * step + APART) + (shown * step - GAP) / 2
        ax.text(middle, -0.16, name, ha="center", va="bottom", weight="bold")
    names = [data.class_names[c].rpartition("/")[2].replace("_", " ") for c in classes]
    names = [textwrap.fill(n, 18, max_lines=3, placeholder="…") for n in names]
    ax.set_yticks(step * np.arange(len(names)) + 0.5, names)
    ax.set_xticks(list(ticks), ticks.values())
    ax.set(xlim=(-FRAME, wide - GAP + FRAME), ylim=(len(drawn) * step - GAP + FRAME, -0.5))
    ax.set(xlabel="nearest test image, by Euclidean distance", ylabel="class of the query")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    kinds = (POSITIVE, "of the query's class"), (NEGATIVE, "of another class")
    draw_legend(fig, [Patch(color=c, label=k) for c, k in kinds])
    return fig, pd.DataFrame(rows, columns="features query rank neighbour same distance".split())


def _picture(ax, data: ImageSet, n: int, x: float, y: float, colour: str) -> None:
    """Test image n in a frame, 1 x 1 at (x, y)."""
    tile = np.asarray(ImageOps.fit(data.read(int(data.test[n])), (112, 112)))
    ax.imshow(tile, extent=(x, x + 1, y + 1, y), interpolation="nearest")
    frame = Rectangle((x, y), 1, 1, fill=False, edgecolor=colour, linewidth=4)
    ax.add_patch(frame)
