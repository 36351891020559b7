"""Several processes under torchrun: each mines a batch of its own, gradients are averaged.

Without torchrun every function here does nothing: one process is its own world.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta

import torch
from torch import distributed as dist
from torch import nn


def world() -> int:
    """Number of processes that train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Number of this process; 0 writes what is written."""
    return dist.get_rank() if dist.is_initialized() else 0


def start(device: str) -> str:
    """Join the processes that torchrun started, if it did; this process's device."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        cuda = device.startswith("cuda") or (not device and torch.cuda.is_available())
        if cuda:
            device = f"cuda:{os.environ['LOCAL_RANK']}"
            torch.cuda.set_device(device)
        # one process may have a large data set's features to make while the others wait
        dist.init_process_group("nccl" if cuda else "gloo", timeout=timedelta(days=1))
    return device


def wait() -> None:
    """Go on when every process has come here."""
    if world() > 1:
        dist.barrier()


def as_main_says(value: bool) -> bool:
    """Process 0's value, in all processes."""
    if world() == 1:
        return value
    said = [value]
    dist.broadcast_object_list(said)
    return said[0]


def average_gradients(modules: Iterable[nn.Module]) -> None:
    """g = mean over processes of g, for every parameter, in one message.

    By hand and not by DistributedDataParallel: the unit is called by its methods, never by
    forward, so that DDP's hooks on forward would miss it.
    """
    if world() == 1:
        return
    grads = [p.grad for m in modules for p in m.parameters() if p.grad is not None]
    flat = torch.cat([g.flatten() for g in grads])
    dist.all_reduce(flat)
    flat /= world()
    for g, mean in zip(grads, flat.split([g.numel() for g in grads]), strict=True):
        g.copy_(mean.view_as(g))
