"""f of any images by a finished run: of its own data set, or of classes that no run has seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..data import ImageSet
from ..methods import method
from ..networks import backbones, folded
from ..networks.embedding import Embedding
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
    what = f"run {run.id} ({e.method}, seed {e.seed})"
    if run.manifest["data_fingerprint"] != source.fingerprint:
        raise UserError(
            f"{what} was trained on {run.manifest['data_title']}, not on {source.title} as it is "
            "now; give the data set that it was trained on."
        )
    if e.mode != "finetune":
        x = plain_features(e, data, source, results, device, bar).to(device)
        inputs, net = Frozen(x, x.shape[1]), None
    else:
        state = run.state("backbone")
        kept = network(e, source)
        pixels = stored_pixels(data, kept.input, Path(results) / "features", bar)
        inputs = Images(torch.from_numpy(pixels), kept.features, kept.input, torch.device(device))
        net = folded.quick(kept.net)
    model = Embedding(inputs.features, e.embedding_size, net, method(e.method).free, e.bf16)
    try:
        if net is not None:
            net.load_state_dict(state)
        model.head.load_state_dict(run.state("head"))
    except RuntimeError as err:  # its text lists every tensor
        raise UserError(
            f"{what} belongs to another network than {e.backbone} with features of length "
            f"{inputs.features} ({type(err).__name__} on loading it)."
        ) from None
    return embed(model.to(device), inputs, idx)


__all__ = ["embed_images", "network", "plain_features"]
