"""An experiment is a value: every setting, the paper's letter as default; recipes, profiles."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from .errors import UserError, unknown
from .methods import METHODS, method


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
    mode: str = "finetune"  # "frozen": cached features, head and metric trained; "finetune": all
    crop: int = 0  # side of the network's input in pixels; 0: the network's own, see backbones
    dim: int = 128  # d, the embedding's length
    # batch and length
    batch_size: int = 64  # m = classes x images
    classes: int = 16
    images: int = 4
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
    average: float = 0.0  # decay of the running average of the weights that is evaluated; 0: none
    head_init: str = "random"  # or "pca": principal axes of the training features
    # mining and the double-header loss
    metric_loss: str = "hinge"  # E_m; or "logistic", "binary", "fisher" in its place (Sec. 3.1)
    negatives: str = "hardest"
    positives: str = "all"
    quadruplets: int = 1  # a batch: 1, q, or 0 for every positive pair
    alpha: float = 0.5  # margin of E_m (Eq. 3)
    beta: float = 1.0  # margin of E_e (Eq. 4)
    lam: float = 0.5  # lambda, weight of E_e
    squared: bool = True  # D in E_e is the squared distance
    scale_scores: bool = True  # S scaled into [0, 1] by the range of the scored graph, detached
    range_floor: float = 0.0  # smallest range that scaling divides by
    easy: float = 0.0  # weight in E_m of a random negative beside each hardest one; letter: none
    detach_metric: bool = False  # keep E_m's gradient out of the network
    mine_with_dropout: bool = False
    dropout: float = 0.5  # in the unit
    zero_bias: bool = False  # the unit's biases start at 0 (Caffe) or uniformly (PyTorch)
    # rivals
    contrastive_margin: float = 0.5
    triplet_margin: float = 0.2
    lifted_margin: float = 1.0

    def settings(self) -> dict:
        """The settings that the training depends on: rows that only rank otherwise agree here."""
        s = dataclasses.asdict(self)
        same = (n for n in METHODS if METHODS[n].training == method(self.method).training)
        s["method"] = list(same)[-1]
        if self.mode == "frozen":  # no network is trained: how it would be does not matter
            s |= dict.fromkeys(("backbone_lr", "batch_norm", "bf16", "cuda_graph"))
        return s


# What a recipe changes of the paper's letter; DIFFERENCES.md says why and what each change does.
RECIPES = {
    "letter": {},
    # chosen on held-out training classes of CUB-200 (2010); see DIFFERENCES.md
    "default": dict(
        optimizer="adamw",
        lr=2e-4,
        average=0.99,
        head_init="pca",
        quadruplets=0,
        easy=0.2,
        dropout=0.0,
        beta=0.3,
        lam=4.0,
        triplet_margin=0.1,
        backbone_lr=0.1,
    ),
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
    "no easier pairs": ((_PDDM,), dict(easy=0.0)),
    "dropout 0.5 in the unit": ((_PDDM,), dict(dropout=0.5)),
    "random start of the head": ((_PDDM,), dict(head_init="random")),
    "biases of the unit start at 0": ((_PDDM,), dict(zero_bias=True)),
    "unit learns 5 times faster": ((_PDDM,), dict(metric_lr=5.0)),
    "scores not scaled": ((_PDDM,), dict(scale_scores=False)),
    "beta and lambda of the paper": ((_PDDM,), dict(beta=1.0, lam=0.5)),
    "no gradient of E_m into the head": ((_PDDM,), dict(detach_metric=True)),
    "weights not averaged": ((_PDDM,), dict(average=0.0)),
    "SGD 1e-2 in place of AdamW": ((_PDDM,), dict(optimizer="sgd", lr=1e-2)),
}
# The paper's own discussion (Sec. 3.1 and 4), everything else alike: C11, C12, C13.
ABLATIONS = {
    "without E_e": ((_PDDM,), dict(lam=0.0)),
    "m = 32": ((_PDDM,), dict(batch_size=32, classes=8)),
    "m = 132": ((_PDDM,), dict(batch_size=132, classes=33)),
    "logistic regression": ((_PDDM,), dict(metric_loss="logistic")),
    "binary classification": ((_PDDM,), dict(metric_loss="binary")),
    "Fisher criterion": ((_PDDM,), dict(metric_loss="fisher")),
}
# Length of the embedding (the paper: 128); scoring all pairs costs its square.
SIZES = {f"d = {d}": ((_PDDM, _EUCLIDEAN), dict(dim=d)) for d in (64, 256, 512, 1024)}
# The embedded birds with their knob turned (the paper's hypothesis, Sec. 1): another world, and so
# another data set and no setting. The world as it is, at 0.7, is one more point of the curve.
HETEROGENEITY = {
    f"heterogeneity {h:g}": ((_PDDM, _EUCLIDEAN), dict(data=f"synthetic_birds@{h:g}"))
    for h in (0, 0.25, 0.5, 1)
}
CHANGES = VARIANTS | ABLATIONS | SIZES | HETEROGENEITY
# what --variants takes besides the names themselves
GROUPS = {
    "core": (*tuple(VARIANTS)[:3], *HETEROGENEITY),
    "recipe": tuple(VARIANTS),
    "ablations": tuple(ABLATIONS),
    "sizes": tuple(SIZES),
    "heterogeneity": tuple(HETEROGENEITY),
    "all": tuple(CHANGES),
}

# Profiles differ in scale alone.
PROFILES = {
    "smoke": dict(mode="frozen", steps=20, eval_every=10),
    "quick": dict(mode="frozen", steps=1_000, eval_every=50),
    "paper": dict(mode="finetune", steps=36_000, eval_every=1_000),
}


def apply_to(data: str, changes: dict) -> bool:
    """Whether changes can be made on that data set: those to another world on that world alone."""
    return changes.get("data", f"{data}@").rpartition("@")[0] == data


def make(recipe: str = "default", profile: str = "quick", **changes) -> Experiment:
    """An Experiment: the paper's letter, then the recipe, the profile, and `changes` on top.

    Raises:
        UserError: unknown recipe, profile, method or setting; a value of the wrong type; a batch
            that is not classes x images; and whatever else could not be trained.
    """
    if recipe not in RECIPES:
        raise unknown("recipe", recipe, RECIPES)
    if profile not in PROFILES:
        raise unknown("profile", profile, PROFILES)
    known = {f.name: f.type for f in dataclasses.fields(Experiment)}
    for name in changes:
        if name not in known:
            raise unknown("setting", name, known)
    e = Experiment(**{**RECIPES[recipe], **PROFILES[profile], **changes})
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
    if name not in known:
        raise unknown("setting", name, known)
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
    if e.batch_size != e.classes * e.images:
        raise UserError(
            f"batch size {e.batch_size} is not classes x images = {e.classes} x {e.images} "
            f"= {e.classes * e.images}; make the three agree."
        )
    if e.classes < 2 or e.images < 2:
        raise UserError("a batch needs at least 2 classes and 2 images a class.")
    for name, allowed in (
        ("mode", ("frozen", "finetune")),
        ("optimizer", ("sgd", "adamw")),
        ("head_init", ("random", "pca")),
        ("batch_norm", ("frozen", "train")),
        ("metric_loss", ("hinge", "logistic", "binary", "fisher")),
    ):
        if getattr(e, name) not in allowed:
            raise unknown(name.replace("_", " "), getattr(e, name), allowed)
    for name, low, high in (
        ("holdout", 0, 0.9),
        ("dropout", 0, 0.99),
        ("average", 0, 0.9999),
        ("lr", 0, 10),
        ("momentum", 0, 0.9999),
        ("weight_decay", 0, 10),
        ("metric_lr", 0, 1e4),
        ("backbone_lr", 0, 1e4),
        ("alpha", 0, 100),
        ("easy", 0, 100),
        ("beta", 0, 100),
        ("lam", 0, 1e4),
        ("range_floor", 0, 100),
        ("contrastive_margin", 0, 100),
        ("triplet_margin", 0, 100),
        ("lifted_margin", 0, 100),
    ):
        if not low <= getattr(e, name) <= high:
            raise UserError(f"{name} must be from {low} to {high}, not {getattr(e, name)}.")
    for name in ("dim", "steps", "eval_every", "ranks"):
        if getattr(e, name) < 1:
            raise UserError(f"{name} must be at least 1, not {getattr(e, name)}.")
    for name in ("quadruplets", "seed", "crop"):
        if getattr(e, name) < 0:
            raise UserError(f"{name} must be 0 or more, not {getattr(e, name)}.")
