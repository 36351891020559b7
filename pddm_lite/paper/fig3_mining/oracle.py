"""Which pairs are genuinely hard: asked of the synthetic world, which knows where its images lie.

The paper wants "genuinely hard samples" and names a human as the one who could tell them (Sec. 1).
For the synthetic world there is something better: the latent z of each image, 16 numbers of which
the picture is painted, and the spread s of each species, in the same units (data.synthetic).

A positive pair is genuinely hard where it is among the hardest 10 % of all positive pairs of the
batches, that is the farthest apart; a negative one where it is among the hardest 10 % of all
negative pairs, the nearest. How far is said by one of two rulers:

    local:  ||z_a - z_b|| / sqrt(s_a s_b)     in units of how far the two species spread
    plain:  ||z_a - z_b||                     one unit for the whole world

The local ruler is the paper's idea of hard: two birds of a loose species are no hard pair because
that species is loose, nor are two tight species because both are small. Its far pairs are mostly of
different morphs. By the plain ruler hard positives come from loose species and hard negatives from
tight ones: what a global metric, even a perfect one, would call hard.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ...data import WORLDS, world_of
from ...data.synthetic import Geometry, geometry
from ...mining import hard_quadruplets
from ...pddm import Similarity
from .mined import batches, features

RULERS = ("local", "plain")
KINDS = {"positive": "pairs of one class", "negative": "pairs of two"}
SHARE = 0.1  # the hardest 10 % are genuinely hard


def geometry_of(name: str, profile: str) -> Geometry | None:
    """The geometry of a synthetic data set as data.load gives it; None for real data."""
    s = world_of(name)
    if s is None or not s.painted:
        return None
    return geometry(s.kind, *WORLDS[profile], s.heterogeneity)


def apart(g: Geometry, a: np.ndarray, b: np.ndarray, ruler: str) -> np.ndarray:
    """How far images a and b (indices of one shape) lie apart in the latents, by that ruler."""
    distance = np.linalg.norm(g.latents[a] - g.latents[b], axis=-1).astype(np.float64)
    if ruler == "local":
        distance /= np.sqrt(g.scales[g.labels[a]] * g.scales[g.labels[b]])
    return distance


def hard(g: Geometry, index: np.ndarray, ruler: str) -> tuple[np.ndarray, np.ndarray]:
    """Genuinely hard pairs of batches: two masks [B, m, m], of positive and of negative pairs.

    The bar is the same for all batches: the quantile of all pairs of the kind in all of them.
    index: images of the batches [B, m].
    """
    positive, negative = kinds(g, index)
    R = np.stack([apart(g, x[:, None], x[None, :], ruler) for x in index])
    far, near = np.quantile(R[positive], 1 - SHARE), np.quantile(R[negative], SHARE)
    return positive & (far <= R), negative & (near >= R)


def kinds(g: Geometry, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two masks [B, m, m]: the positive pairs of each batch and its negative ones."""
    labels = g.labels[index]
    same = labels[:, :, None] == labels[:, None, :]
    return same & ~np.eye(index.shape[1], dtype=bool), ~same


def picks(similarity: Similarity, f: Tensor, index: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Places i, j, k, l in each batch of the quadruplet that the miner takes: [B, 4].

    f: features [N, d].  index: images of the batches [B, m].  labels: classes of the N images.
    """
    c = torch.from_numpy(labels[index])
    mined = (
        hard_quadruplets(f[torch.from_numpy(x)], y, similarity)[:4]
        for x, y in zip(index, c, strict=True)
    )
    return np.array([[int(place) for place in q] for q in mined])


def rates(
    g: Geometry, index: np.ndarray, mined: Mapping[tuple[str, str], np.ndarray]
) -> pd.DataFrame:
    """How often what was mined is genuinely hard: a row a miner, ruler and kind of pair.

    mined: (whose features, miner) -> its picks [B, 4] of the batches `index` [B, m].

    Columns: features, miner, ruler, kind, picked, chance, best. Kind "positive": the pair (i, j);
    "negative": the negatives of i and of j. chance is what a blind draw among the pairs at hand
    would reach; best, the share of draws that have a hard pair to pick at all.
    """
    rows, b = [], np.arange(len(index))[:, None]
    pairs, others = kinds(g, index)
    for ruler in RULERS:
        positive, negative = hard(g, index, ruler)
        for (of, miner), q in mined.items():
            ends, nearest = q[:, :2], q[:, 2:]  # i and j; k and l
            shares = {
                "positive": (
                    positive[b[:, 0], ends[:, 0], ends[:, 1]],
                    positive.sum(axis=(1, 2)) / pairs.sum(axis=(1, 2)),
                    positive.any(axis=(1, 2)),
                ),
                "negative": (
                    negative[b, ends, nearest],
                    negative[b, ends].sum(axis=2) / others[b, ends].sum(axis=2),
                    negative[b, ends].any(axis=2),
                ),
            }
            for kind, found in shares.items():
                rows.append((of, miner, ruler, kind, *(x.mean() for x in found)))
    columns = ["features", "miner", "ruler", "kind", "picked", "chance", "best"]
    return pd.DataFrame(rows, columns=columns)


def survey(runs: Mapping, study, home: str, number: int = 300) -> pd.DataFrame:
    """`rates` of a study's runs on its painted data, with data and seed; empty where it has none.

    runs: (data, method, seed) -> runs.Run.  number: batches a seed.
    home: the method on whose features all miners are compared as well; "" for none.
    Features: "own" or `home`.
    """
    out = []
    for d, s in dict.fromkeys((d, s) for d, _, s in runs):
        g = geometry_of(d, study.profile)
        if g is None:
            continue
        own = {m: run for (a, m, b), run in runs.items() if (a, b) == (d, s)}
        data = study.load(d)
        index = batches(next(iter(own.values())), data, number)
        f = {m: features(run, data, study.results, study.device) for m, run in own.items()}
        mined = {
            (of, m): picks(run.similarity(), f[m if of == "own" else home], index, g.labels)
            for of in ["own"] + [home] * (home in own)
            for m, run in own.items()
        }
        out.append(rates(g, index, mined).assign(data=d, seed=s))
    return pd.concat(out, ignore_index=True) if out else pd.DataFrame()
