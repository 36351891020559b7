"""f of any images by a finished run: of its own data set, or of classes that no run has seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..data import ImageSet
from ..networks import backbones
from ..networks.features import features_of, stored_pixels
from ..store.errors import UserError
from .experiments import Experiment
from .inputs import Frozen, Images
from .loop import embed
from .runs import Run


def network(e: Experiment, source: ImageSet) -> backbones.Backbone:
    """The backbone as training started with it, for images as those of `source`."""
    torch.manual_seed(0)  # as in training: a network without weights is the same one each time
    return backbones.load(e.backbone, e.weights, stored=source.side, crop=e.crop)


def plain_features(
    e: Experiment,
    data: ImageSet,
    source: ImageSet,
    results: str | Path,
    device: str = "cpu",
    bar: bool = False,
) -> Tensor:
    """The untrained backbone's features of all images of `data`: float32 [N, features].

    In training's unit of length, the mean norm over the training classes of `source`, the data set
    trained on. Computed once a data set and kept under results/features.
    """
    net, cache = network(e, source), Path(results) / "features"
    own = torch.from_numpy(features_of(source, net, cache, device, bar))
    x = own
    if data.fingerprint != source.fingerprint:
        x = torch.from_numpy(features_of(data, net, cache, device, bar))
    return x / own[torch.from_numpy(source.train)].norm(dim=1).mean()


def embed_images(
    run: Run,
    data: ImageSet,
    idx: np.ndarray,
    results: str | Path,
    device: str = "cpu",
    source: ImageSet | None = None,
    bar: bool = False,
) -> Tensor:
    """f of images idx [n] of `data` under a finished run: float32 [n, d] on `device`.

    Args:
        data: the data set that the run was trained on, or any other.
        results: the store's folder; features and pixels are kept in results/features.
        source: the data set that the run was trained on; `data` if None.

    Raises:
        UserError: `source` is not what the run was trained on; a run that trained its network
            ("finetune") and did not keep it, or kept another one.
    """
    e, source = run.experiment, source or data
    if run.manifest["data_fingerprint"] != source.fingerprint:
        raise UserError(
            f"run {run.id} ({e.method}, seed {e.seed}) was trained on "
            f"{run.manifest['data_title']}, not on {source.title} as it is now; give the data set "
            "that it was trained on."
        )
    model = run.model().to(device)
    if e.mode != "finetune":
        x = plain_features(e, data, source, results, device, bar).to(device)
        return embed(model, Frozen(x, x.shape[1]), idx)
    net = network(e, source)
    pixels = stored_pixels(data, net.input, Path(results) / "features", bar)
    images = Images(torch.from_numpy(pixels), net.features, net.input, torch.device(device))
    return embed(model, images, idx)
