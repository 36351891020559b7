"""An experiment is a value: every setting, the paper's letter as default; recipes, profiles."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from ..methods import METHODS, method
from ..store.errors import UserError, unknown


@dataclass(frozen=True)
class Experiment:
    """All that decides a run's numbers. The defaults are the paper's letter (Sec. 3.3).

    Use `make` to build one: it applies a recipe and a profile and checks the whole.
    """

    data: str
    method: str = "PDDM+Quadruplet"
    seed: int = 0
    backbone: str = "googlenet"
    weights: str = ""  # a local file, "imagenet" (torchvision's), "none", or "" for the default
    # "frozen": cached features, head and metric train; "finetune": all; "metric": the metric alone
    mode: str = "finetune"
    crop: int = 0  # side of the network's input in pixels; 0: the network's own, see backbones
    embedding_size: int = 128  # d
    # batch and length
    batch_size: int = 64  # m = classes_per_batch x samples_per_class
    classes_per_batch: int = 16
    samples_per_class: int = 4
    steps: int = 36_000  # 400 epochs of CUB-200-2011's 5,864 images at m = 64
    eval_every: int = 1_000
    holdout: float = 0.2  # share of the training classes that choose the step reported; 0: the last
    # optimisation
    optimizer: str = "sgd"  # or "adamw"
    lr: float = 1e-4
    momentum: float = 0.9
    weight_decay: float = 5e-4  # gamma, on weights and not on biases
    metric_lr: float = 1.0  # the unit's learning rate over that of the head
    backbone_lr: float = 1.0  # the network's learning rate over that of the head (finetune)
    batch_norm: str = "frozen"  # finetune: keep the pretrained statistics, or "train"
    bf16: bool = False  # finetune: the network in bfloat16 (autocast); head and metric in float32
    cuda_graph: bool = False  # finetune on a GPU: replay the network as a graph (same numbers)
    ranks: int = 1  # processes under torchrun, each with a batch of its own, gradients averaged
    ema_decay: float = 0.0  # decay of the running average of the weights that is evaluated; 0: none
    # or "pca": principal axes of the training features; "identity": the features as they are
    head_init: str = "random"
    # mining and the double-header loss
    metric_loss: str = "hinge"  # E_m; or "logistic", "binary", "fisher" in its place (Sec. 3.1)
    negatives: str = "hardest"  # as Eq. 3, or "semihard", see mining.hard_quadruplets
    quadruplets: int = 1  # a batch: 1, q, or 0 for every positive pair
    alpha: float = 0.5  # margin of E_m (Eq. 3)
    beta: float = 1.0  # margin of E_e (Eq. 4)
    lam: float = 0.5  # lambda, weight of E_e
    squared: bool = True  # D in E_e is the squared distance
    scale_scores: bool = True  # S scaled into [0, 1] by the range of the scored graph, detached
    range_floor: float = 0.0  # smallest range that scaling divides by
    random_negative_weight: float = 0.0  # in E_m, of a random negative beside each mined one
    detach_metric: bool = False  # keep E_m's gradient out of the network
    mine_with_dropout: bool = False
    dropout: float = 0.5  # in the unit
    zero_bias: bool = False  # the unit's biases start at 0 (Caffe) or uniformly (PyTorch)
    # rivals
    contrastive_margin: float = 0.5
    triplet_margin: float = 0.2
    lifted_margin: float = 1.0
    contrastive_pairs_margin: float = 1.0  # Song's; of "Contrastive (random pairs)"
    given_triplets_margin: float = 1.0  # Song's; of "Triplet (random)"

    def settings(self) -> dict:
        """The settings that the training depends on: rows that only rank otherwise agree here.

        A setting that came later is left out where it has the value at which it changes nothing
        (`later`), so that older runs keep their names.
        """
        s = dataclasses.asdict(self)
        for field in dataclasses.fields(self):
            if "silent" in field.metadata and s[field.name] == field.metadata["silent"]:
                del s[field.name]
        own = method(self.method)
        s["method"] = own.training
        if own.free and self.mode == "finetune":
            s["method"] += (2,)  # version: since then its head takes features of unit length
        if self.mode != "finetune":  # no network is trained: how it would be does not matter
            s |= dict.fromkeys(("backbone_lr", "batch_norm", "bf16", "cuda_graph"))
        return s


def later(value, silent=None):
    """A new setting with its default, for a field of Experiment; at `silent`, else the default, it
    changes nothing."""
    silent = value if silent is None else silent
    return dataclasses.field(default=value, metadata={"silent": silent})


# settings that had another name in version 0.1
RENAMED = {
    "dim": "embedding_size",
    "classes": "classes_per_batch",
    "images": "samples_per_class",
    "average": "ema_decay",
    "easy": "random_negative_weight",
}


@cache
def _tell(name: str) -> None:  # once
    print(f"setting {name} is now called {RENAMED[name]}", file=sys.stderr)


def current(name: str, known: Iterable[str]) -> str:
    """The name of a setting today; an old one still works and says on stderr what it is now.

    Raises:
        UserError: no setting of that name.
    """
    if name in RENAMED:
        _tell(name)
        return RENAMED[name]
    if name not in known:
        raise unknown("setting", name, known)
    return name


# What a recipe changes of the paper's letter; DIFFERENCES.md says why and what each change does.
RECIPES = {
    "letter": {},
    # each kept by held-out training classes alone (benchmarks/search.py); see DIFFERENCES.md
    "default": dict(
        optimizer="adamw",
        lr=2e-4,
        head_init="pca",
        quadruplets=0,
        negatives="semihard",
        dropout=0.0,
    ),
    # The given space: scores as they are, random negatives as heavy as the mined ones; what counts
    # is the overlap, so the length is fixed, and no step is chosen by Recall@1.
    "given": dict(
        optimizer="adamw",
        lr=3e-3,
        ema_decay=0.99,
        head_init="pca",
        quadruplets=0,
        random_negative_weight=1.0,
        scale_scores=False,
        dropout=0.0,
        beta=0.3,
        lam=4.0,
        holdout=0.0,
        triplet_margin=0.1,
        backbone_lr=0.1,
    ),
}
# What a row has of its own in a recipe, chosen on held-out classes (DIFFERENCES 8). The trials of
# `given` are made by `python -m pddm_lite.paper.given_space.features --choose`.
ROW_CHANGES = {
    "default": {
        "Contrastive": dict(contrastive_margin=0.3),
        "Contrastive (random pairs)": dict(contrastive_pairs_margin=0.3, lr=5e-4),
        "Triplet (random)": dict(given_triplets_margin=0.1, lr=5e-4),
    },
    "given": {
        "Mahalanobis score": dict(lr=1e-3),
        "Euclidean+Quadruplet": dict(negatives="semihard"),
    },
}

# One change at a time of the default recipe, to see what each is worth: (methods, changes).
_PDDM, _EUCLIDEAN = "PDDM+Quadruplet", "Euclidean+Quadruplet"
_LETTER = {f.name: f.default for f in dataclasses.fields(Experiment)}
VARIANTS = {
    "1 quadruplet": ((_PDDM, _EUCLIDEAN), dict(quadruplets=1)),
    "16 quadruplets": ((_PDDM, _EUCLIDEAN), dict(quadruplets=16)),
    "the paper's letter": (
        (_PDDM,),
        {k: _LETTER[k] for k in RECIPES["default"]},
    ),
    "hardest negatives": ((_PDDM, _EUCLIDEAN), dict(negatives="hardest")),
    "dropout 0.5 in the unit": ((_PDDM,), dict(dropout=0.5)),
    "random start of the head": ((_PDDM,), dict(head_init="random")),
    "SGD 1e-2 in place of AdamW": ((_PDDM,), dict(optimizer="sgd", lr=1e-2)),
    "scores not scaled": ((_PDDM,), dict(scale_scores=False)),
    "random negatives beside the mined": ((_PDDM,), dict(random_negative_weight=0.2)),
    "weights averaged": ((_PDDM,), dict(ema_decay=0.99)),
    "beta 0.1, lambda 4": ((_PDDM,), dict(beta=0.1, lam=4.0)),
}
# The paper's own discussion (Sec. 3.1 and 4), everything else alike: C11, C12, C13.
ABLATIONS = {
    "without E_e": ((_PDDM,), dict(lam=0.0)),
    "m = 32": ((_PDDM,), dict(batch_size=32, classes_per_batch=8)),
    "m = 132": ((_PDDM,), dict(batch_size=132, classes_per_batch=33)),
    "logistic regression": ((_PDDM,), dict(metric_loss="logistic")),
    "binary classification": ((_PDDM,), dict(metric_loss="binary")),
    "Fisher criterion": ((_PDDM,), dict(metric_loss="fisher")),
}
# Length of the embedding (the paper: 128); scoring all pairs costs its square.
SIZES = {f"d = {d}": ((_PDDM, _EUCLIDEAN), dict(embedding_size=d)) for d in (64, 256, 512, 1024)}
# The synthetic birds with their knob turned (the paper's hypothesis, Sec. 1): another world, and so
# another data set and no setting. The world as it is, at 0.7, is one more point of the curve.
HETEROGENEITY = {
    f"heterogeneity {h:g}": ((_PDDM, _EUCLIDEAN), dict(data=f"synthetic_birds@{h:g}"))
    for h in (0, 0.25, 0.5, 1)
}
# The given space (given.py) at places of the knob; its ends are in the default study.
GIVEN_SPACE = {f"given space {h:g}": h for h in (0.0, 0.25, 0.5, 0.7, 1.0)}
CHANGES = VARIANTS | ABLATIONS | SIZES | HETEROGENEITY
CHANGES |= {
    name: ((_PDDM,), dict(data=f"given_birds@{h:g}", backbone="latents"))
    for name, h in GIVEN_SPACE.items()
}
# what --variants takes besides the names themselves
GROUPS = {
    "core": ("hardest negatives", "the paper's letter", "given space 0", "given space 1"),
    "recipe": tuple(VARIANTS),
    "ablations": tuple(ABLATIONS),
    "sizes": tuple(SIZES),
    "heterogeneity": tuple(HETEROGENEITY),
    "given": tuple(GIVEN_SPACE),
    "all": tuple(CHANGES),
}

# Profiles differ in scale alone.
PROFILES = {
    "smoke": dict(mode="frozen", steps=20, eval_every=10),
    "quick": dict(mode="frozen", steps=500, eval_every=25),
    "paper": dict(mode="finetune", steps=36_000, eval_every=1_000),
}


def apply_to(data: str, changes: dict) -> bool:
    """Whether changes can be made on that data set: those to another world on that world alone."""
    return changes.get("data", f"{data}@").rpartition("@")[0] == data


def make(recipe: str = "default", profile: str = "quick", **changes) -> Experiment:
    """An Experiment: the paper's letter, then the recipe and what the row changes of it, the
    profile, and `changes` on top.

    Raises:
        UserError: unknown recipe, profile, method or setting; a value of the wrong type; a batch
            that is not classes x images; and whatever else could not be trained.
    """
    if recipe not in RECIPES:
        raise unknown("recipe", recipe, RECIPES)
    if profile not in PROFILES:
        raise unknown("profile", profile, PROFILES)
    known = [f.name for f in dataclasses.fields(Experiment)]
    changes = {current(name, known): value for name, value in changes.items()}
    own = ROW_CHANGES.get(recipe, {}).get(changes.get("method", Experiment.method), {})
    scale = {**PROFILES[profile], **changes}
    if recipe == "default" and scale["mode"] == "finetune":  # the rate was a frozen head's
        own = {k: v for k, v in own.items() if k != "lr"}
    e = Experiment(**{**RECIPES[recipe], **own, **scale})
    check(e)
    return e


def parse_setting(text: str) -> tuple[str, object]:
    """("alpha", 0.2) of "alpha=0.2", in the setting's own type.

    Raises:
        UserError: no "=", an unknown setting, or a value of another type.
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    known = {f.name: f.type for f in dataclasses.fields(Experiment)}
    if not equals:
        raise UserError(f"a setting is written NAME=VALUE, as in alpha=0.2, not '{text}'.")
    name = current(name, known)
    kind = known[name]
    try:
        if kind == "bool":
            return name, {"true": True, "false": False}[value.lower()]
        return name, {"str": str, "int": int, "float": float}[kind](value)
    except (ValueError, KeyError):
        raise UserError(f"setting {name} must be {kind}, not '{value}'.") from None


def check(e: Experiment) -> None:
    """Raise UserError at the first setting that makes no sense."""
    types = {"str": str, "int": int, "float": (int, float), "bool": bool}
    for field in dataclasses.fields(e):
        value = getattr(e, field.name)
        wrong_bool = isinstance(value, bool) and field.type != "bool"
        if wrong_bool or not isinstance(value, types[field.type]):
            raise UserError(f"setting {field.name} must be {field.type}, not {value!r}.")
    method(e.method)
    if e.batch_size != e.classes_per_batch * e.samples_per_class:
        raise UserError(
            f"batch size {e.batch_size} is not classes_per_batch x samples_per_class = "
            f"{e.classes_per_batch} x {e.samples_per_class} = "
            f"{e.classes_per_batch * e.samples_per_class}; make the three agree."
        )
    if e.classes_per_batch < 2 or e.samples_per_class < 2:
        raise UserError("a batch needs at least 2 classes and 2 images a class.")
    for name, allowed in (
        ("mode", ("frozen", "finetune", "metric")),
        ("optimizer", ("sgd", "adamw")),
        ("head_init", ("random", "pca", "identity")),
        ("batch_norm", ("frozen", "train")),
        ("negatives", ("hardest", "semihard")),
        ("metric_loss", ("hinge", "logistic", "binary", "fisher")),
    ):
        if getattr(e, name) not in allowed:
            raise unknown(name.replace("_", " "), getattr(e, name), allowed)
    for name, low, high in (
        ("holdout", 0, 0.9),
        ("dropout", 0, 0.99),
        ("ema_decay", 0, 0.9999),
        ("lr", 0, 10),
        ("momentum", 0, 0.9999),
        ("weight_decay", 0, 10),
        ("metric_lr", 0, 1e4),
        ("backbone_lr", 0, 1e4),
        ("alpha", 0, 100),
        ("random_negative_weight", 0, 100),
        ("beta", 0, 100),
        ("lam", 0, 1e4),
        ("range_floor", 0, 100),
        ("contrastive_margin", 0, 100),
        ("triplet_margin", 0, 100),
        ("lifted_margin", 0, 100),
        ("contrastive_pairs_margin", 0, 100),
        ("given_triplets_margin", 0, 100),
    ):
        if not low <= getattr(e, name) <= high:
            raise UserError(f"{name} must be from {low} to {high}, not {getattr(e, name)}.")
    if e.mode == "metric" and method(e.method).loss != "quadruplet":
        rows = [name for name, m in METHODS.items() if m.loss == "quadruplet"]
        raise UserError(
            f"mode metric trains the similarity alone, and {e.method} has none to learn; "
            f"choose among {', '.join(rows)}."
        )
    if e.backbone == "latents":
        from ..networks import (
            latents,  # needs the data sets, and the loss in a loop of one's own does not
        )

        latents.check(e.backbone, e.data)
    for name in ("embedding_size", "steps", "eval_every", "ranks"):
        if getattr(e, name) < 1:
            raise UserError(f"{name} must be at least 1, not {getattr(e, name)}.")
    for name in ("quadruplets", "seed", "crop"):
        if getattr(e, name) < 0:
            raise UserError(f"{name} must be 0 or more, not {getattr(e, name)}.")
