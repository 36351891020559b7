"""What each figure, table and executed notebook was made of: runs, settings, commit, machine.

The record is kept once, in the metadata of the executed notebook, and goes where that goes: it
names the figures and tables that the notebook wrote, so that each of them is found by its path.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..store.errors import UserError, unknown
from ..store.store import environment

KEY = "pddm_lite"  # in the notebook's metadata
KINDS = ("figures", "tables", "notebooks")
MADE = ("commit", "changed", "python", "torch", "numpy", "platform", "cpu", "cores", "gpu")
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Known:
    """A figure, table or notebook of a study, and the notebook that makes it."""

    folder: Path  # the study's
    notebook: str
    files: tuple[str, ...]  # what was asked for: "figures/60_retrieval", without ending
    command: list[str]  # words after `python run_all.py`, without --results
    record: dict  # see `record`


def record(written: Iterable[str], again: str, device: str) -> dict[str, object]:
    """What an executed notebook keeps; its settings are papermill's parameters beside it.

    Args:
        written: what was logged while it ran: paths, and "run ID" for each run it used.
        again: the command that executes just that notebook.
    """
    files = [Path(w) for w in written if not w.startswith("run ")]
    made = environment(device)
    return {
        "command": without_places(again),
        # runs in one string: a line each would be most of a small notebook
        "runs": " ".join(w.removeprefix("run ") for w in written if w.startswith("run ")),
        "files": sorted({f"{f.parent.name}/{f.stem}" for f in files if f.parent.name in KINDS}),
        **{key: made[key] for key in MADE},
    }


def without_places(command: str) -> str:
    """The command without --results, and with paths as seen from the clone."""
    words = shlex.split(command)
    if "--results" in words:
        at = words.index("--results")
        del words[at : at + 2]
    for option in ("--data-root", "--weights"):
        if option in words and os.path.isabs(words[at := words.index(option) + 1]):
            words[at] = os.path.relpath(words[at], ROOT)
    return shlex.join(words)


def of(path: str | Path) -> Known:
    """What is known of a figure, table or executed notebook, by its path; it need not be there.

    Raises:
        UserError: no such path in a study, or nothing that a notebook there is known to write.
    """
    full = Path(os.path.abspath(Path(path).expanduser()))
    folder, kind, name = full.parent.parent, full.parent.name, full.stem
    if kind not in KINDS:
        raise UserError(f"{path} is no figure, table or executed notebook of a study{_example()}")
    records = {p.stem: _record(p) for p in sorted((folder / "notebooks").glob("*.ipynb"))}
    if not records:
        raise UserError(
            f"nothing has been made in {os.path.relpath(folder)} yet; run python run_all.py first "
            f"(make reproduce){_example()}"
        )
    asked = f"{kind}/{name}"
    notebook = next((n for n, r in records.items() if asked in r.get("files", ())), name)
    if notebook not in records:
        known = [f.partition("/") for r in records.values() for f in r.get("files", ())]
        known = sorted(file for k, _, file in known if k == kind) or list(records)
        raise unknown(f"{kind.removesuffix('s')} of {folder.name}", name, known)
    kept = records[notebook]
    if not kept:
        raise UserError(
            f"notebook {notebook} in {folder} does not say how it was executed; execute it by "
            f"python run_all.py --only {notebook}."
        )
    files = tuple(kept["files"]) if kind == "notebooks" else (asked,)
    return Known(folder, notebook, files, shlex.split(kept["command"])[2:], kept)


def _example() -> str:
    """What can be given instead, in words: an executed notebook that is there, if one is."""
    found = sorted(ROOT.glob("results/**/notebooks/*.ipynb"))
    return f"; or give one that is there, as in {os.path.relpath(found[0])}." if found else "."


def _record(path: Path) -> dict:
    """What an executed notebook keeps; {} if it says nothing."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))["metadata"].get(KEY, {})
    except (OSError, ValueError, TypeError, KeyError):
        raise UserError(
            f"{path} is torn or no notebook; run python run_all.py --only {path.stem} again."
        ) from None


def made_with(folder: Path) -> dict[str, str]:
    """Versions and hardware of a study's notebooks, several values of one in a row."""
    seen = [_record(p) for p in sorted((folder / "notebooks").glob("*.ipynb"))]
    return {
        k: ", ".join(dict.fromkeys(str(s[k]) for s in seen if s.get(k) not in (None, "")))
        for k in MADE
    }
