"""The stages data and runs: features computed once, and every run made once, by whom ever."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import torch

from ..data import GIVEN, split
from ..data.sampler import class_balanced
from ..paper.given_space.given import every
from ..paper.wording import shown
from ..store import distributed
from ..store.cores import cores
from ..store.errors import UserError
from ..store.files import holder
from ..store.progress import tell
from ..store.store import Store
from ..training.experiments import Experiment
from ..training.faults import TrainingError
from ..training.inputs import inputs
from ..training.runs import fit_or_load, problem, run_id
from ..training.study import Study
from . import cached, executors, options
from .live import Live
from .pack import pack_runs
from .places import results_folder
from .work import Work


def prepare(study: Study, work: Work, away: bool) -> None:
    """Open every data set, and compute frozen features once, so that the runs find them.

    One after the other with all the machine's cores, in this process or `away` on the cluster.
    """
    names = list(dict.fromkeys(e.data for e in study.experiments()))
    features = Path(study.results) / "features"
    with work.summary.stage(Live("data", names, work.folder)) as live:
        for harmed in cached.drop_harmed(features, [study.load(name).name for name in names]):
            live.print(f"data        {harmed} was changed or torn; made again")
        for name in names:
            task = live.status(name), _open, study, name
            if away:
                line, seconds, _ = work.executor.submit(executors.work, *task).result()
            else:
                line, seconds, _ = executors.work(*task)
            live.done += 1
            live.print(f"data        {line} ({seconds:.0f} s)")
        cached.seal(features, [study.load(name).name for name in names])


def _open(study: Study, name: str) -> str:
    """One data set, checked, its features made if they are not there; a line for the log."""
    data = study.load(name)
    e = study.experiment(name, study.methods[0], study.seeds[0])
    fit = split(data, e.holdout, e.seed).fit
    next(
        class_balanced(data.labels[fit], e.classes_per_batch, e.samples_per_class, e.seed)
    )  # or UserError, now
    # all the machine's cores for this one long job, one thread a worker afterwards
    torch.set_num_threads(cores())
    inputs(e, data, Path(study.results) / "features", study.device, True)
    return (
        f"{data.title}: {len(data.class_names)} classes, {len(data)} images, "
        f"{data.train_classes} classes train" + "".join(f"; {n}" for n in data.notes)
    )


# --------------------------------------------------------------------------------------- runs


def _fit(study: Study, e: Experiment, force: bool, wait: bool) -> str | None:
    """One run in a worker: a line for the log; None if another process is making it.

    wait: wait for that one instead, and take over should it die.
    """
    store = Store(Path(study.results) / "runs")
    identity = run_id(e, study.load(e.data))
    if wait:
        tell(f"waits for {holder(store.lock(identity))}", 0, 0)
    with store.alone(identity, wait) as held:
        return _train(study, e, force) if held else None


def _train(study: Study, e: Experiment, force: bool) -> str:
    said: list[str] = []
    run = fit_or_load(e, study.load(e.data), study.results, study.device, force, True, said.append)
    m = run.metrics
    text = f"R@1 {shown(m['test']['distance']['recall_1'], 1)}"
    if "score" in m["test"]:
        text += f", by score {shown(m['test']['score']['recall_1'], 1)}"
    text += f" (step {m['chosen_step']})"
    if m["collapse"]:
        text += f"; {m['collapse']}"
    return "".join(f"{line}\n" for line in said) + text


def make(study: Study, work: Work, force: bool) -> list[str]:
    """Make the runs that are missing; returns the failures.

    Those that another batch is making are left to it, and waited for when all else is done.
    """
    todo = every(study)
    if not force:
        todo = [e for e in todo if problem(e, study.load(e.data), study.results)]
    total = len(every(study))
    print(f"runs        {total - len(todo)} in the store, {len(todo)} to make", flush=True)
    # the slow ones first, so that no worker is left with them at the end
    todo.sort(key=lambda e: "PDDM" not in e.method)
    named = {label(study, e, study.load(e.data).title): e for e in todo}
    tasks = {name: (_fit, study, e, force, False) for name, e in named.items()}
    failures, later = work.collect("runs", tasks)
    if later:
        print(f"runs        {len(later)} are being made by another batch; waiting", flush=True)
        tasks = {name: (_fit, study, named[name], False, True) for name in later}
        failures += work.collect("runs", tasks)[0]
    return failures


def label(study: Study, e: Experiment, title: str) -> str:
    """A run's name on the terminal: method, data and seed, and what a variant changes."""
    if e.data.partition("@")[0] in GIVEN:  # another network than the study's
        return f"{e.method}, {title}, mode {e.mode}"
    base = study.experiment(e.data, e.method, e.seed).settings()
    changed = [f"{k}={v}" for k, v in e.settings().items() if v != base[k]]
    return f"{e.method}, {title}, seed {e.seed}" + (f" ({', '.join(changed)})" if changed else "")


def run_together(study: Study, args: argparse.Namespace) -> int:
    """Under torchrun: one run after the other, all processes at each; process 0 writes."""
    if options.names_in(args.stage) not in (["runs"], ["data", "runs"]):
        raise UserError("torchrun is for training: --stage data,runs; draw by one process after.")
    executors.start_worker()
    todo = every(study)
    main, store = distributed.rank() == 0, Store(Path(study.results) / "runs")
    with results_folder(study) if main else nullcontext():
        for n, e in enumerate(todo, 1):
            began = time.time()
            alone = store.alone(run_id(e, study.load(e.data)), wait=False)
            try:
                with alone if main else nullcontext(True) as held:
                    if not distributed.as_main_says(held):  # by waiting the others would time out
                        raise UserError("another batch is making this run: wait for it.")
                    text = _train(study, e, args.force)
            except TrainingError as err:
                print(f"{label(study, e, e.data)}: FAILED: {err}", file=sys.stderr)
                return 1  # torchrun ends the other processes
            if main:
                name = label(study, e, study.load(e.data).title)
                print(f"runs        {n}/{len(todo)} {name}: {text} [{time.time() - began:.0f} s]",
                      flush=True)  # fmt: skip
        if main and args.pack:
            pack_runs(study, args)
    distributed.wait()  # gloo may abort a process whose partner is still at work when it ends
    return 0
