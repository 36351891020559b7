"""Networks by name, each with its feature length and the input it expects, stated here once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from .errors import UserError, unknown
from .smallnet import SmallNet

SHIPPED = Path(__file__).parent / "weights" / "smallnet_birds_cars.pt"


@dataclass(frozen=True)
class Input:
    """How an image becomes a network's input: warp to resize x resize, crop, then normalise."""

    resize: int
    crop: int
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)  # of RGB in [0, 1]
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)


HALF = (0.5, 0.5, 0.5)  # mean and std that bring [0, 1] to [-1, 1]


@dataclass(frozen=True)
class Backbone:
    """A network that maps [B, 3, crop, crop] to features [B, features], and its input."""

    name: str
    weights: str  # what was loaded, for the record
    net: nn.Module
    features: int
    input: Input


def _torchvision(name: str, last: str) -> Callable[[], tuple[nn.Module, int]]:
    def build() -> tuple[nn.Module, int]:
        from torchvision import models

        extra = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
        net = getattr(models, name)(weights=None, **extra)
        layer = getattr(net, last)
        linear = layer[-1] if isinstance(layer, nn.Sequential) else layer
        return net, linear.in_features

    return build


# name -> (constructor, the classifier that is cut off)
NETWORKS: dict[str, tuple[Callable[[], tuple[nn.Module, int]], str]] = {
    "smallnet": (lambda: (SmallNet(), SmallNet.feature_dim), ""),
    "mobilenet_v2": (_torchvision("mobilenet_v2", "classifier"), "classifier"),
    "googlenet": (_torchvision("googlenet", "fc"), "fc"),
    "resnet18": (_torchvision("resnet18", "fc"), "fc"),
    "resnet50": (_torchvision("resnet50", "fc"), "fc"),
}


def load(name: str, weights: str = "", stored: int = 0) -> Backbone:
    """The network `name` without its classifier, in eval mode.

    Args:
        name: a key of NETWORKS.
        weights: a local file with a state dict; "imagenet" for torchvision's (fetched by it);
            "none" for a random start; "" for smallnet's shipped weights, else "imagenet".
        stored: side of the stored images in pixels where they are smaller than 256, else 0: the
            crop is then scaled down with them.

    Raises:
        UserError: unknown name; a file that is missing, no state dict, or of another network.
    """
    if name not in NETWORKS:
        raise unknown("backbone", name, NETWORKS)
    build, classifier = NETWORKS[name]
    net, features = build()
    weights = weights or (str(SHIPPED) if name == "smallnet" else "imagenet")
    folded = False
    if weights == "imagenet":
        if name == "smallnet":
            raise UserError("smallnet has no ImageNet weights; give a file, 'none', or nothing.")
        state = _imagenet(name)
    elif weights != "none":
        state = _read(Path(weights).expanduser(), name)
        folded = _batch_norm_folded(state)
    if weights != "none":
        _fit(net, state, name, weights, classifier)
    if classifier:
        setattr(net, classifier, nn.Identity())
    if name == "smallnet":
        net_input = Input(64, 64, HALF, HALF)
    else:
        # the field's 256 -> 224, scaled to smaller stored images; 32k + 1 because there the
        # symmetric padding of torchvision equals TensorFlow's at every stride
        crop = -(-max(int(stored * 0.875) - 1, 1) // 32) * 32 + 1 if 0 < stored < 256 else 225
        resize = round(crop * 256 / 224)
        # RGB in [-1, 1] for weights of TensorFlow's release: those with batch norm folded, and
        # torchvision's googlenet, which would otherwise re-normalise its input by itself
        half = folded or name == "googlenet"
        net_input = Input(resize, crop, *((HALF, HALF) if half else ()))
    return Backbone(name, Path(weights).name, net.eval(), features, net_input)


def _imagenet(name: str) -> dict[str, Tensor]:
    from torchvision import models

    try:
        state = models.get_model_weights(name).DEFAULT.get_state_dict(progress=False)
    except Exception as err:  # urllib, OSError, hash mismatch: all mean the same to the user
        raise UserError(
            f"ImageNet weights of {name} could not be fetched ({type(err).__name__}); "
            "give a local file by --weights FILE, or --weights none."
        ) from None
    return {k: v for k, v in state.items() if not k.startswith("aux")}


def _read(path: Path, name: str) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(f"weights {path}: no such file; expected a state dict of {name}.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as err:  # UnpicklingError, zipfile, EOFError, ...
        raise UserError(
            f"weights {path}: not a file of tensors that torch.load(weights_only=True) takes "
            f"({type(err).__name__}); expected a state dict of {name}."
        ) from None
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()
    ):
        raise UserError(f"weights {path}: not a state dict; expected names -> tensors of {name}.")
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}


def _fit(net: nn.Module, state: dict[str, Tensor], name: str, path: str, classifier: str) -> None:
    """Load `state` into `net`; only the classifier, which is cut off, may be missing or differ."""
    own = net.state_dict()
    cut = tuple(f"{classifier}." if c else "" for c in [classifier] if c)
    body = {k: v for k, v in state.items() if not (cut and k.startswith(cut))}
    needed = {k: v for k, v in own.items() if not (cut and k.startswith(cut))}
    needed_names = {k for k in needed if not k.endswith("num_batches_tracked")}
    missing = sorted(needed_names - set(body))
    extra = sorted(set(body) - set(needed))
    differ = [k for k in body if k in needed and body[k].shape != needed[k].shape]
    if missing or extra or differ:
        example = (missing or extra or differ)[0]
        raise UserError(
            f"weights {path} are not of {name}: {len(missing)} tensors missing, {len(extra)} "
            f"unknown, {len(differ)} of another shape (first: {example})."
        )
    net.load_state_dict(body, strict=False)


def _batch_norm_folded(state: dict[str, Tensor]) -> bool:
    var = [v for k, v in state.items() if k.endswith("running_var")]
    mean = [v for k, v in state.items() if k.endswith("running_mean")]
    return bool(var) and all((v == 1).all() for v in var) and all((m == 0).all() for m in mean)
