"""Networks by name, each with its feature length and the input it expects, stated here once.

torchvision and timm build the networks and fetch weights. Their own transforms are not used: they
take one picture at a time, keep its aspect, and know no smaller crop for small pictures.
"""

from __future__ import annotations

import difflib
import logging
import sys
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ..store.errors import UserError, unknown
from . import latents
from .smallnet import WEIGHTS as SHIPPED
from .smallnet import SmallNet


@dataclass(frozen=True)
class Input:
    """How an image becomes a network's input: warp to resize x resize, crop, then normalise."""

    resize: int  # pixels
    crop: int  # pixels
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)  # of RGB in [0, 1]
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    # of the warp; not in the repr, which names the caches of features, as the network decides it
    interpolation: str = field(default="bilinear", repr=False)


HALF = (0.5, 0.5, 0.5)  # mean and std that bring [0, 1] to [-1, 1]
TORCHVISION = Input(256, 224)
# Weights of TensorFlow's release, known by their folded batch norm: RGB in [-1, 1], and a side of
# 32k + 1, as there torchvision's symmetric padding equals TensorFlow's at every stride.
TENSORFLOW = Input(257, 225, HALF, HALF)

# name -> (the classifier that is cut off, the input of its own weights)
NETWORKS: dict[str, tuple[str, Input]] = {
    "smallnet": ("", Input(64, 64, HALF, HALF)),
    "latents": ("", Input(1, 1)),  # sees no picture, see latents.py
    "alexnet": ("classifier.6", TORCHVISION),  # CaffeNet's kin; fc7, 4096-d
    "mobilenet_v2": ("classifier", TORCHVISION),
    # torchvision's weights were ported from TensorFlow and want [-1, 1]; torchvision itself hides
    # that by transform_input. The paper's are those of Caffe (BVLC GoogLeNet), with crops of 227.
    "googlenet": ("fc", replace(TORCHVISION, mean=HALF, std=HALF)),
    "resnet18": ("fc", TORCHVISION),
    "resnet50": ("fc", TORCHVISION),
}
TIMM = "timm:"  # before the name of any timm model


@dataclass(frozen=True)
class Backbone:
    """A network that maps [B, 3, crop, crop] to features [B, features], and its input."""

    name: str
    weights: str  # what was loaded, for the record
    net: nn.Module
    features: int
    input: Input


def check(name: str) -> None:
    """UserError unless `name` is a key of NETWORKS, or "timm:" and a model that timm has."""
    if not name.startswith(TIMM):
        if name not in NETWORKS:
            raise unknown("backbone", name, [*NETWORKS, f"{TIMM}NAME"])
        return
    try:
        import timm
    except ImportError:
        raise UserError(f"{name} needs timm: pip install 'pddm-lite[timm]'.") from None
    model = name.removeprefix(TIMM)
    known = timm.list_pretrained() if "." in model else timm.list_models()  # "resnet18.a1_in1k"
    if model not in known:
        stem = model.partition(".")[0].lower()
        near = sorted((n for n in known if stem and stem in n), key=lambda n: n.find(stem))
        near = near or difflib.get_close_matches(stem, timm.list_models(), cutoff=0.4)
        hint = f"nearest: {', '.join(near[:3])}" if near else "timm.list_models() lists them"
        raise UserError(f"unknown timm model '{model}'; {hint}.")


def load(name: str, weights: str = "", stored: int = 0, crop: int = 0) -> Backbone:
    """The network `name` without its classifier, in eval mode.

    Args:
        name: a key of NETWORKS, or "timm:NAME" for a model of timm (an optional package). Of
            "latents" the network is the hidden layer that mode finetune trains on them.
        weights: a local file with a state dict; "imagenet" for torchvision's or timm's default
            (fetched by it); a name of torchvision's, as in "IMAGENET1K_V1"; "none" for a random
            start; "" for smallnet's shipped weights, else "imagenet".
        stored: typical shorter side of the stored images in pixels (ImageSet.side), 0 if unknown:
            where they are small the network's own crop (256 -> 224 in the field) is scaled down
            with them.
        crop: side of the crop in pixels; 0 for the network's own, scaled as above.

    Raises:
        UserError: unknown name or weights; timm not installed; a file that is missing, no state
            dict, or of another network; weights that cannot be fetched; a crop that the network
            cannot take.
    """
    check(name)
    if isinstance(crop, bool) or not isinstance(crop, int) or crop < 0:
        raise UserError(f"crop must be a number of pixels, or 0 for the own one, not {crop!r}.")
    if name == latents.NAME:
        if weights not in ("", "none"):
            raise UserError(f"{name} has no weights to load, so none such as '{weights}'.")
        return Backbone(name, "none", latents.Hidden().eval(), latents.WIDTH, NETWORKS[name][1])
    weights = weights or (str(SHIPPED) if name == "smallnet" else "imagenet")
    net, own = (_of_timm if name.startswith(TIMM) else _of_networks)(name, weights)
    net.eval()
    net_input = _scaled(own, stored, crop, _step(name, net))
    features = _features(net, name, net_input.crop, own.crop)
    return Backbone(name, Path(weights).name, net, features, net_input)


def _of_networks(name: str, weights: str) -> tuple[nn.Module, Input]:
    """A network of NETWORKS without its classifier, and its input."""
    classifier, own = NETWORKS[name]
    if name == "smallnet":
        net, known = SmallNet(), {}
    else:
        from torchvision import models

        extra = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
        net, enum = models.get_model(name, weights=None, **extra), models.get_model_weights(name)
        known = {"imagenet": enum.DEFAULT, **{w.name: w for w in enum}}
    if weights == "none":
        state = None
    elif weights in known:
        try:
            state = dict(known[weights].get_state_dict(progress=False))
        except Exception as err:  # urllib, OSError, hash mismatch: all mean the same to the user
            raise _unfetched(name, err) from None
    elif weights == "imagenet":
        raise UserError("smallnet has no ImageNet weights; give a file, 'none', or nothing.")
    else:
        state = _read(Path(weights).expanduser(), name, [*known, "none"])
    if state is not None:
        _fit(net, state, name, weights, classifier)
    if classifier:
        net.set_submodule(classifier, nn.Identity())
        if state is not None and _batch_norm_folded(state):
            own = TENSORFLOW
    return net, own


def _of_timm(name: str, weights: str) -> tuple[nn.Module, Input]:
    """A model of timm without its classifier, and its input."""
    import timm

    # a fetch that fails is the one line below, not a dozen about its retries
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        net = timm.create_model(
            name.removeprefix(TIMM), pretrained=weights == "imagenet", num_classes=0
        )
    except Exception as err:
        if weights == "imagenet":
            raise _unfetched(name, err) from None
        raise UserError(f"timm cannot build {name} without a classifier: {_first(err)}.") from None
    if weights not in ("imagenet", "none"):
        state = _read(Path(weights).expanduser(), name, ["imagenet", "none"])
        # releases such as DINOv2's have other names than timm's; of another network, _fit says so
        convert = getattr(sys.modules[type(net).__module__], "checkpoint_filter_fn", None)
        with suppress(Exception):
            state = convert(state, net) if convert else state
        cut = net.pretrained_cfg.get("classifier") or ()
        _fit(net, state, name, weights, *((cut,) if isinstance(cut, str) else cut))
    config = timm.data.resolve_model_data_config(net)
    side = config["input_size"][-1]
    return net, Input(_resize(side), side, config["mean"], config["std"], config["interpolation"])


def _resize(crop: int) -> int:
    return round(crop * 256 / 224)  # the field's, for every network


def _patch(net: nn.Module) -> int:
    """The crop must be a multiple of this: the patch where timm can change the size, else 1."""
    if not hasattr(net, "set_input_size"):
        return 1
    patch = getattr(getattr(net, "patch_embed", None), "patch_size", 32)
    return patch if isinstance(patch, int) else patch[0]


def _step(name: str, net: nn.Module) -> int:
    """By how many pixels the own crop may be made smaller for small images; 0: not at all."""
    if _patch(net) > 1:
        return _patch(net)
    fixed = name == "smallnet" or getattr(net, "pretrained_cfg", {}).get("fixed_input_size")
    return 0 if fixed else 32  # 32: the stride of the field's networks


def _scaled(own: Input, stored: int, crop: int, step: int) -> Input:
    """`own` with the crop given, or else the smallest that keeps 7/8 of a shorter side `stored`."""
    if not crop:
        spare = own.crop - max(int(stored * 0.875), 2)
        if stored <= 0 or step == 0 or spare < step:
            return own
        crop = own.crop - spare // step * step
    return replace(own, crop=crop, resize=_resize(crop))


def _features(net: nn.Module, name: str, crop: int, own: int) -> int:
    """The length of the features, by a forward; UserError if the network cannot take the crop."""
    patch = _patch(net)
    try:
        if crop % patch:
            near = -(-crop // patch) * patch
            raise ValueError(f"no multiple of the patch of {patch} px, as {near} is")
        if patch > 1:
            net.set_input_size(img_size=crop)
        with torch.no_grad():
            out = net(torch.zeros(1, 3, crop, crop))
    except Exception as err:  # RuntimeError, AssertionError, ...: whatever its layers say
        why = f"crop {crop}: {name} cannot take it ({_first(err)})"
        raise UserError(f"{why}; its own is {own}.") from None
    if out.ndim != 2:
        raise UserError(f"{name} gives no feature vector but {list(out.shape)} for one picture.")
    return out.shape[1]


def _first(err: Exception) -> str:
    """The first line of an error, cut short."""
    return (str(err).strip().splitlines() or [type(err).__name__])[0][:100].rstrip(".")


def _unfetched(name: str, err: Exception) -> UserError:
    return UserError(
        f"weights of {name} could not be fetched ({type(err).__name__}); "
        "give a local file by --weights FILE, or --weights none."
    )


def _read(path: Path, name: str, names: list[str]) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(
            f"weights {path}: no such file; expected a state dict of {name}, or one of "
            f"{', '.join(names)}."
        )
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as err:  # UnpicklingError, zipfile, EOFError, ...
        raise UserError(
            f"weights {path}: not a file of tensors that torch.load(weights_only=True) or "
            f"safetensors takes ({type(err).__name__}); expected a state dict of {name}."
        ) from None
    state = _unwrapped(state)
    if not isinstance(state, dict) or not all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()
    ):
        raise UserError(f"weights {path}: not a state dict; expected names -> tensors of {name}.")
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}


# under which a training loop's checkpoint keeps the weights, and what wrappers put before names
INSIDE = ("state_dict", "model_state_dict", "model", "network", "net")
BEFORE = ("module.", "_orig_mod.", "model.")  # DistributedDataParallel, torch.compile, Lightning


def _unwrapped(state: object) -> object:
    """The state dict within a checkpoint, its names without the prefix that a wrapper gave all."""
    while isinstance(state, dict):
        inner = [state[k] for k in INSIDE if isinstance(state.get(k), dict)]
        prefix = [p for p in BEFORE if state and all(str(k).startswith(p) for k in state)]
        if inner:
            state = inner[0]
        elif prefix:
            state = {k.removeprefix(prefix[0]): v for k, v in state.items()}
        else:
            return state
    return state


def _fit(net: nn.Module, state: dict[str, Tensor], name: str, path: str, *cut: str) -> None:
    """Load `state` into `net`; only the classifier, which is cut off, may be missing or differ."""
    # googlenet's auxiliary classifiers serve its training from scratch and were never built
    dropped = tuple(f"{c}." for c in (*cut, "aux1", "aux2") if c)
    body, own = {k: v for k, v in state.items() if not k.startswith(dropped)}, net.state_dict()
    differ = [k for k in body if k in own and body[k].shape != own[k].shape]
    fits = {k: v for k, v in body.items() if k not in differ}
    missing, extra = net.load_state_dict(fits, strict=False)
    missing = [k for k in missing if not k.startswith(dropped) and k not in differ]
    if missing or extra or differ:
        raise UserError(
            f"weights {path} are not of {name}: {len(missing)} tensors missing, {len(extra)} "
            f"unknown, {len(differ)} of another shape (first: {[*missing, *extra, *differ][0]})."
        )


def _batch_norm_folded(state: dict[str, Tensor]) -> bool:
    var = [v for k, v in state.items() if k.endswith("running_var")]
    mean = [v for k, v in state.items() if k.endswith("running_mean")]
    return bool(var) and all((v == 1).all() for v in var) and all((m == 0).all() for m in mean)
