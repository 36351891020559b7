"""--explain and --dry-run: what is stale, and why; nothing is done."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from ..paper.given_space import given
from ..store.store import Store, source_hash
from ..training import loop, ownership
from ..training.experiments import Experiment
from ..training.runs import SOURCES, problem, run_id
from . import notebooks
from .runs import label


def explain(study, names, stages, parameters, args: argparse.Namespace) -> int:
    """--explain and --dry-run: what is stale and why, without doing any of it."""
    store = Store(Path(study.results) / "runs")
    if "runs" in stages:
        why = _reasons(store)
        for e in given.every(study):
            why_not = problem(e, study.load(e.data), study.results)
            if why_not or args.explain or args.force:
                state = (
                    why(e, study.load(e.data), why_not)
                    if why_not
                    else _made(store, run_id(e, study.load(e.data)))
                )
                print(f"run       {label(study, e, e.data)}: {state}")
    if "notebooks" in stages:
        if differs := ownership.difference(study):
            print(f"folder    {os.path.relpath(study.folder)} holds another study ({differs})")
        for name in names:
            state = notebooks.stale(study, name, parameters)
            if state or args.explain or args.force:
                print(f"notebook  {name}: {state or 'fresh'}")
            if (state or args.force) and args.dry_run:
                print("          " + notebooks.papermill_command(study, name, parameters))
    if "report" in stages and args.dry_run:
        print(f"report    {study.folder / 'report.html'}")
    return 0


def _made(store: Store, identity: str) -> str:
    """That a run is there, and by which source it was made where that is not today's."""
    manifest = store.json(identity, "manifest.json")
    if manifest["source"] == source_hash(*SOURCES):
        return "in the store"
    return f"in the store; made by another source (commit {manifest['commit'] or 'unknown'})"


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
        if manifest.get("fit") != loop.FIT:
            return f"training's version {manifest.get('fit')} -> {loop.FIT}"
        return "the weights file changed"

    return why
