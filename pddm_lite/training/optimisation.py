"""How the weights move: the optimiser, the running average, what batch norm does, CUDA graphs."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ..networks.embedding import Embedding
from ..pddm import Similarity
from .experiments import Experiment
from .inputs import Images


def optimiser(e: Experiment, model: Embedding, similarity: Similarity) -> torch.optim.Optimizer:
    """SGD or AdamW with a learning rate for the head, the unit and the network.

    gamma is weight decay on weights and not on biases or norms: the unit's biases carry the length
    of u and must not be decayed away.
    """
    groups = []
    for module, rate in (
        (model.head, 1.0),
        (similarity, e.metric_lr),
        (model.backbone, e.backbone_lr),
    ):
        params = [p for p in module.parameters() if p.requires_grad] if module is not None else []
        for decayed in (True, False):
            chosen = [p for p in params if (p.ndim > 1) == decayed]
            if chosen:
                decay = e.weight_decay if decayed else 0.0
                groups.append({"params": chosen, "lr": e.lr * rate, "weight_decay": decay})
    if e.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=e.momentum)
    return torch.optim.AdamW(groups)


@torch.no_grad()
def average(slow: tuple[nn.Module, ...], fast: tuple[nn.Module, ...], decay: float) -> None:
    """slow <- decay slow + (1 - decay) fast, in place; buffers are copied."""
    a, b = ([p for m in modules for p in m.parameters()] for modules in (slow, fast))
    torch._foreach_lerp_(a, b, 1 - decay)
    for m, n in zip(slow, fast, strict=True):
        for x, y in zip(m.buffers(), n.buffers(), strict=True):
            x.copy_(y)


def train_mode(model: Embedding, batch_norm: str) -> None:
    """Training mode; batch_norm "frozen" or "train", see Experiment."""
    model.train()
    if batch_norm == "frozen":  # batch norm keeps the statistics of its pretraining
        for m in model.modules():
            if isinstance(m, nn.modules.batchnorm._BatchNorm):
                m.eval()


def graphed(model: Embedding, source: Images, e: Experiment) -> nn.Module:
    """The backbone with forward and backward captured as CUDA graphs: one launch each."""
    train_mode(model, e.batch_norm)
    sample = source.batch(np.zeros(e.batch_size, dtype=int), train=False)
    with torch.autocast("cuda", torch.bfloat16, enabled=e.bf16, cache_enabled=False):
        return torch.cuda.make_graphed_callables(model.backbone, (sample,))
