"""Training in milliseconds: made-up features and pictures, and settings that fit them."""

import numpy as np
import torch
from torch import nn

from pddm_lite.data.base import ImageSet, fingerprint
from pddm_lite.networks.backbones import Input
from pddm_lite.training.experiments import make
from pddm_lite.training.inputs import Frozen, Images
from pddm_lite.training.loop import fit

FEATURES = 10


def unreadable(i):
    raise AssertionError("training on features reads no image")


def image_set(classes=12, images=6, read=unreadable, name="made up"):
    labels = np.repeat(np.arange(classes), images)
    return ImageSet(
        name=name,
        title=name,
        labels=labels,
        class_names=tuple(f"c{c}" for c in range(classes)),
        read=read,
        fingerprint=fingerprint(name, classes, images),
        train_classes=classes // 2,
    )


def clusters(data, seed=0, noise=0.6):
    """Frozen features: a cluster a class, in a space with some noisy directions."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(len(data.class_names), FEATURES))
    x = centres[data.labels] + noise * rng.normal(size=(len(data), FEATURES))
    x[:, -3:] += 2 * rng.normal(size=(len(data), 3))
    return Frozen(torch.from_numpy(x.astype(np.float32)), FEATURES)


def experiment(**changes):
    small = dict(
        embedding_size=6,
        classes_per_batch=4,
        samples_per_class=3,
        batch_size=12,
        steps=30,
        eval_every=10,
        lr=1e-2,
    )
    return make(**{"data": "made up", "mode": "frozen", **small, **changes})


def run(e, data=None, source=None, backbone=None):
    data = data or image_set()
    return fit(e, data, source or clusters(data), backbone, bar=False)


class Convolution(nn.Module):
    """A small network with batch norm: [B, 3, H, W] -> [B, 5]."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 5, 3, stride=2), nn.BatchNorm2d(5)

    def forward(self, x):
        return torch.relu(self.norm(self.conv(x))).mean(dim=(2, 3))


def pictures(data, side=12, seed=0):
    g = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 256, (len(data), side, side, 3), generator=g, dtype=torch.uint8)
    return Images(x, 5, Input(side, side - 2), "cpu")
