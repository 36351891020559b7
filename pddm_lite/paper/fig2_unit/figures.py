"""Figures of notebook 10: the unit drawn (Fig. 2), a toy of what place is for, the trained unit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch

from ...pddm import PDDM, Euclidean, Similarity
from ..drawing import (
    COLOURS,
    NEGATIVE,
    POSITIVE,
    axes_grid,
    beside,
    draw_legend,
    new_figure,
    nothing_to_draw,
    style,
)
from ..wording import spread
from . import position
from .position import Trained

Units = Mapping[tuple[str, str, int], Trained]
U, V = COLOURS["LMDM score"], COLOURS["PDDM score"]  # LMDM is what u alone can do
GREY = "#555555"


# --------------------------------------------------------------------------------- the drawing


@style()
def architecture(d: int = 128) -> tuple[Figure, pd.DataFrame]:
    """Fig. 2b redrawn: bars are vectors, as tall as they are long; the table counts the layers."""
    fig = new_figure(4.0)
    ax = fig.subplots()
    ax.set(xlim=(0.1, 11), ylim=(0.35, 4.1))
    ax.axis("off")
    up, down, tall = 3.2, 1.2, 1.0  # heights of the two branches, length of d
    for y, name in ((up, "fᵢ"), (down, "fⱼ")):
        _vector(ax, 0.45, y, tall, GREY, name, f"d = {d}")
    for y, name, formula, colour in (
        (up, "u", "|fᵢ − fⱼ|", U),
        (down, "v", "(fᵢ + fⱼ) / 2", V),
    ):
        for source in (up, down):
            _arrow(ax, (0.66, source), (1.98, y + (0.2 if source == up else -0.2)), GREY)
        _vector(ax, 2.2, y, tall, colour, name, f"{d}")
        ax.text(2.0, y + 0.62, formula, color=colour, weight="bold")
        _layers(ax, 2.42, 5.08, y, [rf"FC $\mathregular{{W_{name}}}$", "ReLU", "ℓ₂"], colour)
        _vector(ax, 5.3, y, tall, colour, f"{name}′", f"{d}")
        _arrow(ax, (5.52, y), (6.48, 2.2 + (0.5 if name == "u" else -0.5)), colour)
    ax.text(0.45, up + 0.62, "‖f‖ = 1", ha="center", color=GREY)
    ax.text(3.15, up + 0.62, "how far apart, along which coordinates", color=U)
    ax.text(3.15, down + 0.62, "where (LMDM lacks this branch)", color=V)
    _vector(ax, 6.7, 2.7, tall, U, "u′", "")
    _vector(ax, 6.7, 1.7, tall, V, "v′", f"{2 * d}")
    ax.text(6.7, 3.38, "concatenate", ha="center", color=GREY)
    _layers(ax, 6.92, 8.78, 2.2, [r"FC $\mathregular{W_c}$", "ReLU"], GREY)
    _vector(ax, 9.0, 2.2, tall, GREY, "c", f"{d}")
    _layers(ax, 9.22, 10.3, 2.2, [r"FC $\mathregular{W_s}$"], GREY)
    ax.text(10.55, 2.2, "S", ha="center", va="center", fontsize=22, weight="bold")
    ax.text(10.55, 1.75, "1", ha="center", va="center", fontsize=12, color=GREY)
    count = [("W_u", d, d), ("W_v", d, d), ("W_c", 2 * d, d), ("W_s", d, 1)]
    frame = pd.DataFrame(count, columns=["layer", "inputs", "outputs"])
    return fig, frame.assign(parameters=(frame["inputs"] + 1) * frame["outputs"])


def _vector(ax, x: float, y: float, height: float, colour: str, name: str, length: str) -> None:
    box = FancyBboxPatch(
        (x - 0.2, y - height / 2), 0.4, height, "round,pad=0,rounding_size=0.08", fc=colour, ec="w"
    )
    ax.add_patch(box)
    ax.text(x, y, name, ha="center", va="center", color="white", fontsize=16, weight="bold")
    ax.text(x, y - height / 2 - 0.2, length, ha="center", va="center", fontsize=12, color=GREY)


def _layers(ax, left: float, right: float, y: float, names: list[str], colour: str) -> None:
    """An arrow from left to right that passes through boxes with these names."""
    _arrow(ax, (left, y), (right, y), colour)
    widths = np.array([{"ReLU": 0.68, "ℓ₂": 0.47}.get(name, 0.78) for name in names])
    gap = (right - left - 0.12 - widths.sum()) / (len(names) + 1)
    x = left + gap
    for name, width in zip(names, widths, strict=True):
        box = FancyBboxPatch(
            (x, y - 0.24), width, 0.48, "round,pad=0,rounding_size=0.06", fc="w", ec=colour, lw=2
        )
        ax.add_patch(box)
        box.set_zorder(3)
        ax.text(x + width / 2, y, name, ha="center", va="center", fontsize=13, zorder=4)
        x += width + gap


def _arrow(ax, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    look = dict(arrowstyle="-|>", color=colour, lw=1.8, shrinkA=0, shrinkB=0, mutation_scale=16)
    ax.annotate("", end, start, arrowprops=look, zorder=1)


# -------------------------------------------------------------------------------------- the toy


@style()
def toy(place: float = 0.4) -> tuple[Figure, pd.DataFrame]:
    """Loose classes left, tight ones right: whom a point takes for its own class, by metric.

    Each outline holds the partners of a class's mean that score above the metric's one threshold,
    set so that 95 % of all positive pairs do.
    """
    points, labels = position.toy_data()
    f = torch.tensor(points, dtype=torch.float)
    metrics = {
        "Euclidean": (Euclidean(), COLOURS["Euclidean+Quadruplet"]),
        "LMDM: u alone": (position.toy_blind(), U),
        "PDDM: u and v": (position.toy_unit(place), V),
    }
    centres = np.stack([points[labels == c].mean(0) for c in np.unique(labels)])
    x, y = np.meshgrid(np.linspace(-0.25, 2.25, 251), np.linspace(-0.3, 1.4, 171))
    grid = torch.tensor(np.stack([x.ravel(), y.ravel()], axis=1), dtype=torch.float)
    fig, axes = axes_grid(1, 3, 3.9, sharey=True)
    fig.set_layout_engine("compressed")  # knows that the panels keep their shape
    rows = []
    for ax, (name, (similarity, colour)) in zip(axes[0], metrics.items(), strict=True):
        threshold, let_in = _threshold(similarity, f, labels)
        ax.plot(*points[labels < 2].T, ".", color="#777777", ms=4)
        ax.plot(*points[labels >= 2].T, ".", color="black", ms=2.5)
        for centre in centres:
            c = torch.tensor(centre, dtype=torch.float).expand_as(grid)
            with torch.no_grad():
                S = similarity(grid, c).reshape(x.shape).numpy()
            ax.contour(x, y, S, [threshold], colors=colour, linewidths=2, linestyles="-")
            inside = x[S >= threshold]
            width = float(np.ptp(inside)) if len(inside) else 0.0
            rows.append((name, *centre, threshold, width, let_in))
        lets = f"finds 95 % of pairs of one class,\nlets in {100 * let_in:.1f} % of two"
        ax.set(title=f"{name}\n{lets}", xlabel="feature 1")
        ax.set(xlim=(-0.25, 2.25), ylim=(-0.3, 1.4), aspect="equal", xticks=[], yticks=[])
    axes[0, 0].set_ylabel("feature 2")
    columns = ["metric", "x", "y", "threshold", "width", "let_in"]
    return fig, pd.DataFrame(rows, columns=columns)


def _threshold(similarity: Similarity, f: torch.Tensor, labels: np.ndarray) -> tuple[float, float]:
    """The score that 95 % of the positive pairs reach, and the share of negative pairs that do."""
    a, b = np.triu_indices(len(labels), 1)
    with torch.no_grad():
        S = similarity(f[a], f[b]).numpy()
    same = labels[a] == labels[b]
    threshold = np.quantile(S[same], 0.05)
    return float(threshold), float((S[~same] >= threshold).mean())


# ----------------------------------------------------------------------------- the trained unit


@style()
def trained_position(units: Units, titles: Mapping[str, str]) -> tuple[Figure, pd.DataFrame]:
    """What place does to trained metrics: a row a data set; drawn for the first seed.

    Left, a real positive pair is moved over the sphere with its difference kept; middle, real pairs
    where they are and all moved to one place; right, the same 200 differences put at every class.
    Scores are in standard deviations over real pairs; numbers in the panels are of all seeds.
    """
    of = {key: t for key, t in units.items() if type(t.similarity) is PDDM}
    if not of:
        return nothing_to_draw("no PDDM unit is at hand"), pd.DataFrame()
    table = position.table(of)
    data, frames = list(dict.fromkeys(d for d, _, _ in of)), []
    fig, axes = axes_grid(len(data), 3, 0.9 + 3.5 * len(data))
    for row, d in zip(axes, data, strict=True):
        name, seed = next((m, s) for a, m, s in of if a == d)
        own = {m: t for (a, m, s), t in units.items() if (a, s) == (d, seed)}
        values = table[table["data"] == d]
        frames += [_slides(row[0], own, name), _to_one_place(row[1], own[name], values)]
        frames += [_to_every_class(row[2], own[name], values)]
        frames[-3:] = [x.assign(data=d, seed=seed) for x in frames[-3:]]
        row[0].set_ylabel(f"{beside(titles[d])}\n{row[0].get_ylabel()}")
        if d == data[0]:
            row[0].set_title("one pair, moved")
            row[1].set_title("all pairs to one position")
            row[2].set_title("some pairs to every class")
    names = dict.fromkeys(m for _, m, _ in units)
    styles = {m: "--" if m == "LMDM score" else "-" for m in names}
    lines = [Line2D([], [], color=_colour(m), ls=styles[m], label=m) for m in names]
    dots = dict(marker="o", lw=0, ms=7)
    lines += [
        Line2D([], [], color=POSITIVE, **dots, label="pairs of one class"),
        Line2D([], [], color=NEGATIVE, **dots, label="pairs of two classes"),
    ]
    draw_legend(fig, lines, 3)
    return fig, pd.concat(frames, ignore_index=True).round(4)


def _colour(name: str) -> str:
    return V if name in (*position.UNITS, position.UNTRAINED) else COLOURS[name]


def _slides(ax, own: dict[str, Trained], unit: str) -> pd.DataFrame:
    """Change of S along the ways from a pair's own place to the places of other classes."""
    ends = position.sample_pairs(own[unit].labels, 301)["positive"]
    S = own[unit].score(*own[unit].pairs(ends)).numpy()
    middle = ends[np.argsort(S)[len(S) // 2]][None]  # as alike as most pairs of one class
    t = torch.linspace(0, 1, 26, dtype=torch.float64)
    frames = []
    for name in sorted(own, key=lambda m: m != unit):  # the flat ones on top
        one = own[name]
        delta, v = (x[0] for x in one.pairs(middle))
        means, _, classes = position.class_means(one, 40)
        ways = []
        for c, mean in zip(classes, means, strict=True):
            if c != one.labels[middle[0, 0]]:
                S = one.score(delta, position.slide(v, position.mean_at(delta, mean), t))
                ways.append(pd.DataFrame({"to": c, "t": t, "change": (S - S[0]) / one.sd}))
        ways = ways if name == unit else ways[:1]  # the same line each
        frames += [way.assign(panel="one moved", method=name) for way in ways]
        if name == unit:
            for way in ways:
                ax.plot(way["t"], way["change"], color=_colour(name), lw=1, alpha=0.5)
            far = one.scores.query("kind == 'negative'")["own"].median()
            gap = (far - one.score(delta, v).item()) / one.sd
        else:
            dashes = (0, (3, 3)) if name == "LMDM score" else "-"
            ax.plot(t, ways[0]["change"], color=_colour(name), lw=3, ls=dashes)
    ax.axhline(gap, color=NEGATIVE, lw=2)
    words = dict(va="bottom", ha="right", color=NEGATIVE, fontsize=11.5)
    ax.text(1, gap, "median pair of two classes", **words)
    ax.set(xlabel="way to another class (0 to 1)", ylabel="change of S (sd)", xlim=(0, 1))
    ax.margins(y=0.12)
    return pd.concat(frames, ignore_index=True)


def _to_one_place(ax, t: Trained, values: pd.DataFrame) -> pd.DataFrame:
    """Scores of real pairs where they are, against their scores all moved to one place."""
    s = t.scores.copy()
    s[["own", "one"]] = (s[["own", "one"]] - s["own"].mean()) / t.sd
    shown = s.groupby("kind").head(500)
    for kind, colour in (("negative", NEGATIVE), ("positive", POSITIVE)):
        one = shown[shown["kind"] == kind]
        ax.plot(one["one"], one["own"], "o", color=colour, ms=3, alpha=0.4, mew=0)
    ends = shown[["own", "one"]].to_numpy()
    ax.axline((0, 0), slope=1, color="black", lw=1.2, zorder=0)
    shares = [spread(100 * values[f"by_u_{kind}"], 0) for kind in ("positive", "negative")]
    text = f"u alone explains\n{shares[0]} % (one class)\n{shares[1]} % (two classes)"
    ax.text(0.03, 0.98, text, transform=ax.transAxes, va="top", fontsize=11.5)
    ax.set(xlabel="S, all at one position (sd)", ylabel="S, each at its own (sd)")
    ax.set_ylim(ends[:, 0].min() - 0.2, ends[:, 0].max() + 0.35 * np.ptp(ends[:, 0]))
    return shown.assign(panel="all to one position")


def _to_every_class(ax, t: Trained, values: pd.DataFrame) -> pd.DataFrame:
    """Mean score of the same differences at each class, against how loose the class is."""
    p = position.places(t)
    p["score"] = (p["score"] - p["score"].mean()) / t.sd
    ax.plot(p["looseness"], p["score"], "o", color=V, ms=5, alpha=0.7, mew=0)
    ax.axhline(0, color="black", lw=1, zorder=0)
    text = f"a dot a class, r = {spread(values['looseness'], 2)}".replace("-", "−")
    ax.text(0.03, 0.98, text, transform=ax.transAxes, va="top", fontsize=11.5)
    ax.set(xlabel="distance within the class", ylabel="S there − mean (sd)")
    low, high = p["score"].min(), p["score"].max()
    ax.set_ylim(min(low, -0.5) * 1.1, max(high, 0.5) * 1.4)
    return p.assign(panel="to every class")
