"""Who may write where: the results folder that batches share, and the folder a study has alone."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..store.errors import UserError
from ..store.files import alone, holder, sweep, temporary_prefix
from ..training import ownership
from ..training.study import Study


@contextmanager
def results_folder(study: Study) -> Iterator[Path]:
    """The results folder, tidied; gives a folder in it that lasts as long as this batch."""
    results = Path(study.results)
    try:
        results.mkdir(parents=True, exist_ok=True)
        live = tempfile.TemporaryDirectory(dir=results, prefix=temporary_prefix())
    except OSError as err:
        why = f"results folder {results} cannot be written ({err.strerror})"
        raise UserError(f"{why}; choose another by --results.") from None
    made = (study.folder / name for name in ("figures", "tables", "notebooks"))
    kept = ("runs", "features", "checkpoints", "cost", "transfer", "zero_shot")
    sweep([results, *(results / name for name in kept), study.folder, *made])
    try:
        with live as folder:
            yield Path(folder)
    except BaseException:
        for empty in (study.folder, results / "features", results):  # of a mistyped command, say
            with suppress(OSError, ValueError):  # it holds something, or was not made
                empty.rmdir()
        raise


@contextmanager
def drawing(study: Study) -> Iterator[None]:
    """Hold the study's folder, where two batches would overwrite each other's figures."""
    path = study.folder / ".lock"
    with alone(path, wait=False) as held:
        if not held:
            raise UserError(
                f"another batch ({holder(path)}) is drawing in {study.folder}; wait for it, or "
                "choose another folder by --name. (--stage data,runs may run beside it.)"
            )
        yield


def claim(study: Study) -> None:
    """Make the folder this study's: what another one drew would be taken for its own."""
    if ownership.difference(study):
        for made in ("figures", "tables", "notebooks"):
            shutil.rmtree(study.folder / made, ignore_errors=True)
        old = [study.folder / made for made in ("report.html", "summary.json", "lesson.html")]
        for path in [*old, *study.folder.glob("*.safetensors")]:
            path.unlink(missing_ok=True)
    ownership.mark(study)
