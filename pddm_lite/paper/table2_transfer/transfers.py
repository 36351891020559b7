"""Transfer to new classes (Sec. 4, left half of Table 2) of finished runs: joined and kept.

A run's features, learned on its source classes, serve classes that it has not seen: each new class
is the mean of a few of its images (classifiers). On synthetic data the new classes are new
species of the same world (data.new_species), on real data the study's test classes.

What is measured belongs to a run: it is kept in results/transfer/, and measured again where the
run, the new images, the plan or TRANSFER are others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ...data import SYNTHETIC, ImageSet, fingerprint, split
from ...data.new_species import new_species
from ...measures import learned
from ...measures.ncm import class_means
from ...networks.embedding import Embedding
from ...pddm import Similarity, r
from ...store.errors import UserError
from ...store.progress import progress
from ...store.store import Store
from ...training.embedder import embed_images, plain_features
from ...training.runs import Run, run_id
from ...training.study import Study
from ..table2 import METHODS, PDDM, PLAIN, TRANSFER, UNTRAINED, learned_metric, plan
from . import classifiers

NCM, METRIC, SCORE = "NCM", "NCM, learned metric", "NCM by PDDM score"  # names of classifiers
KNN, LINEAR = "k-NN", "linear"
SMALL = 100
COLUMNS = ["data", "features", "seed", "run", "classifier", "classes", "per_mean", "images"]
COLUMNS += ["queries", "draw", "k", "accuracy"]


def by_score(x, y, queries, asked, classes, ks, seed, device="cpu", similarity=None) -> dict:
    """A classifiers.Classifier that ranks class means by a learned S(f, mu) in place of distance.

    The mean is put back on the unit sphere, the only place where the unit was taught. As in
    ncm.accuracy, ties never help.

    Raises:
        UserError: scores that are not finite.
    """
    mu = r(class_means(x, y, classes))
    f, at, means = queries[:], torch.arange(classes), []
    for one in range(len(f)):  # one image with every mean
        means.append(_scores(similarity, f[one], mu, at))
    S, own = torch.stack(means), torch.from_numpy(asked)[:, None]
    if not torch.isfinite(S).all():  # NaN compares False with everything: it would rank first
        raise UserError("transfer: some scores are not finite.")
    rank = (S >= S.gather(1, own)).sum(1)  # the own class counts itself: 1 is the best
    return {k: 100 * float((rank <= k).double().mean()) for k in ks}


@torch.no_grad()
def _scores(similarity: Similarity, f: Tensor, mu: Tensor, at: Tensor) -> Tensor:
    both = torch.cat([mu, f[None]])
    return similarity.pairs(both, at, torch.full_like(at, len(mu)))


class NewClasses:
    """The source and the new classes of one data set of a study, and their plain features.

    Raises:
        UserError: a class both source and new, or with fewer than two images.
    """

    def __init__(self, study: Study, name: str):
        self.study, self.name = study, name
        self.source = study.load(name)
        trained = self.source.train_classes
        if name.partition("@")[0] in SYNTHETIC:
            self.images, first = new_species(name, study.profile), 0
        else:
            self.images, first = self.source, trained
        self.names = self.images.class_names[first:]
        self.index = np.flatnonzero(self.images.labels >= first)
        self.labels = self.images.labels[self.index] - first  # 0.. in the order of `names`
        classifiers.check_disjoint(self.source.class_names[:trained], self.names)
        classifiers.check_images(self.labels, range(len(self.names)), self.names)

    def plain(self, data: ImageSet) -> Tensor:
        """The untrained network's features of all images of `data`."""
        e = self.study.experiment(self.name, PDDM, self.study.seeds[0])
        return plain_features(e, data, self.source, self.study.results, self.study.device).cpu()

    @cached_property
    def x(self) -> Tensor:
        """The same of the new images: [n, features]."""
        return self.plain(self.images)[torch.from_numpy(self.index)]

    @cached_property
    def metric(self) -> Tensor | None:
        """`learned_metric` of the data set; None where its source classes are too few for one."""
        try:
            return learned_metric(self.study, self.name)
        except learned.NoMetric:
            return None

    def untrained(self, seed: int) -> Tensor:
        """f at step 0 of the kit's recipe: principal axes of the source, on the unit sphere."""
        e = self.study.experiment(self.name, PDDM, seed)
        x = self.plain(self.source)
        model = Embedding(x.shape[1], min(e.embedding_size, x.shape[1]))
        model.start_from_pca(x[torch.from_numpy(split(self.source, e.holdout, seed).fit)])
        with torch.no_grad():
            return model(self.x)

    def embedded(self, run: Run) -> Tensor:
        """f of the new images under a run: [n, d]."""
        study = self.study
        f = embed_images(run, self.images, self.index, study.results, study.device, self.source)
        return f.cpu()


def measure(new: NewClasses, features: str, run: Run | None, seed: int) -> pd.DataFrame:
    """classifiers.curves of one sort of features: against the number of classes at all images per
    mean, and against the images per mean at all classes.

    Seeds draw classes and images anew, the same for all features: comparisons are paired by seed.
    PLAIN has the learned metric besides. PLAIN and the paper's method have, at the study's first
    seed, the classifiers that are trained on the new classes themselves: k-NN and linear.
    """
    p, total = plan(new.study), len(new.names)
    if features in (PLAIN, UNTRAINED):
        f = new.x if features == PLAIN else new.untrained(seed)
    else:
        f = new.embedded(run)
    sizes, every = classifiers.log_grid(total), [classifiers.ALL]
    most = int(np.bincount(new.labels).max())
    most -= classifiers.number_asking(most)
    few = [n for n in classifiers.PER_MEAN if classifiers.ALL < n < most]
    means = {NCM: classifiers.nearest_mean}
    if features == PLAIN and new.metric is not None:
        means[METRIC] = partial(classifiers.nearest_mean, metric=new.metric)
    asked = [  # classifiers, numbers of classes, images per mean, draws
        (means, [n for n in sizes if n <= SMALL], every, p.small_draws),
        (means, [n for n in sizes if n > SMALL], every, p.draws),
        (means, [total], few, p.draws),
    ]
    if features == PDDM:
        score = {SCORE: partial(by_score, similarity=run.similarity())}
        asked.append((score, [n for n in sizes if n <= p.scored], every, p.draws))
    if features in (PLAIN, PDDM) and seed == new.study.seeds[0]:
        settings = dict(epochs=p.linear_epochs, least_steps=p.linear_steps)
        trained = {KNN: classifiers.neighbours, LINEAR: partial(classifiers.linear, **settings)}
        ceilings = sorted({*sizes[::3], total})
        asked.append((trained, [n for n in ceilings if n <= p.linear_classes], every, 1))
        more = {KNN: classifiers.neighbours}
        asked.append((more, [n for n in ceilings if n > p.linear_classes], every, 1))
    curves = partial(
        classifiers.curves,
        f,
        new.labels,
        range(total),
        ks=[k for k in (1, 5) if k <= sizes[0]],
        seed=seed,
        device=new.study.device,
    )
    found = [
        curves(classifiers=c, sizes=own, per_mean=n, draws=draws)
        for c, own, n, draws in asked
        if own and n
    ]
    return pd.concat(found, ignore_index=True)


def _parts(study: Study) -> Iterator[tuple[str, str, int]]:
    """(data, features, seed): a part is measured and kept by itself."""
    methods = [m for m in METHODS if m in study.methods]
    for name in study.data:
        for features in (PLAIN, UNTRAINED, *methods):
            for seed in study.seeds:
                yield name, features, seed


def measured(study: Study, show: bool = True) -> pd.DataFrame:
    """COLUMNS: the transfer of every run of METHODS in the study, and of the features before it.

    `run` is "" for PLAIN and UNTRAINED. Accuracies are in percent. From results/transfer/ where
    they were measured before; else made, with one bar.

    Raises:
        UserError: classes that are both source and new, a class with fewer than two images; as
            embed_images; the results folder cannot be written.
    """
    store = Store(Path(study.results) / "transfer")
    sets = {name: NewClasses(study, name) for name in study.data}
    frames = []
    for name, features, seed in progress(list(_parts(study)), "transfer", show):
        new = sets[name]
        run = study.run(name, features, seed) if features in METHODS else None
        # plain and untrained features hang on what a run is made of, and on no method
        what = run.id if run else run_id(study.experiment(name, PDDM, seed), new.source)
        key = fingerprint(
            features, what, seed == study.seeds[0], new.images.fingerprint,
            new.names, sorted(asdict(plan(study)).items()), TRANSFER,
        )  # fmt: skip
        about = {"data": name, "features": features, "seed": seed, "run": run.id if run else ""}
        store.cached(key, partial(_files, new, features, run, seed), about, study.device)
        frames.append(store.csv(key, "transfer.csv").assign(**about))
    return pd.concat(frames, ignore_index=True)[COLUMNS]


def _files(*of) -> dict[str, pd.DataFrame]:
    return {"transfer.csv": measure(*of)}


def seeds_mean(frame: pd.DataFrame, k: int = 1) -> pd.DataFrame:
    """Top-k of `measured`, averaged over draws: one row a data set, features, classifier, classes,
    per_mean and seed."""
    by = ["data", "features", "classifier", "classes", "per_mean", "seed"]
    kept = frame[frame["k"] == k].groupby(by, sort=False)
    return kept[["accuracy", "images", "queries"]].mean().reset_index()


def at_all(frame: pd.DataFrame, k: int = 1) -> pd.DataFrame:
    """Rows of `seeds_mean` with all new classes of a data set and all images per mean."""
    t = seeds_mean(frame, k)
    largest = t.groupby("data")["classes"].transform("max")
    return t[(t["classes"] == largest) & (t["per_mean"] == classifiers.ALL)].reset_index(drop=True)


def protocol(study: Study) -> str:
    """A line a data set: from which classes to which, and by how many images."""
    lines = []
    for name in study.data:
        new = NewClasses(study, name)
        counts = np.bincount(new.labels)
        lines.append(
            f"{new.source.title}: {new.source.train_classes:,} source classes, {len(new.names):,} "
            f"new classes ({'new species' if new.images is not new.source else 'the test classes'})"
            f", {counts.min()} to {counts.max()} images each; {plan(study).draws} draws a seed "
            f"({plan(study).small_draws} of {SMALL} classes or fewer)"
        )
        try:
            learned.check_source(new.source.labels[new.source.train])
        except learned.NoMetric as why:
            lines[-1] += f"; left out, since {why}"
    return "\n".join(lines)
