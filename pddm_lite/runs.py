"""A finished run: what the store holds of one experiment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from . import backbones
from .embedding import Embedding
from .errors import UserError
from .experiments import Experiment
from .methods import build_similarity, method
from .pddm import Similarity
from .store import Store


@dataclass(frozen=True)
class Run:
    """A finished run in the store; reads its files when asked."""

    experiment: Experiment
    id: str
    store: Store

    @property
    def metrics(self) -> dict:
        """{"test" and "train": {"distance" and "score": measures}, "chosen_step", "collapse"}."""
        return self.store.json(self.id, "metrics.json")

    @property
    def history(self) -> pd.DataFrame:
        """A row an evaluation: losses, the collapse watch's signs, Recall@1, seconds."""
        return self.store.csv(self.id, "history.csv").merge(self.store.csv(self.id, "timing.csv"))

    @property
    def histograms(self) -> pd.DataFrame:
        return self.store.csv(self.id, "histograms.csv")

    @property
    def embeddings(self) -> dict[str, np.ndarray]:
        """f [n, d] float32 of the test images and their labels [n] and indices [n]."""
        a = self.store.arrays(self.id, "embeddings.npz")
        return a | {"f": a["f"].astype(np.float32)}

    @property
    def manifest(self) -> dict:
        return self.store.json(self.id, "manifest.json")

    def similarity(self) -> Similarity:
        """The trained similarity, in eval mode."""
        state = self.store.state(self.id, "metric.pt")
        s = build_similarity(self.experiment, classes=len(state.get("W", ())))
        s.load_state_dict(state)
        return s.eval()

    def model(self) -> Embedding:
        """The trained embedding f, in eval mode, on the CPU.

        Mode finetune: of images [B, 3, crop, crop], normalised as the backbone expects. Mode
        frozen: of the backbone's features [B, features], scaled as inputs.inputs does.

        Raises:
            UserError: a run of mode finetune made before networks were stored.
        """
        e, head = self.experiment, self.store.state(self.id, "head.pt")
        net = None
        if e.mode == "finetune":
            if not (self.store.path(self.id) / "backbone.pt").exists():
                raise UserError(
                    f"run {self.id} holds no network (backbone.pt): it was made by an older "
                    "version; make it again."
                )
            net = backbones.load(e.backbone, "none", crop=self.manifest["crop"]).net
            net.load_state_dict(self.store.state(self.id, "backbone.pt"))
            net = net.to(memory_format=torch.channels_last)  # as in training
        dim, features = head["weight"].shape
        model = Embedding(features, dim, net, method(e.method).free, e.bf16)
        model.head.load_state_dict(head)
        return model.eval()
