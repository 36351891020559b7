"""A check for each field of a study: what is fit comes back, what is not is one line that says why.

Each function takes what `Study.of` was given for its field and returns what the study holds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

import torch

from ..data import GIVEN
from ..methods import METHODS, method
from ..networks import backbones, latents
from ..store.errors import UserError, unknown
from . import experiments
from .experiments import CHANGES, GROUPS

STANDARD = ("synthetic_birds", "synthetic_cars")  # stand for the two halves of Table 1
# folders of the results that are not a study's
NOT_NAMES = ("runs", "features", "reference", "cost", "transfer", "zero_shot", "bench")
OPTIONS = ("data", "method", "seed", "backbone", "weights", "mode")  # settings with their own
LISTS = ("methods", "variants")
TEXTS = ("backbone", "weights", "mode", "recipe", "name", "device")


def path(given: object) -> str:
    """A path as text, "~" in its beginning read as a shell does: a notebook has no shell."""
    try:
        return os.path.expanduser(str(given))
    except (TypeError, ValueError) as err:
        raise UserError(f"path {given!r:.80} cannot be used ({err}).") from None


def listed(what: str, given: Iterable) -> tuple:
    """A list as a tuple; text is not taken apart into letters."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise UserError(f"{what} must be a list, not {given!r}.")
    return tuple(given)


def options(given: Iterable[str]) -> dict[str, object]:
    """Arguments of `Study.of` by name, of texts such as "mode=finetune" and "methods=A,B"."""
    out: dict[str, object] = {}
    for text in listed("options", given):
        key, equals, value = str(text).partition("=")
        if not equals:
            raise UserError(f"an option is NAME=VALUE, as in 'mode=finetune', not {text!r}.")
        if key not in (*LISTS, *TEXTS):
            raise unknown("option", key, (*LISTS, *TEXTS))
        parts = (part.strip() for part in value.split(","))
        out[key] = [part for part in parts if part] if key in LISTS else value
    return out


def among(what: str, given: str, known: Iterable[str]) -> str:
    """A name out of those that are known."""
    if given not in known:
        raise unknown(what, given, known)
    return given


def once(what: str, given: tuple) -> tuple:
    """Values of which none is named twice."""
    for twice in [v for v in given if given.count(v) > 1][:1]:
        raise UserError(f"{what} {twice!r} is named more than once; name it once.")
    return given


def seeds(given: tuple, profile: str) -> tuple[int, ...]:
    """Integers from 0 to 2^31 - 1; 0, 1, 2 by default, and 0, 1 of profile smoke."""
    for seed in given:
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**31:
            raise UserError(f"a seed must be an integer from 0 to 2147483647, not {seed!r}.")
    return once("seed", given) or ((0, 1) if profile == "smoke" else (0, 1, 2))


def methods(given: tuple) -> tuple[str, ...]:
    """Rows of Table 1; all by default."""
    for row in given:
        method(row)
    return once("method", given) or tuple(METHODS)


def variants(given: tuple) -> tuple[str, ...]:
    """Names of changes, groups of them taken apart."""
    names = tuple(dict.fromkeys(n for v in given for n in GROUPS.get(v, (v,))))
    for name in names:
        if name not in CHANGES:
            raise unknown("variant", name, [*GROUPS, *CHANGES])
    return names


def settings(given: tuple) -> tuple[str, ...]:
    """Texts such as "alpha=0.2", each setting once, and none that has an option of its own."""
    changed = [experiments.parse_setting(text)[0] for text in given]
    for setting in changed:
        if changed.count(setting) > 1:
            raise UserError(f"setting '{setting}' is given more than once; give it once.")
        if setting in OPTIONS:
            raise UserError(f"'{setting}' has an option of its own and is no setting to change.")
    return given


def name(given: str) -> str:
    """A name that may be a folder in the results and is none of the store's own; or ""."""
    fit = re.fullmatch(r"[A-Za-z0-9][\w.-]*", given, re.ASCII) if given else True
    if not fit or given in NOT_NAMES:
        raise UserError(
            f"name '{given}' cannot be a study's folder: use letters, digits, '.', '_' and '-', "
            f"a letter or digit first, and none of {', '.join(NOT_NAMES)}."
        )
    return given


def data(given: tuple) -> tuple[str, ...]:
    """Names of data sets, the synthetic birds and cars by default.

    Files are named of a folder's name: none may lead out of the results.
    """
    for d in once("data set", given):
        inner = d.partition(":")[2]
        if inner in (".", "..") or not inner.isprintable() or {*"/\\"} & {*d}:
            raise UserError(
                f"data set {d!a}: NAME in folder:NAME is a folder or zip right in --data-root; "
                "of a deeper one give the folder around it as --data-root."
            )
    return given or STANDARD


def backbone(given: str, data: tuple[str, ...], weights: str) -> str:
    """A network that can read all of the data, with weights that know them.

    By default smallnet for synthetic data, latents for worlds without pictures, else googlenet.
    """
    kinds = [d.partition("@")[0] for d in data]
    synthetic = all(k in STANDARD for k in kinds)
    if not given:
        blind = all(k in GIVEN for k in kinds)
        given = latents.NAME if blind else "smallnet" if synthetic else "googlenet"
    backbones.check(given)
    for d in data:
        latents.check(given, d)
    if given == "smallnet" and not synthetic and not weights:
        raise UserError(
            "smallnet's shipped weights know the synthetic world alone; for real data give "
            "--backbone, or --weights none to train it from scratch."
        )
    return given


def device(given: str) -> str:
    """ "cpu", "cuda" or "cuda:1", if it is there; by default a GPU where there is one."""
    given = given or ("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = given.partition(":")
    there = ["cpu", "cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if kind not in ("cpu", "cuda") or (number and not number.isdecimal()):
        raise UserError(f"device must be cpu, cuda or cuda:1 and so on, not {given!r}.")
    if kind == "cuda" and (not torch.cuda.is_available() or given not in there):
        gpus = torch.cuda.device_count()
        raise UserError(
            f"device {given} is not there: torch sees {gpus} GPUs; give --device cpu, or nothing."
        )
    return given
