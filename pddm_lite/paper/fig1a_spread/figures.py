"""Figures of notebook 40: unseen classes in the plane (Fig. 1a), spread against gap, pictures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from sklearn.metrics.pairwise import euclidean_distances

from ...data import ImageSet
from ...measures import spread
from ...measures.tsne import sample, tsne
from ...methods import METHODS
from ..decide import Runs
from ..drawing import (
    COLOURS,
    axes_grid,
    beside,
    draw_legend,
    nothing_to_draw,
    sheet,
    style,
)
from ..questions import EUCLIDEAN, IN_PARTS, PDDM

SHOWN = (EUCLIDEAN, PDDM)
DRAWN = 1_200  # images in all panels together: t-SNE is what this notebook waits for
LOOSE, TIGHT = "#6f4fa3", "#2b8a3e"  # the enlarged classes A and B
KINDS = ("within A", "A to B", "within B")

Names = Mapping[str, tuple[str, ...]]  # data -> names of its classes


def firsts(runs: Runs) -> dict[str, dict[str, object]]:
    """data -> method of SHOWN -> its run of the first seed."""
    out: dict[str, dict[str, object]] = {}
    for d, m, s in sorted(runs, key=lambda key: key[2], reverse=True):
        if m in SHOWN:
            out.setdefault(d, {})[m] = runs[d, m, s]
    data = dict.fromkeys(d for d, *_ in runs)
    return {d: {m: out[d][m] for m in SHOWN if m in out[d]} for d in data if d in out}


def first_seed(runs: Runs, data: str, method: str) -> int:
    """The seed of the run that `firsts` takes."""
    return min(s for d, m, s in runs if (d, m) == (data, method))


def pairs(runs: Runs) -> dict[str, tuple[int, int]]:
    """data -> (A, B), the two classes enlarged.

    A is the class whose spread is the largest multiple of its gap, B the class nearest to it, both
    under the first of SHOWN that was run: what is worst for the Euclidean space, chosen by no eye.
    """
    chosen = {}
    for d, own in firsts(runs).items():
        found = spread.of(next(iter(own.values())), spread.classes)
        worst = found.loc[(found["spread"] / found["gap"].clip(1e-12)).idxmax()]
        chosen[d] = int(worst["class"]), int(worst["nearest"])
    return chosen


def distances(f: np.ndarray, labels: np.ndarray, a: int, b: int) -> dict[str, np.ndarray]:
    """Distances of all pairs of images of a kind: "within A", "A to B", "within B"."""
    A, B = (f[labels == c].astype(np.float64) for c in (a, b))
    D_AA, D_AB, D_BB = euclidean_distances(A), euclidean_distances(A, B), euclidean_distances(B)
    return {
        "within A": D_AA[np.triu_indices(len(A), 1)],
        "A to B": D_AB.ravel(),
        "within B": D_BB[np.triu_indices(len(B), 1)],
    }


# --------------------------------------------------------------------------------- in the plane


@style()
def embedding(runs: Runs, titles: Mapping[str, str], names: Names) -> tuple[Figure, pd.DataFrame]:
    """Fig. 1a: t-SNE of unseen classes a method, two of them enlarged, and how far those lie apart.

    A row a data set, of the first seed. Distances are of the features themselves (d dimensions, not
    the plane's two), over the root mean square distance of all pairs of test images.
    """
    chosen, shown = pairs(runs), firsts(runs)
    if not shown:
        return nothing_to_draw(f"neither {' nor '.join(SHOWN)} was run"), pd.DataFrame()
    columns = [m for m in SHOWN if any(m in own for own in shown.values())]
    fig, axes = axes_grid(
        len(shown),
        len(columns) + 1,
        0.9 + 3.9 * len(shown),
        width_ratios=[4] * len(columns) + [3.2],
    )
    frames, most = [], DRAWN // (len(shown) * len(columns))
    for row, (d, own) in zip(axes, shown.items(), strict=True):
        a, b = chosen[d]
        for ax, m in zip(row, columns, strict=False):
            stored = own[m].embeddings
            f, labels = stored["f"], stored["labels"]
            keep = [int(np.argmax(labels == c)) for c in (a, b)]
            drawn = sample(labels, most, keep)
            xy, of = tsne(f[drawn]), labels[drawn]
            _plane(ax, xy, of, a, b)
            table = pd.DataFrame({"x": xy[:, 0], "y": xy[:, 1], "class": of})
            table["class"] = [names[d][c] for c in of]
            frames.append(table.assign(data=d, method=m, kind="place"))
            if d == next(iter(shown)):
                ax.set_title(m)
        row[0].set_ylabel(f"{beside(titles[d])}\nt-SNE (no unit)")
        frames.append(_apart(row[-1], d, own, a, b))
        for ax, left, letter, c, ink in (
            (row[0], 0.0, "A", a, LOOSE),
            (row[len(columns) - 1], 0.0 if len(columns) > 1 else 0.5, "B", b, TIGHT),
        ):
            name = beside(names[d][c].replace("_", " "))
            look = dict(transform=ax.transAxes, color=ink, weight="bold", va="top")
            ax.text(left, -0.11, f"{letter}: {name}", **look)
    mark = dict(lw=0, mec="white")
    marks = [
        Line2D([], [], color=LOOSE, marker="o", ms=10, label="A: highest spread / gap", **mark),
        Line2D([], [], color=TIGHT, marker="^", ms=11, label="B: the class nearest to A", **mark),
        Line2D([], [], color="#bbbbbb", marker="o", ms=5, label="other unseen classes", **mark),
        *(Patch(color=COLOURS[m], label=f"{m}: middle 50, 90 %") for m in columns),
        Line2D([], [], color="black", marker="|", ms=14, mew=3, lw=0, label="root mean square"),
    ]
    draw_legend(fig, marks, 3)
    return fig, pd.concat(frames, ignore_index=True)


def _plane(ax, xy: np.ndarray, labels: np.ndarray, a: int, b: int) -> None:
    other = (labels != a) & (labels != b)
    ax.plot(*xy[other].T, "o", color="#bbbbbb", ms=4, mew=0)
    for c, colour, marker in ((b, TIGHT, "^"), (a, LOOSE, "o")):
        own = labels == c
        size = 10 if own.sum() <= 20 else 7  # larger ones would hide one another
        ax.plot(*xy[own].T, marker, color=colour, ms=size, mec="white", mew=0.8, lw=0)
    ax.set(xticks=[], yticks=[], xlabel="t-SNE (no unit)")
    ax.margins(0.04)


def _apart(ax, d: str, own: Mapping, a: int, b: int) -> pd.DataFrame:
    """Distances of the pairs of A and B: boxes and whiskers, and their root mean squares."""
    frames = []
    for m, run in own.items():
        stored = run.embeddings
        f, labels = stored["f"].astype(np.float64), stored["labels"]
        # mean |f - f'|² over all pairs = 2 v, v the variance of all images
        unit = np.sqrt(2 * f.var(axis=0, ddof=1).sum()) or 1.0
        for kind, D in distances(f, labels, a, b).items():
            frames.append(pd.DataFrame({"method": m, "kind": kind, "all_pairs": unit, "D": D}))
    t = pd.concat(frames, ignore_index=True)
    t["over all"] = t["D"] / t["all_pairs"]
    how = dict(x="over all", y="kind", hue="method", order=KINDS, legend=False, ax=ax)
    sns.boxplot(t, palette=COLOURS, whis=(5, 95), showfliers=False, **how)
    how |= dict(
        estimator=_rms, errorbar=None, dodge=0.4 * (len(own) > 1), marker="|", linestyle="none"
    )
    sns.pointplot(t, palette=["black"] * len(own), markersize=15, markeredgewidth=3, **how)
    ax.set(xlabel="distance over the rms\ndistance of all pairs", ylabel="pairs of images")
    ax.set_xlim(left=0)
    ax.grid(axis="x")
    by = t.groupby(["method", "kind", "all_pairs"], sort=False)["D"]
    ends = by.quantile([0.05, 0.25, 0.75, 0.95]).unstack().add_prefix("q")
    return ends.assign(rms=by.agg(_rms)).reset_index().assign(data=d)


def _rms(D: pd.Series) -> float:
    return float(np.sqrt(np.mean(np.square(D))))


# ------------------------------------------------------------------------------ spread and gap


@style()
def spread_gap(runs: Runs, titles: Mapping[str, str], names: Names) -> tuple[Figure, pd.DataFrame]:
    """Each class's spread against its gap (first seed), and the share above the diagonal (all).

    Classes above it have intraclass distances that exceed the interclass distance to the nearest
    class. Hollow: the share if all classes were equally loose (spread.summary).
    """
    shares, shown, chosen = spread.survey(runs), firsts(runs), pairs(runs)
    if shares.empty:
        return nothing_to_draw("no method that ranks by distance was run"), pd.DataFrame()
    columns = [m for m in SHOWN if any(m in own for own in shown.values())]
    data = list(dict.fromkeys(shares["data"]))
    rows = [m for m in METHODS if m in set(shares["method"])]
    fig, axes = axes_grid(
        len(data),
        len(columns) + 1,
        0.9 + 3.4 * len(data),
        width_ratios=[3.3] * len(columns) + [3],
    )
    frames = []
    for row, d in zip(axes, data, strict=True):
        for ax, m in zip(row, columns, strict=False):
            found = spread.of(shown[d][m], spread.classes)
            words = f"{100 * found['looser'].mean():.0f} % above\n(seed {first_seed(runs, d, m)})"
            _classes(ax, found, chosen[d], COLOURS[m], words)
            ax.set_xlabel("gap to the nearest class\n(rms distance)")
            if d == data[0]:
                ax.set_title(m)
            table = found.assign(data=d, method=m, kind="class")
            for x in ("class", "nearest"):
                table[x] = [names[d][c] for c in found[x]]
            frames.append(table)
        if columns:
            row[0].set_ylabel(f"{beside(titles[d])}\nspread (rms distance)")
        ax = row[-1]
        share = shares[shares["data"] == d]
        for column, height, look in (
            ("looser", -0.14, {}), ("looser_by_chance", 0.2, {"mfc": "white"})
        ):  # fmt: skip
            for y, m in enumerate(rows):
                x = 100 * share[share["method"] == m][column]
                ax.plot(x, [y + height] * len(x), "o", color=COLOURS[m], alpha=0.8, **look)
        ax.axvline(100 * IN_PARTS, color="black", lw=1.6, label="right: C3 claims more")
        ax.set_yticks(range(len(rows)), rows)
        ax.set(ylim=(len(rows) - 0.4, -0.6), ylabel="" if columns else beside(titles[d]))
        ax.set_xlabel("spread > gap\n(% of classes)")
        ax.set_xlim(left=0)
        ax.grid(axis="x")
        frames.append(share.assign(kind="share"))
    mark = dict(color="#333333", marker="o", lw=0)
    marks = [
        Line2D([], [], ms=6, label="a class: spread > gap", **mark),
        Line2D([], [], color="#bbbbbb", marker="o", ms=6, lw=0, label="a class: spread < gap"),
        Line2D([], [], ms=8, label="right: a seed", **mark),
        Line2D([], [], ms=8, mfc="white", label="right: if all were equally loose", **mark),
    ]
    draw_legend(fig, marks, 3)
    return fig, pd.concat(frames, ignore_index=True)


def _classes(ax, found: pd.DataFrame, pair: tuple[int, int], colour: str, words: str) -> None:
    ends = found[["spread", "gap"]].to_numpy()
    low, high = ends.min(), ends.max()
    room = 0.1 * ((high - low) or 1.0)
    limits = (low - room, high + room)
    ax.plot(limits, limits, "--", color="black", lw=1.6, label="spread = gap")
    ink = {False: "#bbbbbb", True: colour}
    sns.scatterplot(found, x="gap", y="spread", hue="looser", palette=ink, legend=False, ax=ax)
    for letter, c, ink in zip("AB", pair, (LOOSE, TIGHT), strict=True):
        (x,) = found[found["class"] == c].itertuples()
        ax.plot(x.gap, x.spread, "o", mfc="none", mec=ink, ms=13, mew=2)
        aside = dict(textcoords="offset points", color=ink, weight="bold")
        ax.annotate(letter, (x.gap, x.spread), (-14, 4), **aside)
    ax.text(0.97, 0.04, words, transform=ax.transAxes, ha="right", weight="bold")
    ax.set(xlim=limits, ylim=limits, ylabel="")
    ax.set_aspect("equal")
    ax.locator_params(nbins=4)


# ------------------------------------------------------------------------------------- pictures


@style()
def pictures(
    sets: Mapping[str, ImageSet], chosen: Mapping[str, tuple[int, int]], images: int = 10
) -> tuple[Figure, pd.DataFrame]:
    """The enlarged classes' first images, a row a class; for data whose pictures may be shown."""
    rows = [
        (d, letter, c) for d in sets for letter, c in zip("AB", chosen.get(d, ()), strict=False)
    ]
    if not rows:
        return nothing_to_draw("no pictures to show"), pd.DataFrame()
    frames = []
    fig, axes = axes_grid(len(rows), 1, 0.2 + 0.8 * len(rows))
    fig.set_layout_engine("compressed")
    for ax, (d, letter, c) in zip(axes[:, 0], rows, strict=True):
        data = sets[d]
        own = np.flatnonzero(data.labels == c)[:images]
        sheet(ax, [[data.read(int(i)) for i in own]], images)
        ax.set(xticks=[], yticks=[], xlabel=" ")
        name = beside(data.class_names[c].replace("_", " "))
        ax.set_ylabel(
            f"{letter}: {name}\n{beside(data.title)}",
            rotation=0,
            ha="right",
            va="center",
            color=LOOSE if letter == "A" else TIGHT,
        )
        table = pd.DataFrame({"index": own, "data": d, "letter": letter})
        frames.append(table.assign(**{"class": data.class_names[c]}))
    return fig, pd.concat(frames, ignore_index=True)
