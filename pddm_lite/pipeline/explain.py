"""--explain and --dry-run: what is stale, and why; nothing is done."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ..data import ImageSet
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
        known = list(_known(store))
        for e in given.every(study):
            data = study.load(e.data)
            why = problem(e, data, study.results)
            if why or args.explain or args.force:
                why = _nearest(e, data, known) if why == "not made yet" else why
                print(f"run       {label(study, e, e.data)}: "
                      + (why or _made(store, run_id(e, data))))  # fmt: skip
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


def _known(store: Store) -> Iterator[tuple[dict, dict]]:
    """(settings, manifest) of every stored run that this version of the code can read."""
    for identity in store.ids():
        with suppress(OSError, ValueError, TypeError):  # torn, or with other settings
            config = Experiment(**store.json(identity, "config.json")).settings()
            yield config, store.json(identity, "manifest.json")


def _nearest(e: Experiment, data: ImageSet, known: list[tuple[dict, dict]]) -> str:
    """Why a run is not in the store, by the nearest one that is."""
    own, alike = e.settings(), []
    for config, manifest in known:
        if all(Path(w).name != w for w in (config["weights"], own["weights"])):
            # of a weights file the content counts, and not where it lies or lay elsewhere
            config = {**config, "weights": own["weights"]}
        if all(config[k] == own[k] for k in ("data", "method", "seed")):
            alike.append(([k for k in own if config[k] != own[k]], config, manifest))
    if not alike:
        return "not made yet"
    changed, config, manifest = min(alike, key=lambda a: len(a[0]))
    if changed:
        return "settings changed: " + ", ".join(f"{k} {config[k]} -> {own[k]}" for k in changed)
    if manifest["data_fingerprint"] != data.fingerprint:
        return "the data changed"
    if manifest.get("fit") != loop.FIT:
        return f"training's version {manifest.get('fit')} -> {loop.FIT}"
    return "the weights file changed"
