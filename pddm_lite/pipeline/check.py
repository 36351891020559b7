"""Is everything there that a run needs? `run_all.py check` says so in seconds, line by line."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..data import split
from ..data.sampler import class_balanced
from ..networks import backbones
from ..store.cores import cores
from ..store.errors import SHUT, UserError, shut, unknown
from ..training import ownership
from ..training.study import Study
from . import options

ROOT = Path(__file__).parents[2]
LEAST = 2**30  # bytes: notebooks, figures, and what else is small


def parser() -> options.Parser:
    p = options.parser()
    p.prog, p.usage = "run_all.py check", "%(prog)s [any option of a run]"
    p.description = (
        "Python, packages, GPU, kernel, disk, write access, and whatever of the run's data, "
        "settings and weights would stop it only after hours: [OK] or [FAIL]."
    )
    p.epilog = "exit code: 0 all is there; 1 something is not; 2 wrong use"
    return p


def main(argv: list[str]) -> int:
    args = parser().parse_args(argv)
    results = Path(args.results).expanduser().resolve()
    found: dict[str, object] = {}  # "study", "sets" and "nets", once they are known to be sound
    lines = (  # what, who looks, what of `found` it needs
        ("Python", python),
        ("packages", packages),
        ("GPU", gpu),
        ("kernel", kernel),
        ("results", lambda: writable(results)),
        ("settings", lambda: settings(args, found)),
        ("data", lambda study: data(study, found), "study"),
        ("batches", batches, "study", "sets"),
        ("hierarchy", hierarchy, "study", "sets"),
        ("weights", lambda study: weights(study, found), "study"),
        ("folder", lambda study, sets: folder(study), "study", "sets"),
        ("disk", lambda: disk(results, LEAST + features(found))),
    )
    failed = 0
    for what, look, *needs in lines:
        if any(name not in found for name in needs):
            print(f"[--]   {what}: not looked at, for what failed above", flush=True)
            continue
        try:
            print(f"[OK]   {what}: {look(*(found[name] for name in needs))}", flush=True)
        except (UserError, ImportError, *SHUT) as err:
            failed += 1
            said = (isinstance(err, OSError) and shut(err)) or err
            print(f"[FAIL] {what}: {str(said).splitlines()[0]}", flush=True)
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
        why = f"{place} cannot be written ({err.strerror})"
        raise UserError(f"{why}; choose another place by --results.") from None
    return f"{results} can be written"


def kernel() -> str:
    """Start the notebooks' kernel, as a run does, and end it; says where Jupyter's own differs."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    from jupyter_client.manager import KernelManager

    own = KernelManager(kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
    try:
        own.start_kernel(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        client = own.client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=60)
        finally:
            client.stop_channels()
    except (NoSuchKernel, OSError, RuntimeError) as err:
        raise UserError(
            f"the notebooks' kernel cannot start ({str(err).splitlines()[0]:.100}); mend it by: "
            "pip install --force-reinstall ipykernel"
        ) from None
    finally:
        if own.has_kernel:
            own.shutdown_kernel(now=True)
    text = f"ipykernel {importlib.metadata.version('ipykernel')} of this Python starts"
    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        return text
    program = spec.argv[0] if spec.argv else "nothing"
    usual = ("python", "python3", f"python3.{sys.version_info[1]}", sys.executable)
    if program not in usual:
        text += f"; but in JupyterLab python3 would start {program} ({spec.resource_dir})"
    return text


def settings(args: argparse.Namespace, found: dict) -> str:
    """All options fit together, by what builds the runs; the notebooks' parameters too."""
    from . import notebooks

    study = options.study_of(args)
    names = options.names_in(args.only) or notebooks.notebooks()
    for name in options.names_in(args.only):
        if name not in notebooks.notebooks():
            raise unknown("notebook", name, notebooks.notebooks())
    if parameters := notebooks.check_parameters(names, dict(args.parameter)):
        type(study).of(**(study.arguments() | parameters))
    found["study"] = study
    return (
        f"{len(study.experiments())} runs of {', '.join(study.data)}; {study.backbone}, "
        f"{study.mode}, recipe {study.recipe}"
        + (f", {', '.join(study.settings)}" if study.settings else "")
    )


def data(study: Study, found: dict) -> str:
    """Every data set opens, and both halves can be used: one trains, the other tests."""
    sets, lines = {}, []
    for name in dict.fromkeys(e.data for e in study.experiments()):
        d = sets[name] = study.load(name)
        tests = len(d.class_names) - d.train_classes
        for half, classes in (("train", d.train_classes), ("test", tests)):
            if classes < 2:
                raise UserError(
                    f"{d.title}: {classes} of {len(d.class_names)} classes {half}, but a pair of "
                    "two classes needs two in each half; add classes, 4 or more in all."
                )
        if name in study.data:
            lines.append(
                f"{d.title}, {len(d.class_names)} classes ({d.train_classes} train, {tests} test), "
                f"{len(d)} images, typically {d.side} px" + "".join(f", {n}" for n in d.notes)
            )
    found["sets"] = sets
    return "; ".join(lines)


def batches(study: Study, sets: dict) -> str:
    """Every run's batch fits the classes that are left to train when some are held out."""
    seen, none_held = {}, set()
    for e in study.experiments():
        key = (e.data, e.classes_per_batch, e.samples_per_class, e.holdout, e.seed)
        if key in seen:
            continue
        d = sets[e.data]
        parts = split(d, e.holdout, e.seed)
        labels = d.labels[parts.fit]
        try:
            class_balanced(labels, e.classes_per_batch, e.samples_per_class, e.seed)
        except UserError as err:
            raise UserError(f"{d.title}, {e.method}, seed {e.seed}: {err}") from None
        seen[key] = len(np.unique(labels))
        if e.holdout and not len(parts.val):
            none_held.add(d.title)
    sizes = sorted({(k[1], k[2]) for k in seen})
    text = ", ".join(f"{c} classes x {n} images" for c, n in sizes)
    text += f"; at least {min(seen.values())} classes to draw them from"
    if none_held:
        text += f"; too few classes of {', '.join(sorted(none_held))} to hold some out: the last "
        text += "step is reported"
    return text


def hierarchy(study: Study, sets: dict) -> str:
    """Zero-shot recognition's hierarchies hold the classes; a set may have none."""
    from ..paper.table2_zero_shot.unseen import NoZeroShot, protocol

    said = []
    for name in study.data:
        try:
            nodes = len(protocol(sets[name], study.data_root).hierarchy)
            said.append(f"{sets[name].title}: {nodes} nodes")
        except NoZeroShot as err:
            said.append(str(err).rstrip("."))
    return "; ".join(said)


def weights(study: Study, found: dict) -> str:
    """The network takes the weights, the crop and the length of the embedding."""
    local = not study.weights or study.weights == "none" or Path(study.weights).is_file()
    fetched = not local and Path(study.weights).name == study.weights and "." not in study.weights
    fetched = fetched or (not study.weights and study.backbone != "smallnet")
    what = "none" if fetched else study.weights  # the same network, for its sizes
    sets, nets = found.get("sets", {}), {}
    for e in study.experiments():
        side = sets[e.data].side if e.data in sets else 0
        if (key := (side, e.crop)) not in nets:
            nets[key] = backbones.load(e.backbone, what, stored=side, crop=e.crop)
        length = nets[key].features
        if e.head_init == "pca" and e.embedding_size > length:
            raise UserError(
                f"{e.method}: head_init pca needs embedding_size <= {length} (the features of "
                f"{e.backbone}), not {e.embedding_size}; --set head_init=random does without."
            )
        found.setdefault("nets", {})[e.data, e.crop] = nets[key]
    crops = sorted({net.input.crop for net in nets.values()})
    text = f"{study.backbone}, crops of {', '.join(map(str, crops))} px"
    if fetched:
        return f"{text}, {study.weights or 'imagenet'}: to be fetched by the first run"
    return f"{text}, {Path(study.weights).name or 'its shipped weights'}"


def folder(study: Study) -> str:
    """The study's own folder is free, or holds this study."""
    if ownership.other_inputs(study):
        raise UserError(
            f"{study.folder} holds a study of other data ({ownership.difference(study)}): "
            f"{ownership.REMEDY}."
        )
    if differs := ownership.difference(study):
        return f"{study.folder.name} holds another study ({differs}): its figures are made again"
    return study.folder.name


def features(found: dict) -> int:
    """Bytes that cached features or pixels, and the runs' own files, take at most."""
    if not {"study", "sets", "nets"} <= {*found}:
        return 0
    study, total, cached = found["study"], 0, set()
    for e in study.experiments():
        d, net = found["sets"][e.data], found["nets"][e.data, e.crop]
        frozen = e.mode != "finetune"
        if (e.data, e.crop) not in cached:
            cached.add((e.data, e.crop))
            total += len(d) * (net.features * 2 if frozen else net.input.resize**2 * 3)
        total += len(d.test) * e.embedding_size * 4
        total += 0 if frozen else 8 * sum(p.numel() for p in net.net.parameters())
    return total
