"""Executing notebooks with papermill, safely: checked parameters, own processes, failure cards."""

from __future__ import annotations

import ast
import io
import json
import os
import re
import shlex
import time
import warnings
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from ..data import fingerprint
from ..paper.given_space.given import every
from ..store.errors import UserError, unknown
from ..store.files import CannotWrite, beside, digest, write_text
from ..store.progress import tell
from ..store.store import Store, environment, source_hash
from ..training.runs import run_id
from ..training.study import Study
from . import provenance

FOLDER = Path(__file__).parents[2] / "notebooks"
NEW = "not executed yet"
TIMEOUT = 24 * 3600  # seconds a cell; a notebook may have to fit its runs
PACKAGE = Path(__file__).parents[1]
# a notebook is stale when one of these changes: all that is no pipeline and shows in some notebook
SOURCES = tuple(
    f"pddm_lite.{'.'.join(path.relative_to(PACKAGE).with_suffix('').parts)}"
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.stem not in ("__init__", "own_metric", "pretrain", "reference")
    and path.relative_to(PACKAGE).parts[0] not in ("data", "pipeline")
)


class NotebookFailed(RuntimeError):
    """A notebook that did not reach its end; the message is its failure card."""


def notebooks() -> list[str]:
    """Names of the notebooks, in order."""
    return sorted(p.stem for p in FOLDER.glob("*.ipynb"))


def _read(path: Path):
    import nbformat  # here, so that a machine that only makes runs needs no notebooks

    return nbformat.read(path, as_version=4)


def declared(name: str) -> dict[str, tuple[str, object]]:
    """Parameter -> (type, default) of a notebook's cell tagged `parameters`."""
    nb = _read(FOLDER / f"{name}.ipynb")
    cell = next(c for c in nb.cells if "parameters" in c.metadata.get("tags", []))
    lines = [n for n in ast.parse(cell.source).body if isinstance(n, ast.AnnAssign)]
    return {n.target.id: (ast.unparse(n.annotation), ast.literal_eval(n.value)) for n in lines}


def check_parameters(names: list[str], given: dict[str, str]) -> dict[str, object]:
    """The values of -p NAME VALUE, parsed by the type each notebook declares.

    papermill itself accepts unknown names and wrong types silently.

    Raises:
        UserError: a name that one of the notebooks lacks, or a value of another type.
    """
    out: dict[str, object] = {}
    for key, text in given.items():
        for name in names:
            parameters = declared(name)
            if key not in parameters:
                raise unknown(f"parameter of notebook {name}", key, parameters)
            out[key] = _parse(name, key, parameters[key][0], text)
    return out


def _parse(notebook: str, key: str, kind: str, text: str) -> object:
    if kind == "str":
        return text
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text
    if kind == "float" and type(value) is int:
        value = float(value)
    item = kind[5:-1] if kind.startswith("list[") else ""
    fits = (
        isinstance(value, list) and all(type(v).__name__ == item for v in value)
        if item
        else type(value).__name__ == kind
    )
    if not fits:
        raise UserError(f"parameter {key} of notebook {notebook} is a {kind}, not {text!r}.")
    return value


def _arguments(study: Study, name: str, parameters: dict) -> dict[str, object]:
    """Values for the parameters cell; paths relative to notebooks/: no copy names a machine."""
    given = study.arguments()
    for key in ("results", "data_root", "weights"):
        if os.path.isabs(given[key]):
            given[key] = os.path.relpath(given[key], FOLDER)
    takes = declared(name)
    rest = {k: v for k, v in given.items() if k not in takes and (v or k == "variants")}
    options = [
        f"{k}={','.join(map(str, v)) if isinstance(v, list) else v}" for k, v in rest.items()
    ]
    given |= parameters | {"options": [*options, *parameters.get("options", [])]}
    return {k: v for k, v in given.items() if k in takes}


@lru_cache(maxsize=4)
def _run_ids(study: Study) -> tuple[str, ...]:
    return tuple(run_id(e, study.load(e.data)) for e in every(study))


def _key(study: Study, name: str, parameters: dict) -> str:
    nb = _read(FOLDER / f"{name}.ipynb")
    return fingerprint(
        *(c.source for c in nb.cells),
        json.dumps(_arguments(study, name, parameters)),
        *_run_ids(study),
        source_hash(*SOURCES),
    )


def stale(study: Study, name: str, parameters: dict) -> str:
    """Why the executed copy is to be made again; "" if it is fresh and its files are there."""
    try:
        path = study.folder / "notebooks" / f"{name}.json"
        manifest = json.loads(path.read_text(encoding="utf-8"))
        key, files = manifest["key"], dict(manifest["files"])
    except FileNotFoundError:
        return NEW
    except (OSError, ValueError, KeyError, TypeError):
        return "it was made by an older version, or its manifest is torn"
    if key != _key(study, name, parameters):
        return "its text, parameters, runs or code changed"
    for file, kept in files.items():
        path = Path(study.results) / file
        if path.name == "manifest.json":  # of a measurement in a store, which checks it
            if problem := Store(path.parents[1]).problem(path.parent.name):
                return f"{path.parents[1].name}/{path.parent.name}: {problem}"
        elif not path.is_file():
            return f"{file} is gone"
        elif digest(path) != kept:
            return f"{file} was changed or torn"
    return ""


def papermill_command(study: Study, name: str, parameters: dict) -> str:
    """The plain papermill command that executes the notebook alike."""
    out = study.folder / "notebooks" / f"{name}.ipynb"
    given = json.dumps(_arguments(study, name, parameters))
    words = ["papermill", f"notebooks/{name}.ipynb", str(out), "--cwd", "notebooks", "-y", given]
    return shlex.join(words)


def execute(study: Study, name: str, parameters: dict, again: str) -> str:
    """Execute one notebook into study.folder/notebooks; the manifest is written last.

    Returns a line for the log.

    Raises:
        NotebookFailed: with the card - notebook, cell, first line of its source, error, the path
            of the partly executed copy, and the command that repeats just that.
    """
    with warnings.catch_warnings():  # papermill's import of a deprecated name
        warnings.simplefilter("ignore", DeprecationWarning)
        import papermill
        from jupyter_client.kernelspec import NoSuchKernel
        from nbclient.exceptions import CellTimeoutError, DeadKernelError
        from papermill.exceptions import PapermillExecutionError

    began = time.time()
    out = study.folder / "notebooks" / f"{name}.ipynb"
    manifest = out.with_suffix(".json")
    drawn_before = _drawn(study, manifest)
    for path in (manifest, out):
        if path.is_dir():
            raise UserError(f"{path} is a folder, where a file belongs; move it away.")
    manifest.unlink(missing_ok=True)
    key = _key(study, name, parameters)
    with beside(out) as copy, beside(out.with_suffix(".txt")) as log:
        os.environ["PDDM_WRITES"] = str(log)  # the kernel inherits it
        try:
            papermill.execute_notebook(
                FOLDER / f"{name}.ipynb",
                copy,
                parameters=_arguments(study, name, parameters),
                kernel_name="python3",
                kernel_manager_class=own_kernel(),
                cwd=str(FOLDER),
                progress_bar={"file": _Cells()},
                log_output=False,
                execution_timeout=TIMEOUT,
                # a kernel that is shut down logs its interrupt as an error
                extra_arguments=["--IPKernelApp.log_level=50"],
                # ipykernel 7.3 warns at each start about a plain connection otherwise
                **_quiet_kernel(),
            )
        except PapermillExecutionError as err:
            if err.ename == CannotWrite.__name__:
                raise CannotWrite(err.evalue) from None
            source = next((x for x in err.source.splitlines() if x.strip()), "")
            at, what = f"cell {err.cell_index}", f"{err.ename}: {err.evalue}"
            raise NotebookFailed(_card(name, at, source, what, out, again)) from None
        except (DeadKernelError, CellTimeoutError) as err:
            nb = _read(copy) if copy.stat().st_size else None
            ran = [k for k, c in enumerate(nb.cells) if c.get("execution_count")] if nb else []
            at = f"cell {ran[-1]}" if ran else "start"
            source = nb.cells[ran[-1]].source.splitlines()[0] if ran else ""
            what = (
                "the kernel died (out of memory?)" if "Dead" in type(err).__name__ else "timed out"
            )
            raise NotebookFailed(_card(name, at, source, what, out, again)) from None
        except (NoSuchKernel, FileNotFoundError, PermissionError, RuntimeError) as err:
            what = f"the kernel cannot start ({err or type(err).__name__}); see run_all.py check"
            raise NotebookFailed(_card(name, "start", "", what, out, again)) from None
        finally:
            os.environ.pop("PDDM_WRITES")
            with suppress(ValueError):  # empty, or cut short where the disk was full
                used = [*_logged(log), str(out)]
                _keep(copy, out, provenance.record(sorted(set(used)), again, study.device))
        here = Path(study.results).resolve()
        made = (Path(f) for f in sorted(set(_logged(log))))
        files = [f.relative_to(here) for f in [*made, out.resolve()] if f.is_relative_to(here)]
    files = [f for f in files if f.parts[0] not in ("runs", "features")]
    seconds = round(time.time() - began, 1)
    record = {
        "key": key,
        # what the notebook made, or used of what an earlier one measured, with its checksum
        "files": {f.as_posix(): digest(here / f) for f in files if (here / f).exists()},
        "arguments": _arguments(study, name, parameters),
        "seconds": seconds,
        "again": again,
        **environment(study.device),
    }
    write_text(manifest, json.dumps(record, indent=1))
    for path in drawn_before - _drawn(study, manifest):  # or the report would show what is no more
        path.unlink(missing_ok=True)
    return "executed"


def own_kernel() -> type:
    """The manager of this very Python's kernel, whatever Jupyter calls "python3" here.

    A kernelspec of that name may lie in a user's folder and start an interpreter without the kit.
    """
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpecManager
    from traitlets import default

    class OwnKernel(AsyncKernelManager):
        @default("kernel_spec_manager")
        def _own(self) -> KernelSpecManager:
            return KernelSpecManager(kernel_dirs=[])  # none found: ipykernel's, of this Python

    return OwnKernel


class _Cells(io.StringIO):
    """papermill draws its bar here: how many cells are done is told, and nothing shown."""

    def write(self, text: str) -> int:
        if found := re.search(r"(\d+)/(\d+) ", text):
            tell("cell", int(found[1]), int(found[2]))
        return len(text)


def _logged(log: Path) -> list[str]:
    """What files.note wrote there."""
    return log.read_text(encoding="utf-8", errors="surrogateescape").splitlines()


def _drawn(study: Study, manifest: Path) -> set[Path]:
    """Figures and tables that the last execution of a notebook wrote; none before the first."""
    try:
        record = json.loads(manifest.read_text(encoding="utf-8"))
        files = [Path(study.results) / f for f in record["files"]]
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {f for f in files if f.parent in (study.folder / "figures", study.folder / "tables")}


def _keep(copy: Path, out: Path, record: dict) -> None:
    """Write the executed copy to its place, with what it was made of, without this machine's
    folders that papermill noted."""
    nb = json.loads(copy.read_text(encoding="utf-8"))
    noted = nb["metadata"].get("papermill", {})
    for key in ("input_path", "output_path"):
        if noted.get(key):
            noted[key] = out.name
    nb["metadata"][provenance.KEY] = record
    write_text(out, json.dumps(nb, indent=1, ensure_ascii=False) + "\n")


def _quiet_kernel() -> dict:
    from traitlets.config import Config

    manager = {"transport_encryption": "auto"}
    return {"config": Config({"KernelManager": manager, "AsyncKernelManager": manager})}


def _card(name: str, at: str, source: str, error: str, out: Path, again: str) -> str:
    rows = {
        "notebook": f"{name}, {at}",
        "source": source.strip(),
        "error": error.strip().splitlines()[-1] if error.strip() else "",
        "as far as it came": os.path.relpath(out),
        "again": again,
    }
    width = max(map(len, rows))
    return "\n".join(f"  | {k:<{width}}  {v}" for k, v in rows.items() if v)
