"""What both halves of Table 2 share: rows, scale, version, the metric learned of plain features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..measures import learned
from ..training.embedder import plain_features
from ..training.study import COMPARED, Study

PRETRAINED = (
    "{network} starts from ImageNet's weights: it may have seen photographs of classes that are "
    "new or unseen here, and has of all of Tiny-ImageNet's, so no row is about classes new to it."
)


def pretrained(study: Study) -> str:
    """What ImageNet's weights mean for "new" classes; "" for a network that has not seen them."""
    weights = Path(study.weights).name or ("" if study.backbone == "smallnet" else "imagenet")
    if "imagenet" not in weights.lower():
        return ""
    return PRETRAINED.format(network=study.backbone)


PDDM, EUCLIDEAN = COMPARED
SOFTMAX = "Softmax"
METHODS = (SOFTMAX, "Triplet", "LiftedStruct", EUCLIDEAN, PDDM)
PLAIN, UNTRAINED = "plain features", "untrained head"  # not of a run: the floor
# Raise it when what is measured of the same run and images changes: the split of images, draws, a
# classifier, the learned metric, the embedding of images. Then all is measured again.
# 2: of an odd number of images the smaller half asks.
TRANSFER = 2


@dataclass(frozen=True)
class Plan:
    """How much is measured; profiles differ in scale alone."""

    draws: int = 3  # of the new classes, and of the images that make their means
    small_draws: int = 10  # the same for SMALL classes or fewer, of which few images ask
    metric_steps: int = 500  # of Mensink's metric, at each rate
    linear_epochs: int = 20
    linear_steps: int = 300  # at least
    linear_classes: int = 1_000  # most new classes of the linear one: its time grows as C^2
    scored: int = 100  # most classes that the unit ranks: it scores every image with every mean


PLANS = {
    "smoke": Plan(
        draws=1, small_draws=1, metric_steps=20, linear_epochs=2, linear_steps=20, scored=20
    ),
    "quick": Plan(),
    "paper": Plan(metric_steps=1000, linear_steps=1000),
}


def plan(study: Study) -> Plan:
    """How much is measured at the study's profile."""
    return PLANS[study.profile]


def learned_metric(study: Study, name: str) -> Tensor:
    """Mensink's W [d, features] of a data set's plain features, with f's d, by its source classes.

    Raises:
        learned.NoMetric: too few source classes, or one with a single image.
    """
    e = study.experiment(name, PDDM, study.seeds[0])
    source = study.load(name)
    train = source.train
    learned.check_source(source.labels[train])
    x = plain_features(e, source, source, study.results, study.device).cpu()
    return learned.learn_metric(
        x[torch.from_numpy(train)],
        source.labels[train],
        rank=min(e.embedding_size, x.shape[1]),
        steps=plan(study).metric_steps,
        seed=e.seed,
        device=study.device,
    )
