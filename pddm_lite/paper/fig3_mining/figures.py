"""The figures of hard mining: a quadruplet of one batch, the toy of Fig. 3, the oracle's verdict.

Each returns the figure and the table that it shows, as those of drawing.py do.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from PIL import ImageOps

from ...data import ImageSet
from ...methods import METHODS
from ..drawing import (
    COLOURS,
    NEGATIVE,
    POSITIVE,
    axes_grid,
    beside,
    dots,
    draw_legend,
    new_figure,
    nothing_to_draw,
    sheet,
    style,
)
from . import toy
from .mined import PAIRS
from .oracle import KINDS, RULERS

CHAIN = "kijl"  # a quadruplet as a chain: each image beside the ones it is paired with
LINKS = {"ik": 0.5, "ij": 1.5, "jl": 2.5}  # where the words on a pair stand in the chain
NAMES = {"ij": "S(i,j)", "ik": "S(i,k)", "jl": "S(j,l)"}
DASHES = {"ij": "-", "ik": "--", "jl": ":"}


@style()
def quadruplets(
    mined: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]], data: ImageSet
) -> tuple[Figure, pd.DataFrame]:
    """Quadruplets of one batch, by several similarities or rules for the negatives: a row each.

    mined: "METHOD" or "METHOD, rule" -> (the quadruplet, all pairs of the batch), of
    mined.quadruplet. Left, the images k, i, j, l in a chain; right, where its three pairs lie among
    all of the batch.
    """
    if not mined:
        return nothing_to_draw("none of the methods of this figure was run"), pd.DataFrame()
    fig = new_figure(0.7 + 2.7 * len(mined))
    axes = fig.subplots(len(mined), 2, squeeze=False, width_ratios=(9, 4))
    for (chain, spread), (title, (own, every)) in zip(axes, mined.items(), strict=True):
        m = title.partition(",")[0]
        _chain(chain, own.set_index("pair"), data)
        chain.set_title(f"{title}, by {_score(m)}")
        _spread(spread, own.set_index("pair"), every, m)
    kinds = (POSITIVE, "pairs of one class"), (NEGATIVE, "pairs of two classes")
    lines = [Patch(color=c, alpha=0.5, label=k) for c, k in kinds]
    for pair in PAIRS:
        colour = POSITIVE if pair == "ij" else NEGATIVE
        lines.append(Line2D([], [], color=colour, linestyle=DASHES[pair], label=NAMES[pair]))
    draw_legend(fig, lines, 5)
    return fig, pd.concat([own.assign(method=m) for m, (own, _) in mined.items()])


def _score(m: str) -> str:
    kind = METHODS[m].similarity
    return "S = −D" if kind == "euclidean" else f"the score S of {kind.upper()}"


def _chain(ax, own: pd.DataFrame, data: ImageSet) -> None:
    """Four pictures in a row; between them what the similarity and the distance say of the pair."""
    image = {"i": own["a"]["ij"], "j": own["b"]["ij"], "k": own["b"]["ik"], "l": own["b"]["jl"]}
    side = 128
    gap = 0.45 * side
    for n, letter in enumerate(CHAIN):
        left = n * (side + gap)
        tile = ImageOps.fit(data.read(int(image[letter])), (side, side))
        ax.imshow(np.asarray(tile), extent=(left, left + side, side, 0), interpolation="nearest")
        name = data.class_names[data.labels[image[letter]]].replace("_", " ")
        colour = POSITIVE if letter in "ij" else NEGATIVE
        words = textwrap.fill(f"{letter}: {name}", 17, max_lines=2, placeholder="…")
        middle = left + side / 2
        ax.text(middle, 1.05 * side, words, ha="center", va="top", fontsize=11, color=colour)
    for pair, at in LINKS.items():
        colour = POSITIVE if pair == "ij" else NEGATIVE
        middle = (at + 0.5) * (side + gap) - gap / 2
        S, D = (round(own[x][pair], 2) + 0.0 for x in "SD")  # + 0.0: no minus zero
        text = f"S\n{S:.2f}\n\nD\n{D:.2f}".replace("-", "−")
        ax.text(middle, side / 2, text, ha="center", va="center", fontsize=11.5, color=colour)
    ax.set(xlim=(0, 4 * side + 3 * gap), ylim=(1.4 * side, 0), xticks=[], yticks=[])
    ax.set(xlabel="negative of i  |  positive pair (i, j)  |  negative of j", ylabel=" ")
    ax.spines[:].set_visible(False)


def _spread(ax, own: pd.DataFrame, every: pd.DataFrame, m: str) -> None:
    """Densities of the batch's positive and negative scores, and the three pairs as lines."""
    how = dict(stat="percent", common_norm=False, element="step", bins=30, alpha=0.35)
    colours = {False: NEGATIVE, True: POSITIVE}
    sns.histplot(every, x="S", hue="same", palette=colours, legend=False, ax=ax, **how)
    for pair in PAIRS:
        colour = POSITIVE if pair == "ij" else NEGATIVE
        ax.axvline(own["S"][pair], color=colour, linestyle=DASHES[pair])
    ax.set(xlabel=_score(m).removeprefix("the "), ylabel="share of pairs (%)")
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.yaxis.set_major_locator(MaxNLocator(3, integer=True))


@style()
def six(
    data: ImageSet, index: np.ndarray, S: np.ndarray, chosen: Sequence[int]
) -> tuple[Figure, pd.DataFrame]:
    """Some images, a row two of them, beside their similarities S [n, n]; the pairs (i, j), (i, k)
    and (j, l) of the quadruplet `chosen`, places in `index`, are framed."""
    fig = new_figure(4.6)
    left, right = fig.subplots(1, 2, width_ratios=(2, 5))
    sheet(left, [[data.read(int(n)) for n in pair] for pair in index.reshape(-1, 2)], 2)
    letters = {n: "" for n in range(len(index))}
    for letter, n in zip("ijkl", chosen, strict=True):
        letters[int(n)] += letter
    words = [f"{n} {letter}".strip() for n, letter in letters.items()]
    for n, word in enumerate(words):
        left.text(
            n % 2 + 0.08, n // 2 + 0.14, word, weight="bold", bbox=dict(fc="white", ec="none")
        )
    left.set(xticks=[], yticks=[], xlabel="a row a class", ylabel=" ")
    shown = np.where(np.eye(len(S), dtype=bool), np.nan, S)
    right.imshow(shown, cmap="Greys", aspect="auto")
    middle = (np.nanmin(shown) + np.nanmax(shown)) / 2
    for a, b in zip(*np.nonzero(np.isfinite(shown)), strict=True):
        colour = "white" if shown[a, b] > middle else "black"
        right.text(b, a, f"{shown[a, b]:.3f}", ha="center", va="center", color=colour, fontsize=11)
    i, j, k, l = map(int, chosen)
    for a, b, colour in ((i, j, POSITIVE), (i, k, NEGATIVE), (j, l, NEGATIVE)):
        frame = Rectangle((b - 0.48, a - 0.46), 0.96, 0.92, fill=False, ec=colour, lw=4)
        right.add_patch(frame)
    right.set_xticks(range(len(words)), words)
    right.set_yticks(range(len(words)), words)
    right.set(xlabel="similarity S (darker: more alike)", ylabel="image")
    kinds = (POSITIVE, "(i, j): the least alike of one class"), (NEGATIVE, "(i, k) and (j, l)")
    draw_legend(fig, [Patch(fc="white", ec=c, lw=3, label=text) for c, text in kinds])
    return fig, pd.DataFrame(S.round(4)).assign(image=index, letters=list(letters.values()))


CLASSES = {1: "#0072c6", 2: "#e2500f", 3: "#f0a500", 4: "#333333"}
MARKS = {1: "o", 2: "s", 3: "D", 4: "^"}


@style()
def toy_arrows(frame: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Fig. 3 computed: the toy, and minus the gradient of each loss on each point, a panel a loss.

    frame: toy.arrows. The longest arrow has the same length in each panel: compare directions and
    shares, not lengths between panels.
    """
    names = list(dict.fromkeys(frame["loss"]))
    fig, axes = axes_grid(2, 3, 6.8, sharex=True, sharey=True)
    places = frame[frame["loss"] == names[0]]
    for ax, name in zip(axes.flat, ["", *names], strict=True):
        for c, own in places.groupby("class"):
            faint = 1.0 if not name else 0.55
            ax.plot(own["x"], own["y"], MARKS[c], color=CLASSES[c], ms=7, alpha=faint, mew=0)
        ax.set(title=name.replace(", E", ",\nE").replace(", P", ",\nP") or "The toy: four classes")
        ax.set(xlim=(-0.95, 0.85), ylim=(-0.32, 0.85), aspect="equal", xlabel="x", ylabel="y")
        ax.label_outer()
        if name:
            _push(ax, frame[frame["loss"] == name])
    line = dict(arrowstyle="-", color="#777777")
    stray = places[["x", "y"]].iloc[toy.STRAY]
    axes[0, 0].annotate("stray point of 4", stray, (-0.55, 0.22), arrowprops=line, fontsize=11)
    marks = [
        Line2D([], [], marker=MARKS[c], color=CLASSES[c], lw=0, label=f"class {c}{like}")
        for c, like in zip(MARKS, (", loose", ", tight", ", tight", ""), strict=True)
    ]
    marks += [
        Line2D([], [], color=POSITIVE, linestyle="-", label="mined positive pair (i, j)"),
        Line2D([], [], color=NEGATIVE, linestyle="--", label="mined negatives (i, k), (j, l)"),
        Line2D([], [], mfc="none", mec="black", marker="o", ms=13, lw=0, label="mined: i, j, k, l"),
    ]
    draw_legend(fig, marks, 4)
    return fig, frame


def _push(ax, own: pd.DataFrame) -> None:
    """Arrows, the longest of them 0.3; and the mined quadruplet, where there is one."""
    at, step = (own[c].to_numpy(float) for c in (["x", "y"], ["dx", "dy"]))
    length = np.hypot(*step.T)
    step = step * (0.3 / max(length.max(), 1e-12))
    seen = length > 0.02 * length.max()  # a shorter one would be a dot
    ax.quiver(*at[seen].T, *step[seen].T, angles="xy", scale_units="xy", scale=1, width=0.008,
              zorder=4)  # fmt: skip
    mined = {letter: n for n, role in enumerate(own["role"]) for letter in role}
    for a, b in PAIRS if mined else ():
        colour, dashes = (POSITIVE, "-") if a + b == "ij" else (NEGATIVE, "--")
        ax.plot(*at[[mined[a], mined[b]]].T, dashes, color=colour, lw=1.8, zorder=1)
    for letter, n in mined.items():  # behind its arrow
        ax.plot(*at[n], "o", mfc="none", mec="black", ms=13, mew=1.3, zorder=3)
        back = step[n] / np.hypot(*step[n]) if length[n] else np.array([0.0, -1.0])
        halo = [withStroke(linewidth=2, foreground="white")]
        look = dict(ha="center", va="center", style="italic", path_effects=halo, zorder=5)
        ax.annotate(letter, at[n], at[n] - 0.12 * back, **look)


@style()
def oracle(frame: pd.DataFrame, titles: Mapping[str, str]) -> tuple[Figure, pd.DataFrame]:
    """How often a miner picks a genuinely hard pair: a row a data set, a column a ruler and kind.

    frame: oracle.survey. A dot a seed, a bar their mean; below it, hollow, the same on
    the features of one method for all.
    """
    if frame.empty:
        return nothing_to_draw(
            "no synthetic data: nobody knows which pairs are genuinely hard"
        ), frame
    data = list(dict.fromkeys(frame["data"]))
    names = [m for m in METHODS if m in set(frame["miner"])]
    sets = list(dict.fromkeys(frame["features"]))
    columns = [(ruler, kind) for ruler in RULERS for kind in ("positive", "negative")]
    height = 0.9 + (0.75 + 0.62 * len(names)) * len(data)
    fig, axes = axes_grid(len(data), 4, height, sharey=True)
    for row, d in zip(axes, data, strict=True):
        for ax, (ruler, kind) in zip(row, columns, strict=True):
            own = frame[(frame["data"] == d) & (frame["ruler"] == ruler) & (frame["kind"] == kind)]
            for n, m in enumerate(names):
                for k, of in enumerate(sets):
                    values = 100 * own[(own["miner"] == m) & (own["features"] == of)]["picked"]
                    y = n + 0.34 * (k - (len(sets) - 1) / 2)
                    face = COLOURS[m] if of == "own" else "white"
                    dots(ax, values, y, COLOURS[m], mfc=face, ms=6)
            for column, look in (("chance", ":"), ("best", "-")):
                ax.axvline(100 * own[column].mean(), color="black", linestyle=look, lw=1.6)
            ax.set(xlim=(0, 104), ylim=(len(names) - 0.5, -0.5))
            ax.set_yticks(range(len(names)), names)
            ax.grid(axis="x")
            if d == data[0]:
                ax.set_title(f"{KINDS[kind]},\n{ruler} ruler")
            if d == data[-1]:
                ax.set_xlabel("genuinely hard\n(% of picks)")
            else:
                ax.set_xlabel(" ")
        row[0].set_ylabel(beside(titles[d]))
    mark = dict(color="#333333", marker="o", lw=0)
    lines = [Line2D([], [], **mark, label="a seed, each on its own features")]
    if len(sets) > 1:
        lines.append(Line2D([], [], mfc="white", label=f"all on the features of {sets[1]}", **mark))
    lines += [
        Line2D([], [], color="#333333", marker="|", ms=14, mew=3, lw=0, label="mean"),
        Line2D([], [], color="black", linestyle=":", lw=1.6, label="chance"),
        Line2D([], [], color="black", lw=1.6, label="best possible"),
    ]
    draw_legend(fig, lines, 3)
    return fig, frame
