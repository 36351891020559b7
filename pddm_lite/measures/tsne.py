"""t-SNE of features (van der Maaten and Hinton 2008), for Fig. 1a and the bottom of Fig. 4."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

MOST = 800  # images drawn: more say no more at the size of a figure, and take longer


def sample(labels: np.ndarray, most: int = MOST, keep: Sequence[int] = ()) -> np.ndarray:
    """Places of at most `most` images, whole classes at random; always those of images `keep`.

    Whole classes, since a class with few of its images shows no spread. The same for the same
    arguments.
    """
    classes, counts = np.unique(labels, return_counts=True)
    kept = np.isin(classes, labels[list(keep)])
    order = np.random.default_rng(0).permutation(len(classes))
    order = np.r_[np.flatnonzero(kept), order[~kept[order]]]
    fits = (np.cumsum(counts[order]) <= most) | kept[order]
    return np.flatnonzero(np.isin(labels, classes[order[fits]]))


def tsne(f: np.ndarray) -> np.ndarray:
    """Places [n, 2] of features f [n, d] in the plane; the same for the same features.

    Axes have no unit: t-SNE keeps who is near whom, and neither distances nor sizes of clusters.
    """
    perplexity = min(30.0, (len(f) - 1) / 3)
    with threadpool_limits(1):  # two threads on shared cores are slower than one
        return TSNE(init="pca", perplexity=perplexity, random_state=0).fit_transform(f)
