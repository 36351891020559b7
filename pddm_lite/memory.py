"""What to say when a GPU's memory is full."""

from __future__ import annotations

import math

import numpy as np
import torch

from .embedding import Embedding
from .experiments import Experiment
from .inputs import Images


def out_of_memory(e: Experiment, model: Embedding, source, idx: np.ndarray) -> str:
    """What to say when the GPU's memory is full: the batch and the crop that would fit."""
    classes = e.classes_per_batch
    while classes >= 4:
        classes //= 2
        model.zero_grad(set_to_none=True)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        try:
            model(source.batch(idx[: classes * e.samples_per_class], train=True)).sum().backward()
            break
        except torch.OutOfMemoryError:
            continue
    else:
        return (
            "the GPU's memory is full, and would be with 2 classes a batch; use a smaller network"
        )
    m = classes * e.samples_per_class
    text = f"the GPU's memory is full at m = {e.batch_size}"
    fits = f"m = {m} fits (--set batch_size={m} --set classes_per_batch={classes})"
    if isinstance(source, Images):
        crop = source.crop
        # activations grow with m x crop^2; networks halve their input five times
        smaller = (
            max(32, int(crop * math.sqrt(classes / e.classes_per_batch)) // 32 * 32) + crop % 32
        )
        text += f", crop {crop} px"
        fits += f", or a crop of {smaller} px (--set crop={smaller}), or --set bf16=true"
    return f"{text}; {fits}."
