"""What a training run reads: cached features (frozen) or images, a batch at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..data import base as data_base
from ..networks import backbones, folded, latents
from ..networks import features as data_features
from .experiments import Experiment


@dataclass
class Frozen:
    """Features computed once: batches are rows of x [N, features]."""

    x: Tensor
    features: int
    crop: int = 0  # side in pixels of what the network saw, for the record

    @property
    def device(self) -> torch.device:
        return self.x.device

    def batch(self, idx: np.ndarray, train: bool) -> Tensor:
        """[B, features] of images idx [B]."""
        return self.x[torch.from_numpy(idx).to(self.x.device)]


@dataclass
class Images:
    """uint8 images x [N, resize, resize, 3], cropped, flipped and normalised a batch at a time.

    x lies on the GPU where it fits there, else in memory (mapped from disk); the whole batch is
    cut out of it by one gather, so that nothing is decoded or copied image by image.
    """

    x: Tensor
    features: int
    net_input: backbones.Input
    device: torch.device

    @property
    def crop(self) -> int:
        return self.net_input.crop

    def batch(self, idx: np.ndarray, train: bool) -> Tensor:
        """[B, 3, crop, crop] of images idx [B]: a random crop and flip each, or the middle."""
        n, crop, room = len(idx), self.crop, self.x.shape[1] - self.crop
        if train:
            top, left = (torch.randint(0, room + 1, (n,)) for _ in range(2))
            flip = torch.rand(n) < 0.5
        else:
            top = left = torch.full((n,), room // 2)
            flip = torch.zeros(n, dtype=torch.bool)
        side = torch.arange(crop)
        rows, columns = top[:, None] + side, left[:, None] + side  # [B, crop]
        columns = torch.where(flip[:, None], columns.flip(1), columns)
        at = (torch.from_numpy(idx)[:, None, None], rows[:, :, None], columns[:, None, :])
        images = self.x[tuple(i.to(self.x.device, non_blocking=True) for i in at)]
        return data_features.normalise(images.to(self.device), self.net_input)


def inputs(
    e: Experiment, data: data_base.ImageSet, cache: Path, device: str, bar: bool
) -> tuple[Frozen | Images, nn.Module | None]:
    """(what the batches are cut from, the backbone to train or None) for an experiment."""
    torch.manual_seed(0)  # a network without weights starts the same for every seed
    if e.backbone == latents.NAME:
        x = torch.from_numpy(latents.perfect_eye(data)).to(device)
        if e.mode != "finetune":
            return Frozen(x, x.shape[1]), None
        net = backbones.load(e.backbone)
        return Frozen(x, net.features), net.net
    net = backbones.load(e.backbone, e.weights, stored=data.side, crop=e.crop)
    if e.mode != "finetune":
        x = torch.from_numpy(data_features.features_of(data, net, cache, device, bar))
        # one unit of length whatever the network, so that learning rates carry over
        x /= x[torch.from_numpy(data.train)].norm(dim=1).mean()
        return Frozen(x.to(device), net.features, net.input.crop), None
    pixels = data_features.stored_pixels(data, net.input, cache, bar)
    x, where = torch.from_numpy(pixels), torch.device(device)
    if where.type == "cuda" and x.nbytes < torch.cuda.mem_get_info(where)[0] / 4:
        x = x.to(where)
    return Images(x, net.features, net.input, where), folded.quick(net.net)
