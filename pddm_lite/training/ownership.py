"""Whose figures lie in a study's folder: study.json there says it, data and weights by content.

Two folders of images may have the same name, and so may two files of weights: figures, tables and
metrics of the one must not be overwritten by, or shown as, those of the other.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from ..data import SYNTHETIC, fingerprint
from ..store.errors import UserError
from ..store.files import write_text
from .study import Study

FILE = "study.json"
REMEDY = "choose a folder of its own by --name, or move that one away (its runs stay in the store)"


def inputs(study: Study) -> dict[str, str]:
    """What the study reads, by content: data set -> fingerprint, and "weights" of a file of them.

    Embedded sets are left out: their name says all.

    Raises:
        UserError: as `Study.load`.
    """
    real = [name for name in study.data if name.partition("@")[0] not in SYNTHETIC]
    read = {name: study.load(name).fingerprint for name in real}
    weights = Path(study.weights).expanduser()
    if study.weights and weights.is_file():
        read["weights"] = fingerprint(weights.read_bytes())
    return read


def held(study: Study) -> dict | None:
    """What study.json in the study's folder says; None where there is none, or it is torn."""
    try:
        return dict(json.loads((study.folder / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def mark(study: Study) -> None:
    """Write study.json: the folder is this study's from now on."""
    about = {**study.content(), "inputs": inputs(study)}
    write_text(study.folder / FILE, json.dumps(about, indent=1))


def difference(study: Study) -> str:
    """How the study that the folder's figures show differs from this one; "" if it does not."""
    there, own = held(study), study.content()
    if there is None:
        return ""  # none was drawn here yet
    changed = {k: (there[k], own[k]) for k in own if k in there and there[k] != own[k]}
    said = [f"{k} {_said(a)} -> {_said(b)}" for k, (a, b) in changed.items()]
    return "; ".join(filter(None, [*said, other_inputs(study)]))


def other_inputs(study: Study) -> str:
    """How data and weights of the folder's figures differ in content from this study's, or ""."""
    there = held(study)
    return "" if there is None else _changes(there.get("inputs", {}), inputs(study))


def check(study: Study) -> None:
    """Before anything is written to the study's folder: it must not hold figures of other data.

    The first to write marks it as its own. For notebooks, which are executed by hand too.

    Raises:
        UserError: it holds figures of another data set of that name, or of other weights.
    """
    if study.folder.resolve() in Path(study.data_root).resolve().parents:
        return  # a demo's images, painted into the folder itself
    try:
        own = dict(_inputs_once(study))
    except UserError:  # data that are not here: figures of stored runs can be drawn all the same
        return
    there = held(study)
    if there is None:
        mark(study)
        return
    noted = there.get("inputs", {})
    # of a part of the study's data sets a notebook draws too; the weights are always the study's
    part = {k: v for k, v in noted.items() if k in own or k == "weights"}
    if differs := _changes(part, own):
        raise UserError(f"{study.folder} holds figures of other data ({differs}); {REMEDY}.")


@lru_cache(maxsize=8)  # figures come by the dozen
def _inputs_once(study: Study) -> tuple[tuple[str, str], ...]:
    return tuple(inputs(study).items())


def _changes(a: dict[str, str], b: dict[str, str]) -> str:
    """How the content differs of what two studies read, in words."""
    keys = [k for k in {**a, **b} if a.get(k) != b.get(k)]
    return "; ".join(
        f"content of {k} {a.get(k, 'unknown')} -> {b.get(k, 'not read')}" for k in keys
    )


def _said(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text or "default"
