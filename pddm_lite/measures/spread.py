"""How loose a class is and how near the next one (Fig. 1a); how sharp clusters are (silhouette)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from sklearn.metrics import silhouette_score
from sklearn.metrics.pairwise import euclidean_distances

from ..methods import METHODS
from ..store.errors import UserError
from .tsne import sample

MOST = 10_000  # images: of larger sets whole classes at random, which have fewer near neighbours
PAIRED = 2_000  # the same, where all pairs of images are needed
SHUFFLES = 10
ROUNDING = 1e-6  # of distances: features are stored in half precision and have length 1


def classes(f: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """A row a class c: class, images, spread, gap, nearest (the class it is nearest to), looser.

    Both are root mean square distances of pairs of images, so that they can be compared:
    spread over the pairs within c, gap over the pairs of an image of c and one of `nearest`, the
    class where that is least. Looser says that spread > gap: an image of c is, on average, nearer
    to the images of another class than to those of its own. Squared,

        spread² = 2 v,   gap² = v + v' + |m - m'|²

    with a class's mean m and variance v (summed over coordinates). So where all classes are equally
    loose (v = v') no class is looser than its gap, however much they overlap.

    Args:
        f: features [N, d].
        labels: [N]; classes with one image are left out.

    Raises:
        UserError: fewer than two classes have two images, or features are not finite.
    """
    mean, variance, _, names, n = _moments(f, labels)
    squares, nearest = _gaps(_apart(mean), variance, n)
    spread, gap = np.sqrt(2 * variance), np.sqrt(squares)
    return pd.DataFrame(
        {
            "class": names,
            "images": n,
            "spread": spread,
            "gap": gap,
            "nearest": names[nearest],
            "looser": spread > gap + ROUNDING,
        }
    )


def summary(f: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """What `classes` says of a feature space, and the same by chance.

    looser: share of classes whose spread exceeds their gap.
    quarters: mean spread of the loosest quarter of classes over that of the tightest; 1 where all
        are equally loose.
    looser_by_chance, quarters_by_chance: the same where all classes are equally loose in truth:
        what an image has beyond its class's mean is dealt out anew over all images, class means
        stay (mean of 10 shuffles). A class of few images seems loose or tight by luck, and the
        nearest of many neighbours is in part the luckiest; without this the share says little.
    """
    mean, variance, rest, _, n = _moments(f, labels)
    apart, starts = _apart(mean), np.r_[0, np.cumsum(n)[:-1]]
    rng, found = np.random.default_rng(0), []
    for k in range(1 + SHUFFLES):
        if k:
            dealt = rest[rng.permutation(len(rest))]
            squares = np.add.reduceat((dealt**2).sum(axis=1), starts)
            off = np.add.reduceat(dealt, starts) / n[:, None]
            variance = (squares - n * (off**2).sum(axis=1)).clip(0) / (n - 1)
        spread, gap = np.sqrt(2 * variance), np.sqrt(_gaps(apart, variance, n)[0])
        ordered, quarter = np.sort(spread), -(-len(n) // 4)
        tight, loose = ordered[:quarter].mean(), ordered[-quarter:].mean()
        found.append(((spread > gap + ROUNDING).mean(), loose / max(tight, ROUNDING)))
    (looser, quarters), chance = found[0], np.mean(found[1:], axis=0)
    return {
        "looser": float(looser),
        "looser_by_chance": float(chance[0]),
        "quarters": float(quarters),
        "quarters_by_chance": float(chance[1]),
    }


def farthest(f: np.ndarray, labels: np.ndarray) -> float:
    """Share of classes whose farthest pair is farther apart than their nearest pair with another.

    That is, the distance of two images of the class exceeds that of one of them, or of a third, to
    some image of another class: the paper's sentence to the letter, by single pairs. Of classes
    with at most 2,000 images together, against the images of all classes.
    """
    _check(f, labels)
    some, x = _some(labels, PAIRED), f.astype(np.float64)
    own, exceeds = labels[some], []
    for c in np.unique(own):
        D = euclidean_distances(x[some[own == c]], x)
        exceeds.append(D[:, labels == c].max() > D[:, labels != c].min() + ROUNDING)
    return float(np.mean(exceeds))


def silhouette(f: np.ndarray, labels: np.ndarray) -> float:
    """Mean silhouette of the classes (Rousseeuw 1987) by Euclidean distance, in [-1, 1].

    Of an image: (b - a) / max(a, b), a its mean distance to its own class, b that to the class
    where that is least; below 0, another class is nearer. Of at most 2,000 images, whole classes
    at random, the same for all features of a data set. Fewer classes have higher silhouettes.

    Raises:
        UserError: fewer than two classes, no class with two images, or features not finite.
    """
    _check(f, labels)
    some = _some(labels, PAIRED)
    return float(silhouette_score(f[some], labels[some]))


_known: dict[tuple[str, str], object] = {}


def of(run, measure: Callable):
    """measure(f, labels) of a runs.Run's test features, computed once a process."""
    key = run.id, measure.__name__
    if key not in _known:
        stored = run.embeddings
        _known[key] = measure(stored["f"], stored["labels"])
    return _known[key]


def survey(runs: Mapping) -> pd.DataFrame:
    """A row a run of (data, method, seed) -> run whose method ranks by distance.

    Columns: data, method, seed, run, `summary`'s, nmi, f1, farthest, silhouette.
    """
    rows = []
    for (data, method, seed), run in runs.items():
        if METHODS[method].rank == "distance":
            row = {"data": data, "method": method, "seed": seed, "run": run.id}
            test = run.metrics["test"]["distance"]
            row |= of(run, summary) | {k: test[k] for k in ("nmi", "f1")}
            rows.append(row | {m.__name__: of(run, m) for m in (farthest, silhouette)})
    return pd.DataFrame(rows)


# ------------------------------------------------------------------------------------ the parts


def _check(f: np.ndarray, labels: np.ndarray) -> None:
    if not np.isfinite(f).all():
        raise UserError("spread of classes: some features are not finite.")
    counts = np.unique(labels, return_counts=True)[1]
    if (counts > 1).sum() < 2:
        raise UserError(
            f"spread of classes: two classes of at least two images are needed, not "
            f"{(counts > 1).sum()}."
        )


def _moments(f: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, ...]:
    """Class means [C, d] and unbiased variances [C], what images have beyond the mean, names, n.

    That rest [N, d] is sorted by class and as large as if the means were not of the same images.
    """
    _check(f, labels)
    _, of_class, counts = np.unique(labels, return_inverse=True, return_counts=True)
    kept = np.flatnonzero(counts[of_class] > 1)
    kept = kept[_some(labels[kept], MOST)]
    order = kept[np.argsort(labels[kept], kind="stable")]
    names, starts, n = np.unique(labels[order], return_index=True, return_counts=True)
    x = f[order].astype(np.float64)
    mean = np.add.reduceat(x, starts) / n[:, None]
    rest = x - np.repeat(mean, n, axis=0)
    variance = np.add.reduceat((rest**2).sum(axis=1), starts) / (n - 1)
    return mean, variance, rest * np.repeat(np.sqrt(n / (n - 1)), n)[:, None], names, n


def _apart(mean: np.ndarray) -> np.ndarray:
    """|m - m'|² [C, C], infinite on the diagonal: no class is its own neighbour."""
    apart = euclidean_distances(mean, squared=True)
    np.fill_diagonal(apart, np.inf)
    return apart


def _gaps(apart: np.ndarray, variance: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """gap² [C] of each class and the nearest class, of `_apart`, variances [C] and images [C]."""
    # mean |x - x'|² over all pairs = s + s' + |m - m'|², s = (n - 1) / n v about the class's own m
    s = variance * (n - 1) / n
    squares = apart + s
    nearest = squares.argmin(axis=1)
    return squares[np.arange(len(n)), nearest] + s, nearest


def _some(labels: np.ndarray, most: int) -> np.ndarray:
    """Places of at most `most` images, whole classes; single images where classes are too large."""
    some = sample(labels, most)
    if len(np.unique(labels[some])) < 2:
        some = np.sort(np.random.default_rng(0).permutation(len(labels))[:most])
    return some
