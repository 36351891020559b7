"""The four stages - data, runs, notebooks, report - over one process pool."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager, nullcontext
from multiprocessing import get_context
from pathlib import Path

import torch

from .. import distributed, pack, training
from ..data import split
from ..data.sampler import class_balanced
from ..errors import UserError, unknown
from ..experiments import Experiment
from ..store import Store, source_hash, write_text
from ..study import Study
from . import cli, notebooks, report


def run(study: Study, args: argparse.Namespace, began: float) -> int:
    """All stages asked for; 0 if everything succeeded, else 1."""
    chosen = cli._names(args.only)
    for name in chosen:
        if name not in notebooks.notebooks():
            raise unknown("notebook", name, notebooks.notebooks())
    stages = cli._names(args.stage) or list(cli.STAGES)
    for name in stages:
        if name not in cli.STAGES:
            raise unknown("stage", name, cli.STAGES)
    names = chosen or notebooks.notebooks()
    parameters = notebooks.check_parameters(names, dict(args.parameter))
    if args.explain or args.dry_run:
        return _explain(study, names, stages, parameters, args)
    draws = {"notebooks", "report"} & set(stages)
    if draws and (other := _other(study)):
        where = os.path.relpath(study.folder)
        if "notebooks" not in stages:
            raise UserError(
                f"{where} holds another study's figures ({other}): make this one's by --stage "
                "notebooks,report, or choose a folder of its own by --name."
            )
        print(f"{where} held another study ({other}): its figures are made again; --name keeps "
              "both", flush=True)  # fmt: skip
    failures: list[str] = []
    jobs = int(args.jobs)
    seconds: dict[str, float] = {}
    made = 0
    with lock(Path(study.results)):
        print(f"{study.profile}: {', '.join(study.titles().values())}; {study.backbone}, "
              f"{study.mode}, seeds {', '.join(map(str, study.seeds))}", flush=True)  # fmt: skip
        if "data" in stages:
            with _timed(seconds, "data"):
                _data(study)
        with pool(jobs) as executor:
            if "runs" in stages:
                with _timed(seconds, "runs"):
                    made, failed = _runs(study, executor, args.force)
                    failures += failed
            if draws:
                _claim(study)
            if "notebooks" in stages:
                with _timed(seconds, "notebooks"):
                    failures += _notebooks(study, executor, names, parameters, args)
        if "report" in stages:
            with _timed(seconds, "report"):
                path, lines = report.write(study, failures)
            print("\n".join(lines))
            print(f"report      {os.path.relpath(path)}")
        if args.pack:
            _pack(study, args)
        if seconds and not _other(study):
            _summary(study, jobs, made, seconds)
    print(f"{'done' if not failures else f'{len(failures)} failed'} in {time.time() - began:.0f} s")
    return 1 if failures else 0


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    began = time.time()
    yield
    seconds[stage] = round(time.time() - began, 1)


def _other(study: Study) -> str:
    """How the study that the folder's figures show differs from this one; "" if it does not."""
    try:
        held = dict(json.loads((study.folder / "study.json").read_text()))
    except (OSError, ValueError, TypeError):
        return ""  # none was drawn here yet
    own = study.content()
    changed = {k: (held[k], own[k]) for k in own if k in held and held[k] != own[k]}
    return "; ".join(f"{k} {_said(a)} -> {_said(b)}" for k, (a, b) in changed.items())


def _said(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text or "default"


def _claim(study: Study) -> None:
    """Make the folder this study's: what another one drew would be taken for its own."""
    if _other(study):
        for made in ("figures", "tables", "notebooks"):
            shutil.rmtree(study.folder / made, ignore_errors=True)
        for made in ("report.html", "summary.json"):
            (study.folder / made).unlink(missing_ok=True)
    write_text(study.folder / "study.json", json.dumps(study.content(), indent=1))


def _summary(study: Study, jobs: int, made: int, seconds: dict[str, float]) -> None:
    """Keep the time of the last invocation that made runs, and of the last without."""
    path = study.folder / "summary.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    kept["made" if made else "from_the_store"] = {
        "runs_made": made,
        "jobs": jobs,
        "seconds": seconds,
        "total_seconds": round(sum(seconds.values())),
    }
    write_text(path, json.dumps(kept, indent=1))


@contextmanager
def lock(results: Path) -> Iterator[None]:
    """Hold the results folder for this process; UserError if it is held or cannot be written."""
    try:
        results.mkdir(parents=True, exist_ok=True)
        handle = open(results / ".lock", "a+")  # noqa: SIM115
    except OSError as err:
        raise UserError(
            f"results folder {results} cannot be written ({err.strerror}); "
            "choose another by --results."
        ) from None
    with handle:
        try:
            import fcntl
        except ImportError:  # Windows: no such lock, and so no check
            yield
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.seek(0)
            who = handle.read().strip() or "unknown"
            raise UserError(
                f"another run (process {who}) is using {results}; wait for it, or choose another "
                "folder by --results."
            ) from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield


def _start_worker() -> None:
    os.environ["PDDM_BATCH"] = "1"  # bars of several processes would mix
    torch.set_num_threads(1)


def pool(jobs: int) -> Executor:
    """Worker processes, started afresh (spawn), so that none inherits this process's state."""
    return ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_start_worker)


# ----------------------------------------------------------------------------------- packing


def _pack(study: Study, args: argparse.Namespace) -> None:
    files, packed, total = pack.pack(study, Path(args.pack), cli.pack_size(args))
    sizes = (f"{f} ({f.stat().st_size / 2**20:.1f} MiB)" for f in files)
    print(f"pack        {packed} of {total} runs in {', '.join(sizes)}")


def unpack(files: list[Path], results: Path) -> int:
    """Take packed runs into the store of `results`; 0 if all were sound, else 1."""
    with lock(results):
        found = pack.unpack(files, Store(results / "runs"))
    for i, problem in found.refused.items():
        print(f"unpack      run {i} was not taken: {problem}", file=sys.stderr)
    total = len(found.taken) + len(found.there)
    print(f"unpack      {len(found.taken)} runs taken, {len(found.there)} already there, "
          f"{len(found.refused)} refused")  # fmt: skip
    print(f"            {found.here} belong to this version of the code, {total - found.here} to "
          "another, whose runs it does not use")  # fmt: skip
    if found.draw:
        print(f"draw        {found.draw}")
    return 1 if found.refused else 0


# -------------------------------------------------------------------------------------- data


def _data(study: Study) -> None:
    """Open every data set, and compute frozen features once, so that the runs find them."""
    for name in dict.fromkeys(e.data for e in study.experiments()):
        began = time.time()
        data = study.load(name)
        e = study.experiment(name, study.methods[0], study.seeds[0])
        fit = split(data, e.holdout, e.seed).fit
        next(class_balanced(data.labels[fit], e.classes, e.images, e.seed))  # or UserError, now
        # all the machine's cores for this one long job, one thread a worker afterwards
        torch.set_num_threads(os.cpu_count() or 1)
        training.inputs(e, data, Path(study.results) / "features", study.device, True)
        print(
            f"data        {data.title}: {len(data.class_names)} classes, {len(data)} images, "
            f"{data.train_classes} classes train ({time.time() - began:.0f} s)",
            flush=True,
        )


# -------------------------------------------------------------------------------------- runs


def _fit(study: Study, e: Experiment, force: bool) -> tuple[str, float]:
    """One run in a worker: a line for the log, and the seconds it took."""
    began = time.time()
    said: list[str] = []
    run = training.fit_or_load(
        e, study.load(e.data), study.results, study.device, force, False, said.append
    )
    m = run.metrics
    text = f"R@1 {m['test']['distance']['recall_1']:.1f}"
    if "score" in m["test"]:
        text += f", by score {m['test']['score']['recall_1']:.1f}"
    text += f" (step {m['chosen_step']})"
    if m["collapse"]:
        text += f"; {m['collapse']}"
    return "".join(f"{line}\n" for line in said) + text, time.time() - began


def run_together(study: Study, args: argparse.Namespace) -> int:
    """Under torchrun: one run after the other, all processes at each; process 0 writes."""
    if cli._names(args.stage) not in (["runs"], ["data", "runs"]):
        raise UserError("torchrun is for training: --stage data,runs; draw by one process after.")
    _start_worker()
    todo = study.experiments()
    main = distributed.rank() == 0
    with lock(Path(study.results)) if main else nullcontext():
        for n, e in enumerate(todo, 1):
            try:
                text, seconds = _fit(study, e, args.force)
            except training.TrainingError as err:
                print(f"{_label(study, e, e.data)}: FAILED: {err}", file=sys.stderr)
                return 1  # torchrun ends the other processes
            if main:
                name = _label(study, e, study.load(e.data).title)
                print(f"runs        {n}/{len(todo)} {name}: {text} [{seconds:.0f} s]", flush=True)
        if main and args.pack:
            _pack(study, args)
    return 0


def _runs(study: Study, executor: Executor, force: bool) -> tuple[int, list[str]]:
    """Make the runs that are missing; returns how many there were to make, and the failures."""
    store = Store(Path(study.results) / "runs")
    todo = study.experiments()
    if not force:
        todo = [e for e in todo if store.problem(training.run_id(e, study.load(e.data)))]
    total = len(study.experiments())
    print(f"runs        {total - len(todo)} in the store, {len(todo)} to make", flush=True)
    # the slow ones first, so that no worker is left with them at the end
    todo.sort(key=lambda e: "PDDM" not in e.method)
    return len(todo), _collect(
        executor,
        {_label(study, e, study.load(e.data).title): (_fit, study, e, force) for e in todo},
        "runs",
    )


def _label(study: Study, e: Experiment, title: str) -> str:
    """A run's name on the terminal: method, data and seed, and what a variant changes."""
    base = study.experiment(e.data, e.method, e.seed).settings()
    changed = [f"{k}={v}" for k, v in e.settings().items() if v != base[k]]
    return f"{e.method}, {title}, seed {e.seed}" + (f" ({', '.join(changed)})" if changed else "")


def _collect(executor: Executor, tasks: dict[str, tuple], stage: str) -> list[str]:
    """Submit all tasks, print a line as each ends, return failure cards."""
    futures: dict[Future, str] = {executor.submit(*task): n for n, task in tasks.items()}
    failures = []
    began = time.time()
    for done, future in enumerate(as_completed(futures), 1):
        name = futures[future]
        left = (time.time() - began) / done * (len(futures) - done)
        at = f"{stage:<11} {done}/{len(futures)}"
        try:
            text, seconds = future.result()
            print(f"{at} {name}: {text} [{seconds:.0f} s, {left:.0f} s left]", flush=True)
        except notebooks.NotebookFailed as err:
            failures.append(str(err))
            print(f"{at} {name}: FAILED\n{err}", file=sys.stderr, flush=True)
        except (UserError, training.TrainingError) as err:
            failures.append(f"{name}: {err}")
            print(f"{at} {name}: FAILED: {err}", file=sys.stderr, flush=True)
    return failures


# --------------------------------------------------------------------------------- notebooks


def _notebooks(
    study: Study, executor: Executor, names: list[str], parameters: dict, args: argparse.Namespace
) -> list[str]:
    force = args.force or bool(args.only)
    todo = {n: notebooks.stale(study, n, parameters) for n in names}
    todo = {n: why for n, why in todo.items() if why or force}
    print(f"notebooks   {len(names) - len(todo)} fresh, {len(todo)} to execute", flush=True)
    return _collect(
        executor,
        {n: (notebooks.execute, study, n, parameters, repeat(study, args, n)) for n in todo},
        "notebooks",
    )


def repeat(study: Study, args: argparse.Namespace, name: str) -> str:
    """The command that executes just that notebook again."""
    words = ["python", "run_all.py", "--only", name]
    flags = (
        "profile data data_root backbone weights mode recipe methods seeds variants results name "
        "device"
    )
    for flag in flags.split():
        value = getattr(args, flag)
        if value and value != cli.parser().get_default(flag):
            words += [f"--{flag.replace('_', '-')}", value]
    for text in args.settings:
        words += ["--set", text]
    for key, value in args.parameter:
        words += ["-p", key, value]
    return shlex.join(words)


# ----------------------------------------------------------------------------------- explain


def _explain(study, names, stages, parameters, args: argparse.Namespace) -> int:
    """--explain and --dry-run: what is stale and why, without doing any of it."""
    store = Store(Path(study.results) / "runs")
    if "runs" in stages:
        why = _reasons(store)
        for e in study.experiments():
            problem = store.problem(training.run_id(e, study.load(e.data)))
            if problem or args.explain or args.force:
                state = why(e, study.load(e.data), problem) if problem else "in the store"
                print(f"run       {_label(study, e, e.data)}: {state}")
    if "notebooks" in stages:
        if other := _other(study):
            print(f"folder    {os.path.relpath(study.folder)} holds another study ({other})")
        for name in names:
            state = notebooks.stale(study, name, parameters)
            if state or args.explain or args.force:
                print(f"notebook  {name}: {state or 'fresh'}")
            if (state or args.force) and args.dry_run:
                print("          " + notebooks.papermill_command(study, name, parameters))
    if "report" in stages and args.dry_run:
        print(f"report    {study.folder / 'report.html'}")
    return 0


def _reasons(store: Store) -> Callable:
    """A function that says why a run is not in the store, by the nearest one that is."""
    known = []
    for identity in store.ids():
        try:
            config = Experiment(**store.json(identity, "config.json")).settings()
            known.append((config, store.json(identity, "manifest.json")))
        except (OSError, ValueError, TypeError):  # torn, or of a version with other settings
            continue

    def why(e: Experiment, data, problem: str) -> str:
        if problem != "not made yet":
            return problem
        own = e.settings()
        alike = []
        for config, manifest in known:
            if all(Path(w).name != w for w in (config["weights"], own["weights"])):
                # of a weights file the content counts, and not where it lies or lay elsewhere
                config = {**config, "weights": own["weights"]}
            if all(config[k] == own[k] for k in ("data", "method", "seed")):
                changed = [k for k in own if config[k] != own[k]]
                alike.append((len(changed), changed, config, manifest))
        if not alike:
            return problem
        _, changed, config, manifest = min(alike, key=lambda a: a[0])
        if changed:
            return "settings changed: " + ", ".join(f"{k} {config[k]} -> {own[k]}" for k in changed)
        if manifest["data_fingerprint"] != data.fingerprint:
            return "the data changed"
        if manifest["source"] != source_hash(*training.SOURCES):
            return "the code that computes it changed"
        return "the weights file changed"

    return why
