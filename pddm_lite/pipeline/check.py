"""Is everything there that a run needs? `run_all.py check` says so in seconds, line by line."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path

from ..errors import UserError
from ..memory import cores
from . import cli

ROOT = Path(__file__).parents[2]
LEAST = 2 * 2**30  # bytes: features and runs of one data set


def parser() -> cli.Parser:
    p = cli.Parser(
        prog="run_all.py check",
        description="Python, packages, GPU, disk, data, weights and write access, [OK] or [FAIL].",
        epilog="exit code: 0 all is there; 1 something is not; 2 wrong use",
        allow_abbrev=False,
    )
    add = p.add_argument
    add("--data", default="", metavar="A,B", help="data sets, as for a run")
    add("--data-root", default="", metavar="DIR", help="where real data sets lie")
    add("--profile", default="quick", help="scale of the embedded data")
    add("--backbone", default="", help="network, as for a run")
    add("--weights", default="", help="its weights, as for a run")
    add("--results", default="results", metavar="DIR", help="where everything is to be written")
    return p


def main(argv: list[str]) -> int:
    args = parser().parse_args(argv)
    results = Path(args.results).expanduser().resolve()
    lines: list[tuple[str, Callable[[], str]]] = [
        ("Python", python),
        ("packages", packages),
        ("GPU", gpu),
        ("disk", lambda: disk(results)),
        ("results", lambda: writable(results)),
        ("data", lambda: data(args)),
        ("weights", lambda: weights(args)),
    ]
    failed = 0
    for what, look in lines:
        try:
            print(f"[OK]   {what}: {look()}", flush=True)
        except (UserError, ImportError) as err:
            failed += 1
            print(f"[FAIL] {what}: {str(err).splitlines()[0]}", flush=True)
    return 1 if failed else 0


def project() -> dict:
    """The [project] table of pyproject.toml."""
    try:
        return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    except OSError:
        raise UserError(f"{ROOT} has no pyproject.toml: run this in a clone.") from None


def python(version: str = "") -> str:
    from packaging.specifiers import SpecifierSet

    version, allowed = version or platform.python_version(), project()["requires-python"]
    if not SpecifierSet(allowed).contains(version, prereleases=True):
        raise UserError(f"{version} at {sys.executable}, but {allowed} is needed; use another.")
    return version


def packages(installed: Callable[[str], str] = importlib.metadata.version) -> str:
    """Names and versions of what pyproject.toml asks for; UserError with all that is amiss."""
    from packaging.requirements import Requirement

    found, amiss = [], []
    for needed in map(Requirement, project()["dependencies"]):
        try:
            version = installed(needed.name)
        except importlib.metadata.PackageNotFoundError:
            amiss.append(f"{needed.name} is missing ({needed.specifier})")
            continue
        if not needed.specifier.contains(version, prereleases=True):
            amiss.append(f"{needed.name} {version} is not {needed.specifier}")
        found.append(f"{needed.name} {version}")
    if amiss:
        raise UserError("; ".join(amiss) + ". Install by: pip install -e .")
    return ", ".join(found)


def gpu() -> str:
    import torch

    if not torch.cuda.is_available():
        return f"none; {cores()} CPU cores do for profile quick and frozen features"
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    free, total = torch.cuda.mem_get_info()
    return f"{', '.join(names)}; {free / 2**30:.0f} of {total / 2**30:.0f} GiB free"


def _there(folder: Path) -> Path:
    """The nearest folder above that exists."""
    return next(p for p in (folder, *folder.parents) if p.exists())


def disk(results: Path, least: int = LEAST) -> str:
    free = shutil.disk_usage(_there(results)).free
    if free < least:
        raise UserError(
            f"{free / 2**30:.1f} GiB free at {results}, {least / 2**30:.0f} are needed; free some, "
            "or choose another place by --results."
        )
    return f"{free / 2**30:.0f} GiB free"


def writable(results: Path) -> str:
    """By writing, since rights alone do not tell (read-only mounts); nothing is left behind."""
    place = _there(results)
    try:
        with tempfile.TemporaryFile(dir=place) as f:
            f.write(b"pddm")
    except OSError as err:
        raise UserError(
            f"{place} cannot be written ({err.strerror}); choose another place by --results."
        ) from None
    return f"{results} can be written"


def data(args: argparse.Namespace) -> str:
    from .. import data as data_sets
    from ..study import EMBEDDED

    root = str(Path(args.data_root).expanduser().resolve()) if args.data_root else ""
    names = data_sets.listed(args.data) or EMBEDDED
    found = [data_sets.load(name, root, args.profile) for name in names]
    return "; ".join(f"{d.title}, {len(d.class_names)} classes, {len(d)} images" for d in found)


def weights(args: argparse.Namespace) -> str:
    from .. import backbones
    from ..data import listed
    from ..study import Study

    study = Study.of(
        args.profile,
        listed(args.data),
        backbone=args.backbone,
        weights=args.weights,
    )
    if study.weights in ("", "none") or Path(study.weights).expanduser().exists():
        if study.backbone == "smallnet" or study.weights:  # the rest's default is fetched
            backbones.load(study.backbone, study.weights)
            return f"{study.backbone}, {Path(study.weights).name or 'its shipped weights'}"
    elif Path(study.weights).name != study.weights or "." in study.weights:
        backbones.load(study.backbone, study.weights)  # says that there is no such file
    return f"{study.backbone}, {study.weights or 'imagenet'}: to be fetched by the first run"
