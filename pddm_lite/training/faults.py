"""What stops a training: losses that are not finite, and a GPU's full memory."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from ..networks.embedding import Embedding
from .experiments import Experiment
from .inputs import Images


class TrainingError(RuntimeError):
    """A run that cannot go on: what went wrong, at which step, in plain words."""


def check_finite(step: int, batch: dict[str, Tensor], modules: dict[str, nn.Module]) -> None:
    """TrainingError naming what is not finite first: a loss or, by gradient, a parameter."""
    grads = [p.grad for m in modules.values() for p in m.parameters() if p.grad is not None]
    norms = torch._foreach_norm([*(v.detach() for v in batch.values()), *grads])
    if torch.isfinite(torch.stack(norms)).all():  # one look, and so one wait for the GPU
        return
    for name, value in batch.items():
        if not torch.isfinite(value).all():
            raise TrainingError(f"step {step}: {name} is not finite; the step is not taken.")
    for part, module in modules.items():
        for name, p in module.named_parameters():
            if p.grad is not None and not torch.isfinite(p.grad).all():
                raise TrainingError(
                    f"step {step}: the gradient of {part}.{name} is not finite; "
                    "the step is not taken. A lower lr or a range_floor usually helps."
                )


def out_of_memory(e: Experiment, model: Embedding, source, idx: np.ndarray) -> str:
    """What to say when the GPU's memory is full: the batch and the crop that would fit."""

    def fits(classes: int) -> bool:
        model.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()
        try:
            model(source.batch(idx[: classes * e.samples_per_class], train=True)).sum().backward()
        except torch.OutOfMemoryError:
            return False
        return True

    halves = (e.classes_per_batch >> n for n in range(1, 32))
    classes = next((c for c in halves if c >= 2 and fits(c)), 0)
    if not classes:
        return (
            "the GPU's memory is full, and would be with 2 classes a batch; use a smaller network"
        )
    m = classes * e.samples_per_class
    full = f"the GPU's memory is full at m = {e.batch_size}"
    text = f"m = {m} fits (--set batch_size={m} --set classes_per_batch={classes})"
    if isinstance(source, Images):
        crop = source.crop
        # activations grow with m x crop^2; networks halve their input five times
        side = int(crop * math.sqrt(classes / e.classes_per_batch))
        smaller = max(32, side // 32 * 32) + crop % 32
        full += f", crop {crop} px"
        text += f", or a crop of {smaller} px (--set crop={smaller}), or --set bf16=true"
    return f"{full}; {text}."
