"""Your own folder of images: a demo of one, its study, and what training adds to the start."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from ..data import ImageSet, split
from ..data.sampler import class_balanced
from ..data.synthetic import species_names, world
from ..measures.evaluate import evaluate_fully
from ..methods import METHODS
from ..networks import backbones
from ..networks.embedding import Embedding
from ..paper import judge, wording
from ..paper.decide import Runs
from ..pddm import Euclidean
from ..store.errors import UserError
from ..store.files import beside, sweep
from ..training.inputs import inputs
from ..training.study import Study

START = "start (untrained)"  # the network's features on their principal axes
PLAIN, PDDM = "Triplet", "PDDM+Quadruplet"  # the baseline beside it, and what is taken away
COMPARED = (PLAIN, PDDM, "PDDM score")
SHOWN = {"recall_1": 1, "recall_2": 1, "recall_4": 1, "recall_8": 1, "auc": 3, "overlap": 3}
SPECIES, IMAGES, FIRST = 40, 10, 5000  # of the demo: birds that neither study nor smallnet trains
DEMO_SETTINGS = ("steps=200",)  # 80 times through its 160 training images


# ---------------------------------------------------------------------- the folder, the study


def study_of(study: Study) -> Study:
    """The study of the reader's own folder: `study`'s first data set if it is one, else the demo.

    Either way on frozen features and at most at profile quick, so that it takes seconds or minutes,
    and by the methods COMPARED alone. Its figures go where those of `study` do.
    """
    scale = dict(
        profile="smoke" if study.profile == "smoke" else "quick",
        mode="frozen",
        methods=COMPARED,
        variants=(),
    )
    if is_folder(study):
        own = replace(study, data=study.data[:1], **scale)
    else:
        own = Study.of(
            data=[f"folder:{demo(study.folder / 'own_images').name}"],
            data_root=str(study.folder / "own_images"),
            backbone="smallnet",
            weights=str(backbones.SHIPPED),  # the demo is of the world that they know
            seeds=study.seeds,
            settings=() if study.profile == "smoke" else DEMO_SETTINGS,
            results=study.results,
            device=study.device,
            **scale,
        )
    return replace(own, name=study.folder.name)


def is_folder(study: Study) -> bool:
    """Whether the study's first data set is a folder of the reader's own."""
    return study.data[0].partition(":")[0] == "folder"


def demo(folder: Path) -> Path:
    """`folder`/demo_birds, 40 painted species as a tree <class>/<image>.png; what is there stays.

    Raises:
        CannotWrite: the folder cannot be written, or its disk is full.
    """
    final = folder / "demo_birds"
    names = species_names("birds", FIRST, SPECIES)
    paths = [final / c.replace(" ", "_") / f"{n:02d}.png" for c in names for n in range(IMAGES)]
    if all(path.exists() for path in paths):
        return final
    sweep({path.parent for path in paths})
    painted = world("birds", SPECIES, IMAGES, first=FIRST).images
    for path, picture in zip(paths, painted, strict=True):
        if not path.exists():
            with beside(path) as made:
                # not compressed: the sizes, which name the data, hang on no version of zlib
                Image.fromarray(picture).save(made, compress_level=0)
                made.chmod(0o644)
                os.replace(made, path)
    return final


def look(study: Study) -> tuple[ImageSet, pd.Series]:
    """The folder's images and what there is to know of them, checked before anything is trained.

    Raises:
        UserError: no folder, an empty one, classes of too few images (data.folder); or fewer
            classes than a batch holds, with the settings that would fit.
    """
    data = study.load(study.data[0])
    e = study.experiment(data.name, PDDM, study.seeds[0])
    parts = split(data, e.holdout, e.seed)
    held, fit = (len(np.unique(data.labels[idx])) for idx in (parts.val, parts.fit))
    if fit < 2:
        raise UserError(
            f"{data.name}: only {fit} of the {len(data.class_names)} classes trains, but a pair of "
            "two classes needs two; half of the classes train, so give 4 or more."
        )
    class_balanced(data.labels[parts.fit], e.classes_per_batch, e.samples_per_class, e.seed)
    images = np.bincount(data.labels)
    facts = {
        "images": len(data),
        "images a class": f"{images.min()} to {images.max()}",
        "classes that train": fit,
        "classes held out to choose the step": held,
        "classes that test, none of them seen": len(data.class_names) - data.train_classes,
        "first and last test class": f"{data.class_names[data.train_classes]}, "
        f"{data.class_names[-1]}",
    }
    return data, pd.Series(facts, name=data.title)


def batches(study: Study, data: ImageSet, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """What a loop of one's own reads: (x [m, features], y [m]), as many batches as the runs take.

    Features of training images, as the network was pretrained, in batches of some images of each of
    some classes; y are numbers of classes. On the study's device.
    """
    e = study.experiment(data.name, PDDM, seed)
    source, _ = inputs(e, data, Path(study.results) / "features", study.device, bar=False)
    fit = split(data, e.holdout, seed).fit
    drawn = class_balanced(data.labels[fit], e.classes_per_batch, e.samples_per_class, seed)
    for at in islice(drawn, e.steps):
        idx = fit[at]
        yield source.batch(idx, train=True), torch.from_numpy(data.labels[idx]).to(source.device)


# ----------------------------------------------------------------------- beside the untrained


def start(study: Study, data: ImageSet, seed: int) -> Tensor:
    """f [n, d] of the test images before the first step: the network as it was pretrained."""
    e = study.experiment(data.name, PDDM, seed)
    source, _ = inputs(e, data, Path(study.results) / "features", study.device, bar=False)
    torch.manual_seed(seed)  # as loop.fit begins
    model = Embedding(source.features, e.embedding_size).to(source.device)
    if e.head_init == "pca":
        model.start_from_pca(source.x[split(data, e.holdout, seed).fit])
    with torch.no_grad():
        return model(source.batch(data.test, train=False)).cpu()


def compare(runs: Runs, starts: dict[int, Tensor], data: ImageSet) -> pd.DataFrame:
    """Test measures in tidy form: method, seed, measure, value; START's among the methods."""
    rows = []
    for seed, f in starts.items():
        labels = torch.from_numpy(data.labels[data.test])
        measures, *_ = evaluate_fully(f, labels, Euclidean())
        rows += [(START, seed, k, v) for k, v in measures["distance"].items()]
    for (_, name, seed), run in runs.items():
        measures = run.metrics["test"][METHODS[name].rank]
        rows += [(name, seed, k, v) for k, v in measures.items()]
    return pd.DataFrame(rows, columns=["method", "seed", "measure", "value"])


def table(tidy: pd.DataFrame) -> pd.DataFrame:
    """`compare` for people: a row a method, mean ± sd over seeds; last what training adds to R@1.

    Recall in percent; AUC and overlap from 0 to 1; the gain in points, paired by seed, with its
    95 % Student interval.
    """
    rows = []
    for name, own in tidy.groupby("method", sort=False):
        values = own.groupby("measure")["value"]
        row = {"method": name}
        for k, digits in SHOWN.items():
            title = k.replace("recall_", "R@").replace("auc", "AUC")
            row[title] = wording.spread(values.get_group(k), digits) if k in values.groups else ""
        gain = wording.with_interval(*judge.interval(gains(tidy, name)), 1, "+")
        rows.append(row | {"R@1 over the start": gain if name != START else ""})
    return pd.DataFrame(rows)


def gains(tidy: pd.DataFrame, name: str) -> list[float]:
    """Recall@1 of a method minus that of its start in points, seed by seed."""
    first = tidy[tidy["measure"] == "recall_1"].pivot(index="seed", columns="method")["value"]
    return (first[name] - first[START]).tolist()
