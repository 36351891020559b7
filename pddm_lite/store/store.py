"""Runs on disk: each a folder, complete or absent, checked by checksum when read."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import io
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from .cores import cores
from .files import alone, beside, note, write_flushed


@cache
def source_hash(*modules: str) -> str:
    """Hash of what the modules compute: their syntax trees without docstrings and comments."""
    h = hashlib.sha256()
    for name in modules:
        tree = ast.parse(Path(importlib.util.find_spec(name).origin).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
                if isinstance(body[0].value, ast.Constant) and isinstance(body[0].value.value, str):
                    body.pop(0)
        h.update(ast.dump(tree).encode())
    return h.hexdigest()[:16]


def environment(device: str = "cpu") -> dict:
    """Versions, hardware and commit of this process, for manifests."""
    here = Path(__file__).parent

    def git(*args: str) -> str:
        try:
            how = dict(capture_output=True, encoding="utf-8", timeout=10)
            run = subprocess.run(["git", *args], cwd=here, **how)
            return run.stdout.strip() if run.returncode == 0 else ""
        except (OSError, subprocess.TimeoutExpired):
            return ""

    # a cluster's login node has none, whatever the device that its workers use
    gpu = device.startswith("cuda") and torch.cuda.is_available()
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), cpu)
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": platform.system() + " " + platform.machine(),
        "cpu": cpu,
        "cores": cores(),
        "gpu": torch.cuda.get_device_name() if gpu else "",
        "commit": git("rev-parse", "--short", "HEAD"),
        "changed": bool(git("status", "--porcelain", "--", ".")),
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


class Store:
    """Finished runs under `folder`/<id>/, one folder each; the manifest is written last."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)

    def path(self, run_id: str) -> Path:
        return self.folder / run_id

    def has(self, run_id: str) -> bool:
        """Whether a complete and unharmed run of that id is there."""
        return not self.problem(run_id)

    def problem(self, run_id: str) -> str:
        """Why the run cannot be used, in a few words; "" if it can."""
        path = self.path(run_id)
        if not (path / "manifest.json").exists():
            return "not made yet"
        try:
            manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
            for name, digest in manifest["files"].items():
                if hashlib.sha256((path / name).read_bytes()).hexdigest() != digest:
                    return f"{name} was changed or torn"
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return "its manifest or a file of it cannot be read"
        note(path / "manifest.json")
        return ""

    @contextmanager
    def alone(self, run_id: str, wait: bool = True) -> Iterator[bool]:
        """Hold the run's lock, so that it is not made twice at once; see files.alone."""
        with alone(self.lock(run_id), wait) as held:
            yield held

    def lock(self, run_id: str) -> Path:
        """The file that whoever makes the run holds locked meanwhile."""
        return self.folder / f".lock-{run_id}"

    def save(self, run_id: str, files: dict[str, object], manifest: dict) -> None:
        """Write a run: file name -> frame (.csv), dict (.json), arrays (.npz), state (.pt), bytes.

        Raises:
            CannotWrite: the folder cannot be written, or its disk is full.
        """
        final = self.path(run_id)
        with beside(final, folder=True) as temporary:
            digests = {}
            for name, value in files.items():
                data = _encode(name, value)
                write_flushed(temporary / name, lambda f, data=data: f.write(data))
                digests[name] = hashlib.sha256(data).hexdigest()
            text = json.dumps({**manifest, "id": run_id, "files": digests}, indent=1)
            write_flushed(temporary / "manifest.json", lambda f: f.write(text.encode()))
            temporary.chmod(0o755)
            with beside(final, folder=True) as old:  # torn or forced: the whole old folder goes
                if final.exists():
                    os.rename(final, old / run_id)
                os.rename(temporary, final)
        note(final / "manifest.json")

    def cached(
        self, key: str, make: Callable[[], dict[str, object]], about: dict, device: str = "cpu"
    ) -> None:
        """Keep under `key` what `make` returns (`files` of `save`), unless it is there already.

        It is made once: another process that wants it waits, and then finds it. The manifest holds
        `about` beside the environment on `device`.

        Raises:
            CannotWrite: as `save`; and whatever `make` raises, after which nothing is kept.
        """
        if self.has(key):
            return
        with self.alone(key):
            if not self.has(key):  # another process may have made it meanwhile
                self.save(key, make(), {**environment(device), **about})

    def json(self, run_id: str, name: str) -> dict:
        return json.loads((self.path(run_id) / name).read_text(encoding="utf-8"))

    def csv(self, run_id: str, name: str) -> pd.DataFrame:
        return pd.read_csv(self.path(run_id) / name)

    def arrays(self, run_id: str, name: str) -> dict[str, np.ndarray]:
        with np.load(self.path(run_id) / name, allow_pickle=False) as z:
            return {k: z[k] for k in z.files}

    def state(self, run_id: str, name: str) -> dict:
        return torch.load(self.path(run_id) / name, map_location="cpu", weights_only=True)

    def ids(self) -> Iterable[str]:
        """Ids of complete runs, sorted."""
        return sorted(p.parent.name for p in self.folder.glob("[!.]*/manifest.json"))


def _encode(name: str, value) -> bytes:
    if isinstance(value, bytes):
        return value
    buffer = io.BytesIO()
    match Path(name).suffix:
        case ".csv":
            return value.to_csv(index=False, lineterminator="\n").encode(
                "utf-8", "backslashreplace"
            )
        case ".json":
            return json.dumps(value, indent=1).encode()
        case ".npz":
            np.savez_compressed(buffer, **value)
        case ".pt":
            torch.save(value, buffer)
        case other:
            raise TypeError(f"no way to store a {other} file")
    return buffer.getvalue()
