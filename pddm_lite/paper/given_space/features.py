"""Real features, fixed: what a similarity alone makes of them, with Mahalanobis as the rival.

    python -m pddm_lite.paper.given_space.features --data A,B --data-root DIR --weights FILE
    python -m pddm_lite.paper.given_space.features --choose                 in the given space
    python -m pddm_lite.paper.given_space.features --choose --data A,B ...  on real features

The second and third ask by which loss each similarity learns best, on held-out training classes
alone: what experiments.ROW_CHANGES rests on. Features are put on their principal axes.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ...data import listed
from ...data.base import ImageSet, split
from ...measures.evaluate import evaluate_fully
from ...methods import METHODS
from ...store.arguments import Parser
from ...store.errors import UserError, escape_letters
from ...training import experiments, loop
from ...training.experiments import RECIPES, Experiment
from ...training.inputs import inputs
from ...training.study import Study
from ..judge import interval
from ..wording import with_interval
from . import given

MAPPED = "PDDM after a linear map"
# row -> (method, changes of the recipe `given`); the linear map is a head that E_m alone teaches
ROWS = {
    "Mahalanobis": ("Mahalanobis score", {}),
    "LMDM": ("LMDM score", {}),
    "PDDM": ("PDDM score", {}),
    MAPPED: ("PDDM score", dict(mode="frozen", lam=0.0)),
}
SHOWN = {"overlap": 3, "auc": 3, "recall_1": 1}  # measure -> digits
EVENNESS = "evenness"  # given.evenness of the unseen classes, in the space that the row ranks in
_DEFAULT = {k: getattr(experiments.make(data="d"), k) for k in RECIPES["given"]}
_DEFAULT = {k: v for k, v in _DEFAULT.items() if v != RECIPES["given"][k]}
# what each similarity may learn by: as many trials for each
TRIALS = {
    "given": {},
    "given, a third of the rate": dict(lr=1e-3),
    "given, three times the rate": dict(lr=1e-2),
    "given, semi-hard": dict(negatives="semihard"),
    "default": _DEFAULT,
    "default, the given rate": {k: v for k, v in _DEFAULT.items() if k != "lr"},
}


def experiment(study: Study, data: str, seed: int, row: str, **changes) -> Experiment:
    """One run on real features: recipe `given`, the study's network and settings."""
    method, own = ROWS[row]
    settings = dict(map(experiments.parse_setting, study.settings))
    base = dict(mode="metric", head_init="pca", backbone=study.backbone, weights=study.weights)
    base |= dict(steps=given.STEPS[study.profile], eval_every=given.STEPS[study.profile] // 5)
    everything = {**base, **own, **settings, **changes}
    return experiments.make(
        "given", study.profile, data=data, method=method, seed=seed, **everything
    )


def training_side(data: ImageSet, seed: int) -> tuple[ImageSet, np.ndarray]:
    """(the training classes alone, their images' places in `data`): a fifth of them stands for the
    test classes, so that trials can be judged where no test image is at hand."""
    parts = split(data, 0.2, seed)
    idx = np.concatenate([parts.fit, parts.val])
    order = np.concatenate([np.unique(data.labels[own]) for own in (parts.fit, parts.val)])
    new = np.full(len(data.class_names), -1)
    new[order] = np.arange(len(order))
    side = dataclasses.replace(
        data,
        labels=new[data.labels[idx]],
        class_names=tuple(data.class_names[c] for c in order),
        read=lambda i: data.read(int(idx[i])),
        train_classes=len(np.unique(data.labels[parts.fit])),
        parts=(),
        latents=None if data.latents is None else data.latents[idx],
    )
    return side, idx


def held_out(study: Study, e: Experiment) -> dict[str, dict[str, float]]:
    """Test measures, by "distance" and "score", where held-out training classes are the test."""
    data = study.load(e.data)
    side, idx = training_side(data, e.seed)
    features = Path(study.results) / "features"
    source, net = inputs(e, data, features, study.device, sys.stdout.isatty())
    source = dataclasses.replace(source, x=source.x[torch.from_numpy(idx).to(source.device)])
    fitted = loop.fit(e, side, source, net, bar=False)
    f = loop.embed(fitted.model, source, side.test)
    labels, part = side.labels[side.test], data.part[idx][side.test]
    labels, part = (torch.from_numpy(x).to(f.device) for x in (labels, part))
    return evaluate_fully(f, labels, fitted.similarity, part if data.parts else None)[0]


def choose(study: Study, rows: Iterable[str] = tuple(ROWS)) -> pd.DataFrame:
    """Every trial of every row on held-out classes: data, seed, row, trial, overlap, auc, recall_1.

    On the study's real data; of a study of the synthetic birds, in the given space at both ends of
    the knob, whose worlds are the seeds.
    """
    out = []
    if study.data == ("synthetic_birds",):
        keys = [(h, w) for h in given.ENDS for w in range(given.WORLDS[study.profile])]
    else:
        keys = [(d, s) for d in study.data for s in study.seeds]
    for place, seed in keys:
        for row in [r for r in rows if isinstance(place, str) or r in given.ROWS]:
            for trial, changes in TRIALS.items():
                if isinstance(place, str):
                    e = experiment(study, place, seed, row, **changes)
                else:
                    e = given.experiment(study, place, seed, given.ALONE, row, **changes)
                found = held_out(study, e)
                for name in ("score",) if trial != "given" else ("distance", "score"):
                    ours = row if name == "score" else "Euclidean"
                    kept = {k: found[name][k] for k in SHOWN}
                    out.append(dict(data=place, seed=seed, row=ours, trial=trial) | kept)
    return pd.DataFrame(out).drop_duplicates(["data", "seed", "row", "trial"])


def measured(study: Study, rows: Iterable[str] = tuple(ROWS)) -> pd.DataFrame:
    """Test measures of runs of the store, made if missing: data, title, seed, row, run, overlap,
    auc, recall_1, evenness. The Euclidean row is the fixed features' own distance."""
    out = []
    for data in study.data:
        for seed in study.seeds:
            for row in rows:
                e = experiment(study, data, seed, row)
                run = study.run_of(e)
                names = {METHODS[ROWS[row][0]].rank: row}
                even = given.evenness(run.embeddings["f"], run.embeddings["labels"])
                if e.mode == "metric":
                    names["distance"] = "Euclidean"
                for ranking, name in names.items():
                    kept = {k: run.metrics["test"][ranking][k] for k in SHOWN}
                    kept[EVENNESS] = even
                    of = dict(data=data, title=study.titles()[data], seed=seed, row=name)
                    out.append(of | dict(run=run.id) | kept)
    return pd.DataFrame(out).drop_duplicates(["data", "seed", "row"])


def table(frame: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """A row a group of `by`: each measure's mean over the seeds with its 95 % interval."""
    rows = []
    for key, own in frame.groupby(by, sort=False):
        row = dict(zip(by, key, strict=True), seeds=own["seed"].nunique())
        for measure, digits in {**SHOWN, EVENNESS: 2}.items():
            if measure in own:
                row[measure] = with_interval(*interval(own[measure]), digits)
        rows.append(row)
    return pd.DataFrame(rows)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    prog = "python -m pddm_lite.paper.given_space.features"
    p = Parser(prog=prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", default="synthetic_birds", help="data sets, as run_all.py takes them")
    p.add_argument("--data-root", default="")
    p.add_argument("--backbone", default="")
    p.add_argument("--weights", default="")
    p.add_argument("--seeds", default="0,1,2")
    p.add_argument("--profile", default="quick")
    p.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="settings")
    p.add_argument("--results", default="results")
    p.add_argument("--choose", action="store_true", help="try each loss on held-out classes")
    p.add_argument("--out", default="", metavar="FILE.csv", help="write the numbers there")
    escape_letters()
    torch.set_num_threads(1)
    try:
        args = p.parse_args(argv)
        study = Study.of(
            profile=args.profile,
            data=listed(args.data),
            data_root=args.data_root,
            backbone=args.backbone,
            weights=args.weights,
            seeds=[int(s) for s in args.seeds.split(",")],
            settings=args.settings,
            results=str(Path(args.results).resolve()),
        )
        frame = choose(study) if args.choose else measured(study)
    except UserError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    by = ["data", "row", "trial"] if args.choose else ["data", "row"]
    print(table(frame, by).to_string(index=False))
    if args.out:
        frame.to_csv(args.out, index=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
