"""Which pairs are genuinely hard: asked of the embedded world, which knows where its images lie.

The paper wants "genuinely hard samples" and names a human as the one who could tell them (Sec. 1).
For the embedded world there is something better: the latent z of each image, 16 numbers of which
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
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ...data import WORLDS, world_of
from ...data.synthetic import Geometry, geometry
from ...pddm import Similarity
from .mined import batches, features

RULERS = ("local", "plain")
KINDS = {"positive": "pairs of one class", "negative": "pairs of two"}
SHARE = 0.1  # the hardest 10 % are genuinely hard


def geometry_of(name: str, profile: str) -> Geometry | None:
    """The geometry of an embedded data set as data.load gives it; None for real data."""
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


def hard(
    g: Geometry, index: np.ndarray, ruler: str, share: float = SHARE
) -> tuple[np.ndarray, np.ndarray]:
    """Genuinely hard pairs of batches: two masks [B, m, m], of positive and of negative pairs.

    The bar is the same for all batches: the quantile of all pairs of the kind in all of them.
    index: images of the batches [B, m].
    """
    labels = g.labels[index]
    same = labels[:, :, None] == labels[:, None, :]
    positive = same & ~np.eye(index.shape[1], dtype=bool)
    R = np.stack([apart(g, x[:, None], x[None, :], ruler) for x in index])
    far, near = np.quantile(R[positive], 1 - share), np.quantile(R[~same], share)
    return positive & (far <= R), ~same & (near >= R)


class Picks(NamedTuple):
    """What a similarity mines of B batches; all numbers are places in the batch."""

    i: np.ndarray  # [B] the least similar positive pair of each batch: one half
    j: np.ndarray  # [B] and the other
    k: np.ndarray  # [B / 4, A] the most similar negative of each anchor


def anchors(index: np.ndarray) -> np.ndarray:
    """Places in a batch whose negatives are mined: every 16th image, to keep the time short."""
    return np.arange(0, index.shape[1], 16)


@torch.no_grad()
def picks(similarity: Similarity, f: Tensor, index: np.ndarray, labels: np.ndarray) -> Picks:
    """What a similarity mines of batches: what mining.hard_quadruplets does, for all at once.

    Negatives are mined in the first quarter of the batches: they come several a batch.

    f: features [N, d].  index: images of the batches [B, m].  labels: classes of the N images.
    """
    images, c = torch.from_numpy(index), torch.from_numpy(labels[index])
    some = torch.from_numpy(anchors(index))
    same = c[:, :, None] == c[:, None, :]
    b, i, j = torch.nonzero(same.triu(1), as_tuple=True)
    positive = f.new_full(same.shape, torch.inf)
    positive[b, i, j] = _scores(similarity, f, images[b, i], images[b, j])
    hardest = positive.flatten(1).argmin(dim=1).numpy()
    different = ~same[: _quarter(index), some]
    b, a, k = torch.nonzero(different, as_tuple=True)
    negative = f.new_full(different.shape, -torch.inf)
    negative[b, a, k] = _scores(similarity, f, images[b, some[a]], images[b, k])
    return Picks(*divmod(hardest, index.shape[1]), negative.argmax(dim=2).numpy())


def _quarter(index: np.ndarray) -> int:
    return -(-len(index) // 4)


def _scores(similarity: Similarity, f: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """S of the pairs (a, b) of rows of f, some thousands at a time, which stay in the cache."""
    parts = zip(a.split(4096), b.split(4096), strict=True)
    return torch.cat([similarity.pairs(f, p, q) for p, q in parts])


def rates(
    g: Geometry, index: np.ndarray, mined: Mapping[tuple[str, str], Picks], share: float = SHARE
) -> pd.DataFrame:
    """How often what was mined is genuinely hard: a row a miner, ruler and kind of pair.

    mined: (whose features, miner) -> its picks of the batches `index` [B, m].

    Columns: features, miner, ruler, kind, picked, chance, best. Kind "positive": the one pair
    (i, j) of a batch; "negative": the negative of each anchor. chance is what a blind draw among
    the pairs at hand would reach; best, the share of draws that have a hard pair to pick at all.
    """
    rows, every, some = [], np.arange(len(index)), np.s_[: _quarter(index), anchors(index)]
    c = g.labels[index]
    same = c[:, :, None] == c[:, None, :]
    number = same.sum(axis=(1, 2)) - index.shape[1]  # positive pairs, each twice
    for ruler in RULERS:
        positive, negative = hard(g, index, ruler, share)
        negative = negative[some]
        blind = {
            "positive": (positive.sum(axis=(1, 2)) / number, positive.any(axis=(1, 2))),
            "negative": (negative.sum(axis=2) / (~same[some]).sum(axis=2), negative.any(axis=2)),
        }
        for (of, miner), (i, j, k) in mined.items():
            hit = {
                "positive": positive[every, i, j],
                "negative": np.take_along_axis(negative, k[:, :, None], axis=2),
            }
            for kind, (chance, best) in blind.items():
                shares = (hit[kind].mean(), chance.mean(), best.mean())
                rows.append((of, miner, ruler, kind, *shares))
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
        similarities = {m: run.similarity() for m, run in own.items()}
        mined = {("own", m): picks(x, f[m], index, g.labels) for m, x in similarities.items()}
        if home in own:
            visits = {
                m: picks(x, f[home], index, g.labels) for m, x in similarities.items() if m != home
            }
            visits[home] = mined["own", home]
            mined |= {(home, m): visits[m] for m in similarities}
        out.append(rates(g, index, mined).assign(data=d, seed=s))
    return pd.concat(out, ignore_index=True) if out else pd.DataFrame()
