"""A study: the data, network, methods and seeds of a batch; shared by notebooks and run_all."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from .. import data as data_sets
from ..data import GIVEN, ImageSet
from ..methods import METHODS, method
from ..networks import backbones, latents
from ..store.errors import UserError, unknown
from ..store.store import Store
from . import experiments
from .experiments import CHANGES, GROUPS, PROFILES, RECIPES, VARIANTS, Experiment
from .runs import Run, fit_or_load, run_id

EMBEDDED = ("synthetic_birds", "synthetic_cars")  # stand for the two halves of Table 1
# folders of results/ that are no study's
NOT_NAMES = ("runs", "features", "reference", "cost", "transfer", "zero_shot", "bench")
COMPARED = ("PDDM+Quadruplet", "Euclidean+Quadruplet")  # what variants of the recipe change


def _clone() -> Path:
    """The clone this package lies in; the working directory where it was installed by itself."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "notebooks").is_dir() else Path.cwd()


def _home(path: object) -> str:
    """`path` as text, "~" in its beginning read as a shell does: a notebook has no shell."""
    try:
        return os.path.expanduser(str(path))
    except (TypeError, ValueError) as err:
        raise UserError(f"path {path!r:.80} cannot be used ({err}).") from None


def _check_device(device: str) -> None:
    """UserError unless work can be done there."""
    name, _, number = device.partition(":")
    there = ["cpu", "cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if name not in ("cpu", "cuda") or (number and not number.isdecimal()):
        raise UserError(f"device must be cpu, cuda or cuda:1 and so on, not {device!r}.")
    if name == "cuda" and (not torch.cuda.is_available() or device not in there):
        gpus = torch.cuda.device_count()
        raise UserError(
            f"device {device} is not there: torch sees {gpus} GPUs; give --device cpu, or nothing."
        )


@dataclass(frozen=True)
class Study:
    """Everything a table or figure depends on. Build it with `Study.of`, which checks it all."""

    profile: str
    data: tuple[str, ...]
    data_root: str
    backbone: str
    weights: str
    mode: str
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    recipe: str
    settings: tuple[str, ...]
    variants: tuple[str, ...]
    results: str
    name: str
    device: str

    @classmethod
    def of(
        cls,
        profile: str = "quick",
        data: Iterable[str] = (),
        data_root: str = "",
        backbone: str = "",
        weights: str = "",
        mode: str = "",
        methods: Iterable[str] = (),
        seeds: Iterable[int] = (),
        recipe: str = "default",
        settings: Iterable[str] = (),
        variants: Iterable[str] = ("core",),
        results: str = "",
        name: str = "",
        device: str = "",
    ) -> Study:
        """A checked study; empty values take the defaults.

        Args:
            profile: "smoke" (seconds), "quick" (minutes) or "paper" (the paper's own values).
            data: names of data sets; the embedded birds and cars by default.
            data_root: where real data sets lie.
            backbone: the network (backbones.NETWORKS or timm:NAME); by default smallnet for
                embedded data, latents for worlds without pictures, else googlenet as in the
                paper.
            weights: a local weights file, "imagenet", "none", or "" for the network's default.
            mode: "frozen", "finetune", or "metric" (only the similarity learns); by default the
                profile's.
            methods: rows of Table 1; all by default, and the Mahalanobis metric of Fig. 1b.
            seeds: 0, 1, 2 by default (smoke: 0, 1).
            recipe: "default" or "letter", the paper's own.
            settings: changes of single settings for all runs, as in "alpha=0.2".
            variants: changes of the recipe to compare with it: names (experiments.CHANGES), groups
                ("core" for the number of quadruplets, the paper's letter, the heterogeneity of the
                embedded birds and the ends of the given space; "heterogeneity" and "given" alone,
                "recipe", "ablations", "sizes", "all"), or none. A change of the birds' world is
                left out on all other data.
            results: folder of the store and of everything made; results/ of the clone by default,
                or of the working directory where the package is not in a clone.
            name: of the study's own folder in there; by default made of profile, data, mode, recipe
                and settings where they are not the default (and not of network, methods or seeds).
            device: "cpu", "cuda" or "cuda:1"; a GPU where there is one, by default.

        Raises:
            UserError: whatever of it is unknown, of the wrong type, or missing on disk.
        """
        data_root, weights, results = map(_home, (data_root, weights, results))
        for what, value in (
            ("data", data),
            ("methods", methods),
            ("seeds", seeds),
            ("settings", settings),
            ("variants", variants),
        ):
            if isinstance(value, str) or not isinstance(value, Iterable):
                raise UserError(f"{what} must be a list, not {value!r}.")
        if profile not in PROFILES:
            raise unknown("profile", profile, PROFILES)
        if recipe not in RECIPES:
            raise unknown("recipe", recipe, RECIPES)
        data, methods, seeds = tuple(data), tuple(methods) or tuple(METHODS), tuple(seeds)
        data = data or EMBEDDED
        for seed in seeds:
            if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**31:
                raise UserError(f"a seed must be an integer from 0 to 2147483647, not {seed!r}.")
        for row in methods:
            method(row)
        for what, values in (("data set", data), ("method", methods), ("seed", seeds)):
            for twice in [v for v in values if values.count(v) > 1][:1]:
                raise UserError(f"{what} {twice!r} is named more than once; name it once.")
        variants = tuple(dict.fromkeys(n for v in variants for n in GROUPS.get(v, (v,))))
        for variant in variants:
            if variant not in CHANGES:
                raise unknown("variant", variant, [*GROUPS, *CHANGES])
        settings = tuple(settings)
        changed = [experiments.parse_setting(text)[0] for text in settings]
        for setting in changed:
            if changed.count(setting) > 1:
                raise UserError(f"setting '{setting}' is given more than once; give it once.")
            if setting in ("data", "method", "seed", "backbone", "weights", "mode"):
                raise UserError(
                    f"'{setting}' has an option of its own and is no setting to change."
                )
        if name and (not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name, re.ASCII) or name in NOT_NAMES):
            raise UserError(
                f"name '{name}' cannot be a study's folder: use letters, digits, '.', '_' and '-', "
                f"a letter or digit first, and none of {', '.join(NOT_NAMES)}."
            )
        for d in data:  # of a folder's name files are named: none may lead out of the results
            inner = d.partition(":")[2]
            if inner in (".", "..") or not inner.isprintable() or {*"/\\"} & {*d}:
                raise UserError(
                    f"data set {d!a}: NAME in folder:NAME is a folder or zip right in --data-root; "
                    "of a deeper one give the folder around it as --data-root."
                )
        embedded = [d.partition("@")[0] in EMBEDDED for d in data]
        if not backbone:
            given = all(d.partition("@")[0] in GIVEN for d in data)
            backbone = latents.NAME if given else "smallnet" if all(embedded) else "googlenet"
        backbones.check(backbone)
        for d in data:
            latents.check(backbone, d)
        if backbone == "smallnet" and not all(embedded) and not weights:
            raise UserError(
                "smallnet's shipped weights know the embedded world alone; for real data give "
                "--backbone, or --weights none to train it from scratch."
            )
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        _check_device(device)
        study = cls(
            profile=profile,
            data=data,
            data_root=data_root,
            backbone=backbone,
            weights=weights,
            mode=mode or experiments.make(profile=profile, data=data[0]).mode,
            methods=methods,
            seeds=seeds or ((0, 1) if profile == "smoke" else (0, 1, 2)),
            recipe=recipe,
            settings=settings,
            variants=variants,
            results=results or str(_clone() / "results"),
            name=name,
            device=device,
        )
        if (size := len(study.folder.name.encode())) > 200:  # 255 is a file system's most
            raise UserError(f"the study's folder would have a name of {size} bytes; give one of "
                            "200 or less by --name.")  # fmt: skip
        study.experiments()  # raises where the settings do not fit together
        return study

    @property
    def folder(self) -> Path:
        """Where this study's figures, tables, notebooks and report go."""
        if self.name:
            return Path(self.results) / self.name
        parts = [self.profile]
        if self.data != EMBEDDED:
            parts += [d.replace(":", "-") for d in self.data]
        if self.mode != experiments.make(profile=self.profile, data=self.data[0]).mode:
            parts.append(self.mode)
        if self.recipe != "default":
            parts.append(self.recipe)
        parts += self.settings
        return Path(self.results) / "-".join(parts)

    def load(self, name: str) -> ImageSet:
        """The data set of that name."""
        return data_sets.load(name, self.data_root, self.profile)

    def titles(self) -> dict[str, str]:
        """Data set name -> what figures call it."""
        return {name: self.load(name).title for name in self.data}

    def experiment(self, data: str, method_name: str, seed: int, /, **changes) -> Experiment:
        """One experiment of the study; `changes` are settings on top of recipe and profile."""
        own = dict(data=data, method=method_name, seed=seed, backbone=self.backbone)
        own |= dict(weights=self.weights, mode=self.mode)
        own |= dict(map(experiments.parse_setting, self.settings))
        return experiments.make(self.recipe, self.profile, **{**own, **changes})

    def experiments(self) -> list[Experiment]:
        """The whole grid, without the rows that only rank another row's runs differently."""
        rows = {METHODS[m].training: m for m in self.methods}
        grid = [(m, {}) for m in rows.values()]
        for name in self.variants:
            methods, changes = CHANGES[name]
            grid += [(m, changes) for m in methods if m in self.methods]
        return [
            self.experiment(d, m, s, **changes)
            for d in self.data
            for s in self.seeds
            for m, changes in grid
            if experiments.apply_to(d, changes)
        ]

    def run(self, data: str, method_name: str, seed: int, /, **changes) -> Run:
        """One run, from the store or fitted with a progress bar."""
        return self.run_of(self.experiment(data, method_name, seed, **changes))

    def run_of(self, e: Experiment) -> Run:
        """The run of an experiment, as `run` gives it."""
        images = self.load(e.data)
        with Store(Path(self.results) / "runs").alone(run_id(e, images)):
            run = fit_or_load(e, images, self.results, self.device)
        if log := os.environ.get("PDDM_WRITES"):  # the pipeline asks what a notebook is made of
            with open(log, "a", encoding="utf-8", errors="surrogateescape") as f:
                f.write(f"run {run.id}\n")
        return run

    def runs(self, methods: Iterable[str] = (), **changes) -> dict[tuple[str, str, int], Run]:
        """(data, method, seed) -> run, for the study's methods or those named among them.

        Data sets to which the changes cannot be made are left out.
        """
        chosen = [m for m in (methods or self.methods) if m in self.methods]
        data = [d for d in self.data if experiments.apply_to(d, changes)]
        keys = [(d, m, s) for d in data for m in chosen for s in self.seeds]
        return {key: self.run(*key, **changes) for key in keys}

    def variant_runs(self, among: Iterable[str] = VARIANTS) -> dict[tuple[str, str, str, int], Run]:
        """(data, variant, method, seed) -> run, of the study's variants that are `among` those.

        Variant "" is the recipe as it stands.
        """
        out = {}
        for name in ("", *(v for v in self.variants if v in among)):
            methods, changes = CHANGES.get(name, (COMPARED, {}))
            if set(methods) & set(self.methods):
                for (data, method_name, seed), run in self.runs(methods, **changes).items():
                    out[data, name, method_name, seed] = run
        return out

    def left_out(self, wanted: Iterable[str]) -> list[str]:
        """Those of the wanted methods that are not among the study's."""
        return [m for m in wanted if m not in self.methods]

    def arguments(self) -> dict[str, object]:
        """What `Study.of`, and so a notebook's parameters cell, takes to give this study again."""
        values = dataclasses.asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    def content(self) -> dict[str, object]:
        """What makes this study another than one in the same folder: `arguments` without places.

        Of a weights file the name is kept, and not where it lies.
        """
        places = ("data_root", "results", "name", "device")
        kept = {k: v for k, v in self.arguments().items() if k not in places}
        return {**kept, "weights": Path(self.weights).name}


def measures(runs: dict[tuple[str, str, int], Run], split: str = "test") -> pd.DataFrame:
    """Tidy results of runs: data, method, seed, run, measure, value; as each method ranks.

    Measures: recall_1 .. recall_32 (percent), auc, eer, overlap (0 to 1).
    """
    rows = []
    for (data, name, seed), run in runs.items():
        metrics = run.metrics
        ranking = METHODS[name].rank
        for measure, value in metrics[split][ranking].items():
            rows.append((data, name, seed, run.id, measure, value))
    return pd.DataFrame(rows, columns=["data", "method", "seed", "run", "measure", "value"])


__all__ = ["COMPARED", "EMBEDDED", "Study", "measures"]
