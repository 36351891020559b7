"""A metric in one safetensors file with its settings, checked when read."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from ..pddm import PDDM, SIMILARITIES, Similarity
from .errors import UserError
from .files import write_atomic

VERSION = 1  # of what is in the file
KEY = "pddm_lite"  # of the header's metadata; one key, so that the same metric is the same bytes


def digest(tensors: dict[str, Tensor], settings: dict | None = None) -> str:
    """sha256 of settings and of the tensors' names, types, shapes and values."""
    h = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name, t in sorted(tensors.items()):
        h.update(f"{name} {t.dtype} {list(t.shape)}\n".encode())
        h.update(t.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return h.hexdigest()


def write(path: str | Path, holds: str, tensors: dict[str, Tensor], settings: dict) -> Path:
    """One file of tensors and JSON settings; `holds` says of what, for `read` to check."""
    tensors = {k: t.detach().cpu().contiguous() for k, t in tensors.items()}
    about = {"version": VERSION, "holds": holds, **settings}
    about |= {"sha256": digest(tensors, about)}
    data = safetensors.torch.save(tensors, {KEY: json.dumps(about)})
    write_atomic(Path(path), lambda f: f.write(data))
    return Path(path)


def read(path: str | Path, holds: str) -> tuple[dict[str, Tensor], dict]:
    """(tensors, settings) of a file that `write` made with the same `holds`.

    Raises:
        UserError: no such file; torn, edited, of a newer version, or of something else.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file.")
    try:
        with safetensors.safe_open(path, "pt") as f:
            text = (f.metadata() or {}).get(KEY)
            tensors = {k: f.get_tensor(k) for k in f.keys()}
        about = json.loads(text) if text else {}
    except (safetensors.SafetensorError, ValueError) as err:
        raise UserError(
            f"{path}: torn, or no safetensors file ({str(err).splitlines()[0]:.80})."
        ) from None
    if about.get("holds") != holds:
        found = f"holds a {about['holds']}" if "holds" in about else "was not made by pddm-lite"
        raise UserError(f"{path}: should hold a {holds}, but {found}.")
    if about.get("version") != VERSION:
        raise UserError(
            f"{path}: of version {about.get('version')}; this pddm-lite reads version {VERSION}."
        )
    if about.pop("sha256", "") != digest(tensors, about):
        raise UserError(f"{path}: was changed after it was saved (checksum); save it again.")
    return tensors, about


def settings_of(unit: Similarity) -> dict:
    """{"kind": key of SIMILARITIES, "d", "dropout"}: what builds such a unit again; d 0: any."""
    kind = next((k for k, cls in SIMILARITIES.items() if type(unit) is cls), "")
    if not kind:
        known = ", ".join(SIMILARITIES)
        raise UserError(f"a {type(unit).__name__} cannot be saved; known: {known}.")
    layer = next((m for m in unit.modules() if isinstance(m, nn.Linear)), None)
    dropout = unit.dropout.p if isinstance(unit, PDDM) else 0.0
    return {"kind": kind, "d": layer.in_features if layer else 0, "dropout": dropout}


def save_unit(path: str | Path, unit: Similarity) -> Path:
    """One file of a unit alone, for `load_unit`; a network and a head are saved by Metric.save."""
    return write(path, "unit", unit.state_dict(), settings_of(unit))


def load_unit(path: str | Path) -> Similarity:
    """The unit of a file by `save_unit`, in eval mode: the same scores bit for bit.

    Raises:
        UserError: as `read`; a kind that is not known, tensors that do not fit the settings.
    """
    tensors, about = read(path, "unit")
    kind, d, dropout = about["kind"], about["d"], about["dropout"]
    if kind not in SIMILARITIES:
        raise UserError(f"{path}: kind '{kind}'; known: {', '.join(SIMILARITIES)}.")
    cls = SIMILARITIES[kind]
    unit = cls(d, dropout) if issubclass(cls, PDDM) else cls(d) if d else cls()
    fill(unit, tensors, path, f"{kind} of length {d}")
    return unit.eval()


def fill(module: nn.Module, tensors: dict[str, Tensor], path: str | Path, what: str) -> None:
    """Load `tensors` into `module`; UserError in one line where they are not those of `what`."""
    try:
        module.load_state_dict(tensors)
    except RuntimeError as err:  # its text lists every tensor
        first = str(err).strip().splitlines()[1:2] or [""]
        raise UserError(f"{path}: not the tensors of {what} ({first[0].strip():.90}).") from None
