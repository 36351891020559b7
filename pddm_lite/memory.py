"""What the machine gives: how many cores, and what to say when a GPU's memory is full."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # else every reader of data, and every command line, would load all of these
    import numpy as np

    from .embedding import Embedding
    from .experiments import Experiment

QUOTA = Path("/sys/fs/cgroup/cpu.max")  # "50000 100000": half a core; "max 100000": all


def cores() -> int:
    """CPU cores that this process may use, 1 or more.

    Fewer than the machine has under taskset, PYTHON_CPU_COUNT, or a container's quota (cgroup v2).
    """
    if hasattr(os, "process_cpu_count"):  # from Python 3.13
        free = os.process_cpu_count() or 1
    elif hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        free = len(os.sched_getaffinity(0))
    else:
        free = os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text(encoding="utf-8").split()
        return max(1, min(free, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no such file, or "max": no quota
        return free


def out_of_memory(e: Experiment, model: Embedding, source, idx: np.ndarray) -> str:
    """What to say when the GPU's memory is full: the batch and the crop that would fit."""
    import torch

    from .inputs import Images

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
