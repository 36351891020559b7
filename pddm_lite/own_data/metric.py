"""A trained metric taken out of the store: two pictures in, their distance and score out."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from .. import layer
from ..data import ImageSet
from ..data.pictures import open_image
from ..methods import build_similarity, method
from ..networks import backbones, folded
from ..networks.embedding import Embedding
from ..networks.features import RESAMPLE, centre_crop, features_of, normalise
from ..pddm import Similarity
from ..store import saving
from ..store.errors import UserError
from ..training import embedder
from ..training.experiments import Experiment
from ..training.runs import Run

Picture = str | os.PathLike | Image.Image | np.ndarray


def _is_one(pictures: object) -> bool:
    array = isinstance(pictures, np.ndarray) and pictures.ndim < 4
    return array or isinstance(pictures, str | os.PathLike | Image.Image)


def _no_picture(x: object) -> UserError:
    what = type(x).__name__
    if isinstance(x, np.ndarray):
        what = f"array {x.dtype} {list(x.shape)}"
    elif isinstance(x, Tensor):
        what = f"tensor {str(x.dtype).removeprefix('torch.')} {list(x.shape)}"
    return UserError(
        "a picture is a path, a PIL image, or a uint8 array [H, W], [H, W, 3] or [H, W, 4], or "
        f"several a list of these, not {what}."
    )


def _rgb(picture: Picture) -> Image.Image:
    """One picture in RGB; UserError where it is none."""
    if isinstance(picture, np.ndarray):
        fits = picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] in (3, 4))
        if picture.dtype != np.uint8 or not fits or 0 in picture.shape:
            raise _no_picture(picture)
        picture = Image.fromarray(np.ascontiguousarray(picture))
    if isinstance(picture, Image.Image):
        return open_image(picture)
    if not isinstance(picture, str | os.PathLike):
        raise _no_picture(picture)
    path = Path(picture).expanduser()
    if not path.is_file():
        raise UserError(f"{path}: no such file; a picture is a file, a PIL image or an array.")
    return open_image(path)


class Network(nn.Module):
    """Crops [B, 3, crop, crop], normalised as the backbone expects, to f [B, d].

    Args:
        backbone: to features; None where the embedding has it, fine-tuned.
        length: mean length of the training images' features: the unit of all (inputs.py).
    """

    def __init__(self, backbone: nn.Module | None, length: float, embedding: Embedding):
        super().__init__()
        self.backbone, self.length, self.embedding = backbone, length, embedding

    def forward(self, x: Tensor) -> Tensor:
        if self.backbone is not None:
            x = self.backbone(x).half().float()  # rounded as the cache of features is
        return self.embedding(x / self.length)


@dataclass(frozen=True)
class Metric:
    """A network with the head and the unit that were trained on it, in eval mode, on the CPU."""

    experiment: Experiment
    input: backbones.Input
    network: Network
    unit: Similarity

    @classmethod
    def of(cls, run: Run, data: ImageSet, results: str | Path) -> Metric:
        """The metric of a run on `data`, whose weights lie in `results`/runs/<id>/.

        Raises:
            UserError: a fine-tuned run of an older version, that kept no network.
        """
        e = run.experiment
        backbone = embedder.network(e, data)
        if e.mode == "finetune":
            network = Network(None, 1.0, run.model())
        else:
            folder = Path(results) / "features"
            x = torch.from_numpy(features_of(data, backbone, folder, bar=False))
            length = x[torch.from_numpy(data.train)].norm(dim=1).mean().item()
            network = Network(backbone.net, length, run.model())
        return cls(e, backbone.input, network.eval(), run.similarity())

    @torch.no_grad()
    def embed(self, pictures: Picture | Iterable[Picture], batch: int = 64) -> Tensor:
        """f [n, d] of n pictures of any size and mode; [1, d] of a single one.

        Args:
            pictures: one or several, each a path, a PIL image, or a uint8 array [H, W], [H, W, 3]
                (RGB) or [H, W, 4] (RGBA); an array of more axes is several.
            batch: how many are read and embedded at a time; memory grows with it.

        Raises:
            UserError: none of these; no pictures; a file that is missing or no image.
        """
        several = [pictures] if _is_one(pictures) else pictures
        if not isinstance(several, Iterable) or isinstance(several, bytes | dict):
            raise _no_picture(several)
        if batch < 1:
            raise UserError(f"batch must be 1 picture or more, not {batch}.")
        rest, out = iter(several), []
        while part := list(islice(rest, batch)):
            out.append(self.network(self.crops(part)))
        if not out:
            raise UserError("there is no picture to embed: the list is empty.")
        return torch.cat(out)

    def crops(self, pictures: Iterable[Picture]) -> Tensor:
        """The network's input [n, 3, crop, crop] of n pictures, each as `embed` takes it."""
        size, how = (self.input.resize, self.input.resize), RESAMPLE[self.input.interpolation]
        x = np.stack([np.asarray(_rgb(p).resize(size, how)) for p in pictures])
        return normalise(centre_crop(torch.from_numpy(x), self.input.crop), self.input)

    @torch.no_grad()
    def compare(
        self, a: Picture | Sequence[Picture], b: Picture | Sequence[Picture]
    ) -> tuple[float, float] | tuple[Tensor, Tensor]:
        """(Euclidean distance, score S) of two pictures: near is small, alike is large.

        Of two lists of n pictures, pair by pair, two tensors [n]. See `embed` for what a picture
        may be, and for the errors.

        Raises:
            UserError: lists of different lengths, or one picture and a list.
        """
        one = _is_one(a), _is_one(b)
        f, g = self.embed(a), self.embed(b)
        if one[0] != one[1] or len(f) != len(g):
            raise UserError(
                "compare takes two pictures, or two lists of the same length, not "
                f"{len(f)} and {len(g)}."
            )
        D, S = (f - g).norm(dim=1), self.unit(f, g)
        return (D.item(), S.item()) if one[0] else (D, S)

    def export(self) -> tuple[torch.export.ExportedProgram, torch.export.ExportedProgram]:
        """(crops [B, 3, crop, crop] -> f [B, d], two such batches -> S [B]), for any B.

        Programs of torch alone, which run without this kit; see layer.export.
        """
        x = torch.zeros(2, 3, self.input.crop, self.input.crop)
        pairs = layer.PairScore(self.unit, self.network, normalize=False)
        return layer.export(self.network, x), layer.export(pairs, x, x)

    def save(self, path: str | Path) -> Path:
        """One safetensors file: head, unit, settings, and the network where it was trained too.

        A frozen network's weights are not in it: they are read from where they came from, and must
        be the same.
        """
        e, weights = self.experiment, Path(self.experiment.weights).expanduser()
        e = replace(e, weights=str(weights.resolve())) if weights.is_file() else e
        tensors = {f"embedding.{k}": v for k, v in self.network.embedding.state_dict().items()}
        tensors |= {f"unit.{k}": v for k, v in self.unit.state_dict().items()}
        about = {
            "kind": method(e.method).similarity,
            "d": e.embedding_size,
            "dropout": e.dropout,
            "backbone": e.backbone,
            "features": self.network.embedding.head.in_features,
            "length": self.network.length,
            "input": asdict(self.input),
            "experiment": asdict(e),
        }
        if self.network.backbone is not None:
            about["frozen"] = saving.digest(self.network.backbone.state_dict())
        return saving.write(path, "metric", tensors, about)

    @classmethod
    def load(cls, path: str | Path, weights: str = "") -> Metric:
        """The metric of a saved file: the same scores; `weights` if a frozen network's have moved.

        Raises:
            UserError: a file that is missing, torn, edited or of something else; weights that are
                missing, changed, or of another network.
        """
        tensors, about = saving.read(path, "metric")
        known = {f.name for f in dataclasses.fields(Experiment)}
        if set(about["experiment"]) != known:
            odd = sorted(set(about["experiment"]) ^ known)[0]
            raise UserError(f"{path}: of another version of pddm-lite (setting {odd}).")
        e, own = Experiment(**about["experiment"]), backbones.Input(**about["input"])
        frozen = about.get("frozen")
        name = (weights or e.weights) if frozen else "none"
        parts = {
            part: {k.removeprefix(part): v for k, v in tensors.items() if k.startswith(part)}
            for part in ("embedding.", "unit.")
        }
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(0)  # as in training, for a network without weights
            net = backbones.load(e.backbone, name, crop=own.crop).net
            head = about["features"], e.embedding_size
            embedding = Embedding(*head, None if frozen else net, method(e.method).free, e.bf16)
            unit = build_similarity(e, classes=len(parts["unit."].get("W", ())))
        if frozen and saving.digest(net.state_dict()) != frozen:
            raise UserError(f"{path}: made with other weights of {e.backbone} than {name}.")
        what = f"{about['kind']} of length {e.embedding_size} on {e.backbone}"
        saving.fill(embedding, parts["embedding."], path, what)
        saving.fill(unit, parts["unit."], path, what)
        if not frozen:
            folded.quick(net)  # as in training, so that the bits agree
        network = Network(net if frozen else None, about["length"], embedding)
        return cls(e, own, network.eval(), unit.eval())


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
