"""What a trained similarity mines: its batches, the features it sees, the quadruplet it picks."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ...data import base as data_base
from ...data.sampler import class_balanced
from ...mining import hard_quadruplets
from ...training.embedder import embed_images

PAIRS = ("ij", "ik", "jl")  # of a quadruplet: its positive pair and its two negative ones


def features(run, data: data_base.ImageSet, results: str | Path, device: str = "cpu") -> Tensor:
    """f [N, d] of all images of `data` as a finished runs.Run embeds them, on the CPU.

    Raises:
        UserError: as embedder.embed_images.
    """
    return embed_images(run, data, np.arange(len(data)), results, device, bar=True).cpu()


def batches(run, data: data_base.ImageSet, number: int) -> np.ndarray:
    """Indices [number, m] of images: the first batches that a run was trained on.

    They depend on data, seed and shape of the batch alone, so runs of one seed share them.
    """
    e = run.experiment
    images = data_base.split(data, e.holdout, e.seed).fit
    labels = data.labels[images]
    classes = min(e.classes_per_batch, len(np.unique(labels)))
    drawn = islice(class_balanced(labels, classes, e.samples_per_class, e.seed), number)
    return images[np.stack(list(drawn))]


@torch.no_grad()
def quadruplet(
    run, data: data_base.ImageSet, f: Tensor, index: np.ndarray, negatives: str = "hardest"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The hardest quadruplet of one batch under a run's similarity, and all pairs of the batch.

    Args:
        f: features [N, d] of the whole of `data`.  index: the batch's images [m].
        negatives: "hardest" or "semihard", as in mining.hard_quadruplets.

    Returns:
        (the quadruplet, all pairs). The first has a row a pair, "ij", "ik" and "jl", and its images
        a and b, their classes, the score S, the squared distance D, and how it stands among the
        batch's pairs of its kind (positive or negative): the share of them that is at least as hard
        by S, and by D. The second has a row a pair: a, b, same, S, D.
    """
    similarity, batch = run.similarity(), f[torch.from_numpy(index)]
    labels = torch.from_numpy(data.labels[index])
    i, j, k, l, _, _ = map(int, hard_quadruplets(batch, labels, similarity, 1, negatives))
    S = similarity.all_pairs(batch)
    D = torch.cdist(batch, batch, compute_mode="donot_use_mm_for_euclid_dist").square()
    a, b = torch.triu_indices(len(index), len(index), 1)
    same = labels[a] == labels[b]
    every = {"a": index[a], "b": index[b], "same": same, "S": S[a, b], "D": D[a, b]}
    rows = []
    for pair, (p, q) in zip(PAIRS, ((i, j), (i, k), (j, l)), strict=True):
        kind = same if pair == "ij" else ~same
        sign = 1 if pair == "ij" else -1  # a positive pair is hard where S is low
        row = {"pair": pair, "a": index[p], "b": index[q], "S": float(S[p, q])}
        row |= {"D": float(D[p, q])}
        row |= {"class_" + x: data.class_names[data.labels[row[x]]] for x in "ab"}
        harder = sign * S[a, b][kind] <= sign * S[p, q] + 1e-6
        further = sign * -D[a, b][kind] <= sign * -D[p, q] + 1e-6
        rows.append(row | {"by_S": float(harder.float().mean())})
        rows[-1]["by_D"] = float(further.float().mean())
    return pd.DataFrame(rows), pd.DataFrame({k: np.asarray(v) for k, v in every.items()})
