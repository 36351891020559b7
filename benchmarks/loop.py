"""Epochs a second of the whole training loop on the synthetic birds, and where the time goes.

The last two rows are the step of an end-to-end study: MobileNetV2 at 97 pixels, its weights random
(time does not hang on them), in float32 and in bfloat16.

loop.fit itself runs, with clocks around its parts; one thread. Time is the processor's on a CPU
and the clock's on a GPU, which is waited for after every part. Shares are of a step and of its part
of an evaluation, which comes every 50 steps as in profile quick: Recall@1 on the held-out and on
the test classes by distance, and by score on the held-out ones. Features are cached in results.
"""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pandas as pd
import torch

from pddm_lite import data, methods
from pddm_lite.networks.embedding import Embedding
from pddm_lite.training import faults, loop, optimisation
from pddm_lite.training.experiments import make
from pddm_lite.training.inputs import inputs

DATA = "synthetic_birds"
MOBILE = dict(method="PDDM+Quadruplet", mode="finetune", backbone="mobilenet_v2", crop=97)
MOBILE |= dict(weights="none")
# name -> recipe, settings, share of --steps
LOOPS = {
    "frozen, Softmax": ("default", dict(method="Softmax"), 1.0),
    "frozen, PDDM, the paper's letter": ("letter", dict(method="PDDM+Quadruplet"), 1.0),
    "frozen, PDDM, every positive pair": ("default", dict(method="PDDM+Quadruplet"), 1.0),
    "fine-tuned smallnet, PDDM, every positive pair": (
        "default",
        dict(method="PDDM+Quadruplet", mode="finetune"),
        0.1,
    ),
    "end to end, MobileNetV2 at 97 px, float32": ("default", MOBILE, 0.1),
    "end to end, MobileNetV2 at 97 px, bfloat16": ("default", MOBILE | dict(bf16=True), 0.1),
}
EVERY = 50  # steps between two evaluations, as in profile quick
# "backward" is the loss's own; from f on it is the network's
FORWARD, NETWORK_BACK = "network and head", "their backward"
PARTS = ("data", FORWARD, "mining and loss", "backward", NETWORK_BACK, "finite?", "optimiser")


class Clocks:
    """Seconds by part of a step; what runs without gradient is an evaluation's and not counted."""

    def __init__(self, device: str):
        self.device, self.seconds, self.last = device, defaultdict(float), 0.0
        self.reached = 0.0  # when the gradient reached f

    def now(self) -> float:
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()

    def around(self, part: str, function):
        def timed(*args, **kw):
            if not torch.is_grad_enabled():
                return function(*args, **kw)
            began = self.now()
            value = function(*args, **kw)
            self.last = self.now()
            self.seconds[part] += self.last - began
            if part == FORWARD:  # its gradient is there: from now on the network's own backward
                value.register_hook(lambda g: setattr(self, "reached", self.now()))
            if part == "backward":
                self.seconds[NETWORK_BACK] += self.last - self.reached
                self.seconds[part] -= self.last - self.reached
            return value

        return timed


def measure(
    recipe: str, settings: dict, steps: int, profile: str, cache: Path, device: str
) -> dict:
    """One fit: images and epochs a second, milliseconds a step, and the share of each part."""
    net = dict(backbone="smallnet", mode="frozen")
    e = make(recipe, data=DATA, steps=steps, eval_every=steps, **{**net, **settings})
    images = data.load(DATA, profile=profile)
    source, backbone = inputs(e, images, cache, device, bar=False)
    clocks, optimiser = Clocks(device), optimisation.optimiser

    def clocked_optimiser(*args):
        optim = optimiser(*args)
        optim.step = clocks.around("optimiser", optim.step)
        return optim

    patches = [
        (loop, "time", SimpleNamespace(perf_counter=clocks.now, monotonic=time.monotonic)),
        (loop, "optimiser", clocked_optimiser),
        (loop, "average", clocks.around("optimiser", optimisation.average)),
        (loop, "objective", clocks.around("mining and loss", methods.objective)),
        (loop, "check_finite", clocks.around("finite?", faults.check_finite)),
        (torch.Tensor, "backward", clocks.around("backward", torch.Tensor.backward)),
        (Embedding, "forward", clocks.around(FORWARD, Embedding.forward)),
        (source, "batch", clocks.around("data", source.batch)),
    ]
    with ExitStack() as stack:
        for patch in patches:
            stack.enter_context(mock.patch.object(*patch))
        fitted = loop.fit(e, images, source, backbone, bar=False)
        evaluation = clocks.now() - clocks.last  # the one at the end, after the last optimiser step
    in_steps = fitted.timing["seconds"].iloc[-1]
    ms = {part: 1e3 * clocks.seconds[part] / steps for part in PARTS}
    ms["other"] = 1e3 * in_steps / steps - sum(ms.values())
    ms["evaluation"] = 1e3 * evaluation / EVERY
    step = sum(ms.values())
    epoch = len(images.train) / e.batch_size  # steps
    speed = {
        "epochs_per_s": round(1e3 / step / epoch, 2),
        "images_per_s": round(1e3 / step * e.batch_size),
        "ms_per_step": round(step, 2),
    }
    return speed | {f"{part} %": round(100 * t / step, 1) for part, t in ms.items()}


def table(steps=200, profile="quick", results="results", device="cpu") -> pd.DataFrame:
    """A row a loop: speed, and percent of the time by part."""
    cache = Path(results) / "features"
    rows = [
        {"loop": name}
        | measure(recipe, settings, max(2, int(share * steps)), profile, cache, device)
        for name, (recipe, settings, share) in LOOPS.items()
    ]
    return pd.DataFrame(rows).assign(data=DATA)


def wide(table: pd.DataFrame) -> pd.DataFrame:
    """The table to be read: a column a loop."""
    return table.set_index("loop").T.reset_index(names="")
