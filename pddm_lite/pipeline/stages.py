"""The four stages - data, runs, notebooks, report - over one executor."""

from __future__ import annotations

import argparse
import os
import shlex
import time
from contextlib import ExitStack

from ..store.errors import UserError, unknown
from ..training import ownership
from ..training.study import Study
from . import executors, notebooks, options, report, runs
from .cluster import cluster
from .live import Live
from .pack import pack_runs
from .places import claim, drawing, results_folder
from .summary import Summary
from .work import Work


def run(study: Study, args: argparse.Namespace, began: float) -> int:
    """All stages asked for; 0 if everything succeeded, else 1."""
    chosen = options.names_in(args.only)
    for name in chosen:
        if name not in notebooks.notebooks():
            raise unknown("notebook", name, notebooks.notebooks())
    stages = options.names_in(args.stage) or list(options.STAGES)
    for name in stages:
        if name not in options.STAGES:
            raise unknown("stage", name, options.STAGES)
    names = chosen or notebooks.notebooks()
    parameters = notebooks.check_parameters(names, dict(args.parameter))
    if parameters:  # what the notebooks would raise, before the first of them runs
        Study.of(**(study.arguments() | parameters)).titles()
    if args.explain or args.dry_run:
        from .explain import explain

        return explain(study, names, stages, parameters, args)
    draws = {"notebooks", "report"} & set(stages)
    if draws and (differs := ownership.difference(study)):
        where = os.path.relpath(study.folder)
        if ownership.other_inputs(study):  # which this command line would not make again
            raise UserError(f"{where} holds a study of other data ({differs}): {ownership.REMEDY}.")
        if "notebooks" not in stages:
            raise UserError(
                f"{where} holds another study's figures ({differs}): make this one's by --stage "
                "notebooks,report, or choose a folder of its own by --name."
            )
        print(f"{where} held another study ({differs}): its figures are made again; --name keeps "
              "both", flush=True)  # fmt: skip
    failures: list[str] = []
    # with --only, --force means those notebooks, unless the runs are asked for by name
    force = args.force and not (chosen and not args.stage)
    summary = Summary(study, args)
    with ExitStack() as stack:
        folder = stack.enter_context(results_folder(study))
        if draws:
            stack.enter_context(drawing(study))
        print(f"{study.profile}: {', '.join(study.titles().values())}; {study.backbone}, "
              f"{study.mode}, seeds {', '.join(map(str, study.seeds))}", flush=True)  # fmt: skip
        where = (
            cluster(args.scheduler, study.device, folder)
            if args.scheduler
            else executors.pool(int(args.jobs))
        )
        executor = stack.enter_context(where)
        work = Work(executor, folder, summary)
        if "data" in stages:
            runs.prepare(study, work, bool(args.scheduler))
        if "runs" in stages:
            failures += runs.make(study, work, force)
        if draws:
            claim(study)
        if "notebooks" in stages:
            failures += _notebooks(study, work, names, parameters, args)
        if "report" in stages:
            with summary.stage(Live("report", ["report"], folder)):
                path, lines = report.write(study, failures)
            print("\n".join(lines))
            print(f"report      {os.path.relpath(path)}")
        if args.pack:
            pack_runs(study, args)
        if not ownership.difference(study):
            summary.keep()
    print("\n".join(summary.lines()))
    print(f"{'done' if not failures else f'{len(failures)} failed'} in {time.time() - began:.0f} s")
    return 1 if failures else 0


def _notebooks(
    study: Study, work: Work, names: list[str], parameters: dict, args: argparse.Namespace
) -> list[str]:
    why = {n: notebooks.stale(study, n, parameters) for n in names}
    if not (args.force or args.only):
        names = [n for n in names if why[n]]
    print(f"notebooks   {len(why) - len(names)} fresh, {len(names)} to execute", flush=True)
    for name in names:
        if why[name] not in ("", notebooks.NEW):
            print(f"            {name}: {why[name]}", flush=True)
    tasks = {n: (notebooks.execute, study, n, parameters, repeat(study, args, n)) for n in names}
    return work.collect("notebooks", tasks)[0]


def repeat(study: Study, args: argparse.Namespace, name: str) -> str:
    """The command that executes just that notebook again."""
    words = ["python", "run_all.py", "--only", name]
    flags = (
        "profile data data_root backbone weights mode recipe methods seeds variants results name "
        "device"
    )
    for flag in flags.split():
        value = getattr(args, flag)
        if value and value != options.parser().get_default(flag):
            words += [f"--{flag.replace('_', '-')}", value]
    for text in args.settings:
        words += ["--set", text]
    for key, value in args.parameter:
        words += ["-p", key, value]
    return shlex.join(words)
