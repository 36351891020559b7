"""What a run retrieves (Fig. 4, bottom): queries by rule, and their nearest by score and distance.

Only the queries are scored against all images, so that tens of thousands of test images will do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..data import ImageSet
from ..pddm import Similarity
from ..store.errors import UserError
from .tsne import sample, tsne

SHOWN = 6  # queries of a figure
NEAREST = 8  # images retrieved for each, as in the paper's figure
CANDIDATES = 200  # queries drawn at random, of which the figure shows some
PAIRS = 240_000  # scored at most, unless that is too few for the queries shown: seconds on a CPU
DRAWN = 400  # images of a t-SNE, beside those retrieved


@dataclass(frozen=True)
class Found:
    """What one run retrieves. Images are named by their places in the ImageSet."""

    run: object  # runs.Run
    ranked: pd.DataFrame  # of `ranking`, of all candidates
    queries: tuple[int, ...]  # those shown, the worst ranked first

    @property
    def shown(self) -> pd.DataFrame:
        """The rows of `ranked` by score, of the queries shown, in their order."""
        own = self.ranked[self.ranked["by"] == "score"].set_index("query")
        return own.loc[list(self.queries)].reset_index()


def candidates(labels: np.ndarray) -> np.ndarray:
    """Places of up to CANDIDATES queries drawn at random; each has another image of its class.

    Fewer where scoring them against all would take more than PAIRS pairs, and never below SHOWN.

    Raises:
        UserError: no class has two images.
    """
    _, of, counts = np.unique(labels, return_inverse=True, return_counts=True)
    able = np.flatnonzero(counts[of] > 1)
    if len(able) == 0:
        raise UserError("a query needs a class with at least two images; there is none.")
    number = max(min(CANDIDATES, PAIRS // len(labels)), SHOWN)
    return np.random.default_rng(0).permutation(able)[:number]


@torch.no_grad()
def ranking(
    f: Tensor, labels: np.ndarray, similarity: Similarity, queries: np.ndarray, nearest=NEAREST
) -> pd.DataFrame:
    """The `nearest` images of each query, by score and by distance.

    Args:
        f: [N, d] on the unit sphere.  labels: [N].  queries: places in f; a query is not retrieved.

    Returns:
        A row a query, ranking and rank: query, by ("score" or "distance"), rank (from 1),
        retrieved, S, D (squared Euclidean distance, 0 to 4), place (rank by the other of the two),
        right (of the query's class). Where values tie, wrong images go first: ties never help.

    Raises:
        UserError: scores or features that are not finite.
    """
    every, frames = torch.arange(len(f)), []
    for q in map(int, queries):
        S = similarity.pairs(f, torch.full_like(every, q), every).numpy()
        D = (f - f[q]).square().sum(dim=1).numpy()
        if not (np.isfinite(S).all() and np.isfinite(D).all()):
            raise UserError("nearest images: some scores are not finite.")
        same = labels == labels[q]
        others = np.delete(np.arange(len(f)), q)
        order = {
            by: others[np.lexsort((same[others], x[others]))]
            for by, x in (("score", -S), ("distance", D))
        }
        for by, other in (("score", "distance"), ("distance", "score")):
            place = np.zeros(len(f), int)
            place[order[other]] = np.arange(1, len(f))
            top = order[by][:nearest]
            row = {"query": q, "by": by, "rank": np.arange(1, len(top) + 1), "retrieved": top}
            row |= {"S": S[top], "D": D[top], "place": place[top], "right": same[top]}
            frames.append(pd.DataFrame(row))
    return pd.concat(frames, ignore_index=True)


def at_quantiles(right: pd.Series) -> tuple[int, ...]:
    """Queries from the worst to the best in equal steps: the rule that nobody picks by hand.

    right: query -> how many of its nearest are right. Ties stay as they stand, at random.
    """
    order = right.sort_values(kind="stable").index
    at = np.linspace(0, len(order) - 1, min(SHOWN, len(order))).round().astype(int)
    return tuple(int(q) for q in order[at])


def find(run) -> Found:
    """The nearest images of a run's test images, by the similarity that it trained."""
    a = run.embeddings
    drawn = candidates(a["labels"])
    ranked = ranking(torch.from_numpy(a["f"]), a["labels"], run.similarity(), drawn)
    for column in ("query", "retrieved"):
        ranked[column] = a["index"][ranked[column]]
    by_score = ranked[ranked["by"] == "score"]
    return Found(run, ranked, at_quantiles(by_score.groupby("query", sort=False)["right"].sum()))


def plane(found: Found, data: ImageSet, most: int = DRAWN) -> pd.DataFrame:
    """t-SNE of the queries shown, what they retrieve and whole classes: image, class, x, y.

    The queries' classes are whole; other classes are drawn until there are `most` images.
    """
    a, shown = found.run.embeddings, found.shown
    rows = sample(a["labels"], most, np.flatnonzero(np.isin(a["index"], found.queries)))
    rows = np.union1d(rows, np.flatnonzero(np.isin(a["index"], shown["retrieved"])))
    x, y = tsne(a["f"][rows]).T
    index = a["index"][rows]
    return pd.DataFrame({"image": index, "class": data.labels[index], "x": x, "y": y})


def summary(found: Found) -> dict[str, float]:
    """Means over the candidates.

    right_score, right_distance: how many of the nearest are right; only: how many of those by score
    are not among those by distance; right_only_score, right_only_distance: percent right of those
    that only the one of the two finds.
    """
    r, number = found.ranked, found.ranked["query"].nunique()
    nearest = int(r["rank"].max())
    out = {"queries": number, "nearest": nearest}
    for by, own in r.groupby("by"):
        only = own[own["place"] > nearest]
        out |= {f"right_{by}": own["right"].sum() / number, "only": len(only) / number}
        out[f"right_only_{by}"] = 100 * only["right"].mean()
    return out
