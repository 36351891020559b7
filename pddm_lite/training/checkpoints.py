"""The whole state of a training run on disk, so that a killed one goes on to the same numbers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import torch

from ..store.files import write_atomic
from .collapse import CollapseWatch


def seconds_between() -> float:
    """At least so long between two checkpoints of a run; PDDM_CHECKPOINT_SECONDS says otherwise."""
    return float(os.environ.get("PDDM_CHECKPOINT_SECONDS", 60))


class Stateful(Protocol):
    """A module or an optimiser."""

    def state_dict(self) -> dict: ...

    def load_state_dict(self, state: dict) -> object: ...


def save(path: Path, parts: dict[str, Stateful], watch: CollapseWatch, seen: tuple) -> None:
    """Write the parts' states, the watch, the random generators and what was `seen` so far.

    seen: numbers, strings, tensors, and tuples, lists and dicts of these.
    """
    state = {name: part.state_dict() for name, part in parts.items()}
    state |= {"seen": seen, "watch": vars(watch)}
    state |= {"rng": torch.get_rng_state(), "cuda_rng": torch.cuda.get_rng_state_all()}
    write_atomic(path, lambda file: torch.save(state, file))


def load(
    path: Path, parts: dict[str, Stateful], watch: CollapseWatch, device: torch.device
) -> tuple:
    """Bring parts, watch and random generators to the state that `save` wrote; what was seen."""
    held = torch.load(path, map_location=device, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(held[name])
    vars(watch).update(held["watch"])
    torch.set_rng_state(held["rng"].cpu())
    torch.cuda.set_rng_state_all([state.cpu() for state in held["cuda_rng"]])
    return held["seen"]
