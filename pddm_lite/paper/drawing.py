"""How every figure is drawn: colours, style, axes, distributions, contact sheets, saving."""

from __future__ import annotations

import io
import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.text import Text
from PIL import Image, ImageOps
from scipy.stats import norm

from ..data import ImageSet
from ..store.files import write_atomic, write_text
from ..training import ownership
from ..training.runs import Run
from ..training.study import Study
from . import fonts, judge
from .wording import shown

# One colour, one meaning, in every figure; told apart with any of the common colour blindnesses.
COLOURS = {
    "Softmax": "#4b0092",
    "Contrastive": "#b3b3b3",
    "Triplet": "#7fcdf5",
    "LiftedStruct": "#4b5f78",
    # as the paper had them, not mined: paler than the same rival run with care
    "Contrastive (random pairs)": "#e6e6e6",
    "Triplet (random)": "#c9e9fb",
    "LiftedStruct (random pairs)": "#8fa6c9",
    "Euclidean+Quadruplet": "#0072c6",
    "Mahalanobis score": "#d65fa0",
    "LMDM score": "#999933",
    "PDDM score": "#f0a500",
    "PDDM+Triplet": "#8c3b12",
    "PDDM+Quadruplet": "#e2500f",
}
POSITIVE, NEGATIVE = "#3aa99a", "#882255"  # pairs of one class, pairs of two classes
VERDICTS = {
    judge.REPRODUCED: "#117733",
    judge.LEVEL: "#20308a",
    judge.NOT_REPRODUCED: "#b0186b",
    judge.NOT_ENOUGH: "#777777",
}
WIDTH = 11.0  # inches; printed at half that width, the smallest letters are still 6 points high
FIG_4 = ("Euclidean+Quadruplet", "PDDM+Quadruplet")


def style():
    """Context (or decorator) in which every figure is made and saved."""
    return mpl.rc_context(
        {
            **mpl.rcParamsDefault,
            "font.family": fonts.fonts(),
            "font.size": 13,
            "axes.titlesize": 13,
            "axes.titlelocation": "left",
            "axes.titleweight": "bold",
            "xtick.labelsize": 12,
            "ytick.labelsize": 12,
            "legend.fontsize": 12,
            "legend.frameon": False,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            "grid.color": "#dddddd",
            "lines.linewidth": 2.2,
            "svg.hashsalt": "pddm-lite",
            "backend": mpl.rcParams["backend"],
        }
    )


def new_figure(height: float) -> Figure:
    """A figure outside pyplot, so that a notebook neither shows it twice nor keeps it."""
    fig = Figure(figsize=(WIDTH, max(height, 2.0)), layout="constrained")
    fig.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
    return fig


def axes_grid(rows: int, columns: int, height: float, **kw) -> tuple[Figure, np.ndarray]:
    fig = new_figure(height)
    return fig, fig.subplots(rows, columns, squeeze=False, **kw)


def draw_legend(fig: Figure, handles: Sequence, columns: int = 4) -> None:
    """What its axes hold under a label, each label once, and `handles`."""
    listed = {}
    for ax in fig.axes:
        listed |= dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    listed |= {handle.get_label(): handle for handle in handles}
    fig.legend(handles=list(listed.values()), loc="outside lower center", ncols=columns)


def dots(
    ax, values: Sequence[float], y: float, color: str, digits: int | None = None, **look
) -> None:
    """A dot a seed, a bar at their mean and, with `digits`, the mean in numbers at the right."""
    look = {"marker": "o", "ls": "", "alpha": 0.6, "ms": 7, **look}
    ax.plot(values, [y] * len(values), color=color, **look)
    ax.plot(np.mean(values), y, "|", color=color, ms=2.5 * look["ms"], mew=3)
    if digits is not None:
        number = dict(transform=ax.get_yaxis_transform(), va="center", fontsize=11)
        ax.text(1.01, y, shown(np.mean(values), digits), **number)


def along(ax, x: pd.Series, y: pd.Series, color: str, aside: float, ls="-", mfc=None) -> None:
    """A dot a seed (or world) at x + aside, so that several stand side by side; a line of means."""
    x = x + aside
    ax.plot(x, y, "o", color=color, alpha=0.5, ms=6, mfc=mfc or color)
    ax.plot(y.groupby(x).mean(), color=color, ls=ls)


def band(ax, frame: pd.DataFrame, x: str, y: str, colour: str, alpha: float = 0.2, **look) -> None:
    """The mean of y over seeds at each x, and a band from the lowest to the highest seed."""
    how = dict(errorbar=("pi", 100), err_kws={"alpha": alpha, "lw": 0}, legend=False)
    sns.lineplot(frame, x=x, y=y, color=colour, mec=colour, ax=ax, **how, **look)


def beside(title: str) -> str:
    """A data set's title in lines short enough for an axis."""
    return textwrap.fill(title, 26)


def nothing_to_draw(why: str) -> Figure:
    """A figure that says in words why it is empty."""
    fig, axes = axes_grid(1, 1, 2.0)
    axes[0, 0].set(xlabel="nothing to draw", ylabel=" ", xticks=[], yticks=[])
    axes[0, 0].text(0.5, 0.5, why, ha="center", va="center", wrap=True)
    return fig


RANKS = (5, 50, 95)  # ticks of an axis of ranks, percent
TOP = 0.8  # the highest density there is on it: twice the bell's, where one kind is alone


def ranks(h: pd.DataFrame) -> np.ndarray:
    """Where the edges of a histogram's bins lie on the scale that all scores share: [B + 1].

    A score is stretched, its order kept, until positive and negative pairs together, as many of
    either, form a bell: z of the share of pairs that score lower. Overlap, AUC and equal-error rate
    stay as they are, and a place means the same under every score.
    """
    lower = np.r_[0, np.cumsum(h["positive"] + h["negative"])]
    return norm.ppf((lower / lower[-1]).clip(0.001, 0.999))


def draw_distribution(ax, h: pd.DataFrame, colour: str, words: str = "", room: float = 1.5) -> None:
    """A histogram (measures.scores.histogram) of a score on the scale of `ranks`, under a bar of
    its method's colour; `room` is the axis' height over the highest density, for words."""
    z = ranks(h)
    wide = np.diff(z) > 1e-6  # a bin without pairs has no width
    edges = np.r_[z[:-1][wide], z[-1]]
    p, n = (h[kind].to_numpy()[wide] / np.diff(z)[wide] for kind in ("positive", "negative"))
    ax.stairs(n, edges, fill=True, color=NEGATIVE, alpha=0.3)
    ax.stairs(p, edges, fill=True, color=POSITIVE, alpha=0.35)
    ax.stairs(np.minimum(p, n), edges, fill=True, color="#333333", alpha=0.75)
    ax.stairs(n, edges, color=NEGATIVE, linewidth=1.8)
    ax.stairs(p, edges, color=POSITIVE, linewidth=1.8)
    ax.set(xlabel="rank of the score (%)", xlim=(-3, 3), ylim=(0, room * TOP), yticks=[])
    ax.set_xticks(norm.ppf(np.array(RANKS) / 100), map(str, RANKS))
    ax.spines["top"].set(visible=True, color=colour, linewidth=5)
    ax.text(0.02, 0.96, words, transform=ax.transAxes, va="top", fontsize=11.5)


def draw_pair_legend(fig: Figure, shared: str) -> None:
    kinds = (POSITIVE, "pairs of one class"), (NEGATIVE, "pairs of two classes")
    draw_legend(fig, [Patch(color=c, label=k) for c, k in (*kinds, ("#555555", shared))])


def sheet(ax, rows: Sequence[Sequence[Image.Image]], columns: int) -> None:
    """Rows of pictures, each 1 x 1 with a white gap; what a row lacks stays white."""
    white = np.full((96, 96, 3), 255, np.uint8)
    for y, row in enumerate(rows):
        tiles = [np.asarray(ImageOps.fit(p, (92, 92))) for p in row]
        tiles = [np.pad(t, ((2, 2), (2, 2), (0, 0)), constant_values=255) for t in tiles]
        tiles += [white] * (columns - len(tiles))
        ax.imshow(np.concatenate(tiles, axis=1), extent=(0, columns, y + 1, y))
    ax.set(xlim=(0, columns), ylim=(len(rows), 0))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


@style()
def samples(data: ImageSet, classes: int = 6, images: int = 9) -> tuple[Figure, pd.DataFrame]:
    """A contact sheet: a row a class, half of them of the training classes, a column an image."""
    names, rows, tiles = [], [], []
    rng, n = np.random.default_rng(0), data.train_classes
    halves = np.arange(n), np.arange(n, len(data.class_names))
    drawn = [rng.permutation(half)[: classes // 2] for half in halves]
    for c in np.sort(np.concatenate(drawn)):
        part = "train" if c < data.train_classes else "test"
        names.append(f"{data.class_names[c]}\n({part})")
        chosen = np.flatnonzero(data.labels == c)[:images]
        rows += [(data.class_names[c], part, n + 1, int(i)) for n, i in enumerate(chosen)]
        tiles.append([data.read(int(i)) for i in chosen])
    fig, axes = axes_grid(1, 1, 0.8 + len(tiles) * (WIDTH - 2.2) / images)
    fig.set_layout_engine("compressed")  # knows that pictures keep their shape
    ax = axes[0, 0]
    sheet(ax, tiles, images)
    most = max(column for _, _, column, _ in rows)  # a number where there is a picture
    ax.set_xticks(np.arange(most) + 0.5, range(1, most + 1))
    ax.set_yticks(np.arange(len(names)) + 0.5, names)
    ax.set(xlabel=f"{data.title}: image of the class", ylabel="class")
    return fig, pd.DataFrame(rows, columns=["class", "part", "column", "index"])


def show(
    fig: Figure,
    frame: pd.DataFrame,
    study: Study,
    name: str,
    caption: str,
    runs: Mapping | None = None,
    width: int = 1000,
) -> None:
    """`save` the figure and display it, so many pixels wide, over its one-sentence caption."""
    from IPython.display import Image, Markdown, display

    path = save(fig, frame, study, name, runs, caption)
    display(Image(str(path), width=width, alt=caption), Markdown(f"*{caption}*"))


def save(
    fig: Figure,
    frame: pd.DataFrame,
    study: Study,
    name: str,
    runs: Mapping | None = None,
    caption: str = "",
) -> Path:
    """Write figures/NAME.png, .svg, .csv (what it shows) and .json (its runs and its caption); the
    PNG's path.

    The same figure gives the same bytes. Places (folders) are left out of the .json.
    """
    ownership.check(study)
    folder = study.folder / "figures"
    with style(), fonts.told():
        for text in fig.findobj(Text):  # "$" in the name of a class or folder is no formula
            if "$" in text.get_text() and "\\math" not in text.get_text():
                text.set_parse_math(False)
        fig.draw_without_rendering()  # lay out once: PNG and SVG agree, and so does a second save
        fig.set_layout_engine("none")
        svg = {"format": "svg", "metadata": {"Date": None}}
        write_atomic(folder / f"{name}.svg", lambda f: fig.savefig(f, **svg))
        pixels = io.BytesIO()
        fig.savefig(pixels, format="png", dpi=160, metadata={"Software": None})
    # 256 colours are enough for these figures, at a third of the size
    small = Image.open(pixels).convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT)
    write_atomic(
        folder / f"{name}.png", lambda f: small.save(f, "PNG", optimize=True, dpi=(160, 160))
    )
    write_text(folder / f"{name}.csv", frame.to_csv(index=False, lineterminator="\n"))
    arguments = {k: v for k, v in study.arguments().items() if k not in ("results", "data_root")}
    arguments["weights"] = Path(study.weights).name
    ids = sorted({run.id for run in (runs or {}).values()})
    about = {"figure": name, "caption": caption, "study": arguments, "runs": ids}
    write_text(folder / f"{name}.json", json.dumps(about, indent=1) + "\n")
    return folder / f"{name}.png"


def histogram_of(run: Run, ranking: str) -> pd.DataFrame:
    """Histogram of one run: its test rows by one ranking."""
    h = run.histograms
    return h[(h["split"] == "test") & (h["ranking"] == ranking)].reset_index(drop=True)
