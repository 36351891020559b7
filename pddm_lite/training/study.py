"""A study: the data, network, methods and seeds of a batch; shared by notebooks and run_all."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from .. import data as data_sets
from ..data import ImageSet
from ..methods import METHODS
from ..store.errors import UserError
from ..store.store import Store
from . import checks, experiments
from .checks import STANDARD
from .experiments import CHANGES, PROFILES, RECIPES, VARIANTS, Experiment
from .runs import Run, fit_or_load, run_id

COMPARED = ("PDDM+Quadruplet", "Euclidean+Quadruplet")  # what variants of the recipe change


def _clone() -> Path:
    """The clone this package lies in; the working directory where it was installed by itself."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "notebooks").is_dir() else Path.cwd()


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
        seeds: Iterable[int] = (),
        settings: Iterable[str] = (),
        results: str = "",
        options: Iterable[str] = (),
        *,
        backbone: str = "",
        weights: str = "",
        mode: str = "",
        methods: Iterable[str] = (),
        recipe: str = "default",
        variants: Iterable[str] = ("core",),
        name: str = "",
        device: str = "",
    ) -> Study:
        """A checked study; empty values take the defaults.

        The first seven are a notebook's parameters; its `options` hold the rest.

        Args:
            profile: "smoke" (seconds), "quick" (minutes) or "paper" (the paper's own values).
            data: names of data sets; the synthetic birds and cars by default.
            data_root: where real data sets lie.
            seeds: 0, 1, 2 by default (smoke: 0, 1).
            settings: changes of single settings for all runs, as in "alpha=0.2".
            results: folder of the store and of everything made; results/ of the clone by default,
                or of the working directory where the package is not in a clone.
            options: any argument below as text, as in "mode=finetune" or
                "methods=Triplet,PDDM score"; it goes before the argument itself, a later one before
                an earlier one.
            backbone: the network (backbones.NETWORKS or timm:NAME); by default smallnet for
                synthetic data, latents for worlds without pictures, else googlenet as in the
                paper.
            weights: a local weights file, "imagenet", "none", or "" for the network's default.
            mode: "frozen", "finetune", or "metric" (only the similarity learns); by default the
                profile's.
            methods: rows of Table 1; all by default, and the Mahalanobis metric of Fig. 1b.
            recipe: "default" or "letter", the paper's own.
            variants: changes of the recipe to compare with it: names (experiments.CHANGES), groups
                ("core" for the hardest negatives, the paper's letter, and, of the
                synthetic birds, the ends of the given space; "heterogeneity" and "given" alone,
                "recipe", "ablations", "sizes", "all"), or none. A change of the birds' world is
                left out on all other data.
            name: of the study's own folder in there; by default made of profile, data, mode, recipe
                and settings where they are not the default (and not of network, methods or seeds).
            device: "cpu", "cuda" or "cuda:1"; a GPU where there is one, by default.

        Raises:
            UserError: whatever of it is unknown, of the wrong type, or missing on disk.
        """
        if given := checks.options(options):
            own = dict(backbone=backbone, weights=weights, mode=mode, methods=methods)
            own |= dict(recipe=recipe, variants=variants, name=name, device=device)
            return cls.of(profile, data, data_root, seeds, settings, results, **(own | given))
        data_root, weights, results = map(checks.path, (data_root, weights, results))
        lists = dict(
            data=data, methods=methods, seeds=seeds, settings=settings, variants=variants
        )  # fmt: skip
        data, methods, seeds, settings, variants = (checks.listed(*x) for x in lists.items())
        profile = checks.among("profile", profile, PROFILES)
        data = checks.data(data)
        study = cls(
            profile=profile,
            data=data,
            data_root=data_root,
            backbone=checks.backbone(backbone, data, weights),
            weights=weights,
            mode=mode or experiments.make(profile=profile, data=data[0]).mode,
            methods=checks.methods(methods),
            seeds=checks.seeds(seeds, profile),
            recipe=checks.among("recipe", recipe, RECIPES),
            settings=checks.settings(settings),
            variants=checks.variants(variants),
            results=results or str(_clone() / "results"),
            name=checks.name(name),
            device=checks.device(device),
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
        if self.data != STANDARD:
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
        """What `Study.of` takes to give this study again."""
        values = dataclasses.asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    def content(self) -> dict[str, object]:
        """What makes this study another than one in the same folder: `arguments` without places.

        Of a weights file the name is kept, and not where it lies.
        """
        places = ("data_root", "results", "name", "device")
        kept = {k: v for k, v in self.arguments().items() if k not in places}
        return {**kept, "weights": Path(self.weights).name}


def measures(runs: dict[tuple[str, str, int], Run]) -> pd.DataFrame:
    """Tidy test results of runs: data, method, seed, run, measure, value; as each method ranks.

    Measures: recall_1 .. recall_32 (percent), auc, eer, overlap (0 to 1).
    """
    rows = []
    for (data, name, seed), run in runs.items():
        metrics = run.metrics
        ranking = METHODS[name].rank
        for measure, value in metrics["test"][ranking].items():
            rows.append((data, name, seed, run.id, measure, value))
    return pd.DataFrame(rows, columns=["data", "method", "seed", "run", "measure", "value"])
