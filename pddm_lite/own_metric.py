"""A trained metric taken out of the store: two pictures in, their distance and score out."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from . import backbones
from .data import ImageSet
from .data.features import RESAMPLE, centre_crop, frozen_features, normalise
from .data.folder import to_rgb
from .embedding import Embedding
from .errors import UserError
from .experiments import Experiment
from .methods import build_similarity, method
from .pddm import Similarity
from .store import write_atomic
from .training import Run


@dataclass(frozen=True)
class Metric:
    """A network, frozen, with the head and the unit that were trained on its features."""

    experiment: Experiment
    network: backbones.Backbone
    length: float  # mean length of the training images' features: the unit of all (inputs.py)
    embedding: Embedding
    unit: Similarity

    @classmethod
    def of(cls, run: Run, data: ImageSet, results: str | Path) -> Metric:
        """The metric of a run on `data`, whose weights lie in `results`/runs/<id>/.

        Raises:
            UserError: a fine-tuned run, as the store keeps its head and unit but not its network.
        """
        e = run.experiment
        if e.mode != "frozen":
            raise UserError("the store keeps no fine-tuned network; train with mode frozen.")
        network = backbones.load(e.backbone, e.weights, stored=data.side, crop=e.crop)
        x = torch.from_numpy(frozen_features(data, network, Path(results) / "features", bar=False))
        length = x[torch.from_numpy(data.train)].norm(dim=1).mean().item()
        head = run.store.state(run.id, "head.pt")
        unit = run.store.state(run.id, "metric.pt")
        return cls._built(e, network, length, head, unit)

    @classmethod
    def _built(cls, e: Experiment, network: backbones.Backbone, length: float, head, unit):
        embedding = Embedding(network.features, e.dim, free=method(e.method).free)
        embedding.head.load_state_dict(head)
        similarity = build_similarity(e)
        similarity.load_state_dict(unit)
        return cls(e, network, length, embedding.eval(), similarity.eval())

    @torch.no_grad()
    def embed(self, pictures: Sequence[Image.Image]) -> Tensor:
        """f [n, d] of n pictures of any size and mode."""
        wanted = self.network.input
        size, how = (wanted.resize, wanted.resize), RESAMPLE[wanted.interpolation]
        x = np.stack([np.asarray(to_rgb(p).resize(size, how)) for p in pictures])
        x = normalise(centre_crop(torch.from_numpy(x), wanted.crop), wanted)
        x = self.network.net(x).half().float()  # rounded as the cache of features is
        return self.embedding(x / self.length)

    @torch.no_grad()
    def compare(self, a: Image.Image, b: Image.Image) -> tuple[float, float]:
        """(Euclidean distance, score S) of two pictures: near is small, alike is large."""
        f = self.embed([a, b])
        return (f[0] - f[1]).norm().item(), self.unit(f[:1], f[1:]).item()

    def save(self, path: Path) -> Path:
        """One file of all but the backbone's weights: these are read from where they came from."""
        e, weights = self.experiment, Path(self.experiment.weights).expanduser()
        e = replace(e, weights=str(weights.resolve())) if weights.is_file() else e
        kept = {"experiment": asdict(e), "length": self.length}
        kept |= {"input": asdict(self.network.input), "head": self.embedding.head.state_dict()}
        kept["unit"] = self.unit.state_dict()
        buffer = io.BytesIO()
        torch.save(kept, buffer)
        write_atomic(path, lambda f: f.write(buffer.getvalue()))
        return path

    @classmethod
    def load(cls, path: str | Path, weights: str = "") -> Metric:
        """The metric of a saved file; `weights` if the backbone's have moved.

        Raises:
            UserError: no such file; weights that are missing or of another network.
        """
        if not Path(path).is_file():
            raise UserError(f"{path}: no such file; Metric.save makes one.")
        kept = torch.load(path, map_location="cpu", weights_only=True)
        e = Experiment(**kept["experiment"])
        network = backbones.load(e.backbone, weights or e.weights)
        network = replace(network, input=backbones.Input(**kept["input"]))
        return cls._built(e, network, kept["length"], kept["head"], kept["unit"])


def features(run: Run) -> Tensor:
    """f [n, d] of the test images, as the store keeps them."""
    return torch.from_numpy(run.embeddings["f"])


def check(metric: Metric, run: Run, data: ImageSet, most: int = 64) -> float:
    """Largest difference between a metric's f of some test images and the store's.

    Raises:
        UserError: more than rounding: the metric is not the run's, or the images were changed.
    """
    error = (
        metric.embed([data.read(int(i)) for i in data.test[:most]]) - features(run)[:most]
    ).abs()
    if error.max() > 5e-3:
        raise UserError(f"the metric's features differ by {error.max():.1e} from run {run.id}'s.")
    return error.max().item()


def place(run: Run, S: float) -> tuple[float, float]:
    """Shares (0 to 1) of the test images' pairs of one class, and of two, that score below S."""
    h = run.histograms
    h = h[(h["split"] == "test") & (h["ranking"] == "score")]
    below = ((S - h["left"]) / (h["right"] - h["left"])).clip(0, 1)
    return tuple(
        float((below * h[kind]).sum() / h[kind].sum()) for kind in ("positive", "negative")
    )
