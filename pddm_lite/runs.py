"""A finished run: what the store holds of one experiment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .experiments import Experiment
from .methods import build_similarity
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
        s = build_similarity(self.experiment)
        s.load_state_dict(self.store.state(self.id, "metric.pt"))
        return s.eval()
