"""Zero-shot recognition of a study's runs (Table 2, right): which classes are unseen, and results.

A data set's `Protocol` says which hierarchy its classes belong to, whose images make means
(the known classes) and which classes are unseen. Where many classes share a parent nothing can tell
them apart (see zero_shot), so one for each parent is unseen at a time, and what is found
is averaged over several such draws.

What a run gives is kept in results/zero_shot/ and computed again where the run, the data, the
hierarchy or ZERO_SHOT is another.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ...data import SYNTHETIC, ImageSet, fingerprint, synthetic
from ...measures.learned import NoMetric, check_source
from ...measures.ncm import class_means
from ...store.errors import UserError
from ...store.progress import progress
from ...store.store import Store
from ...training.embedder import embed_images, plain_features
from ...training.experiments import Experiment
from ...training.runs import run_id
from ...training.study import Study
from ..table2 import METHODS, PDDM, PLAIN, SOFTMAX, TRANSFER, learned_metric, plan
from . import hierarchy, zero_shot
from . import rivals as zero_shot_rivals
from .hierarchy import Hierarchy
from .zero_shot import RULES, Task

RULE = "ancestors"  # that of [21], whose protocol the paper follows
TRUE, SHUFFLED = "as it is", "shuffled"  # hierarchies; a floor: its classes dealt out anew
DRAWS = 10  # at most
WORDNET = ("tiny_imagenet", "imagenet")  # classes of these are called by their wnids
NO_SEED = -1  # of plain features
LEARNED = "plain, metric of [21]"  # features: plain ones under table2.learned_metric
FILES = ("results.csv", "errors.csv")
COLUMNS = ["data", "features", "seed", "run"]
MEASURES = ("flat", "chance", "ceiling")
RESULTS = [*COLUMNS, *"draw by hierarchy k".split(), *MEASURES, *"tied unseen".split()]
ERRORS = [*COLUMNS, *"draw by hierarchy distance share chance".split()]
# Raise it when what is measured of the same run, data and protocol changes: draws, rules, rivals,
# how scores are counted, the embedding of images. Then all is measured again.
# 2: tied classes stand in random order; rule "distinct"; [21] with its metric.
ZERO_SHOT = 2


class NoZeroShot(UserError):
    """Zero-shot recognition cannot be asked of a data set: why, and what would do."""


@dataclass(frozen=True, eq=False)
class Protocol:
    """Which classes are known, which unseen, and the hierarchy over both.

    known, unseen: class numbers; the images of the known classes make means
    one_each:      one unseen class for each parent in a draw, where all at once would tie
    words:         the same for people to read
    """

    hierarchy: Hierarchy
    known: np.ndarray
    unseen: np.ndarray
    one_each: bool
    words: str

    def content(self) -> tuple:
        """What results depend on."""
        pairs = sorted(self.hierarchy.pairs())
        return pairs, self.known.tolist(), self.unseen.tolist(), self.one_each, DRAWS


def protocol(data: ImageSet, root: str | Path = "") -> Protocol:
    """The data set's.

    Args:
        root: the data root; WordNet lies in its folder "wordnet".

    Raises:
        NoZeroShot: no hierarchy of its classes (CUB, CARS, SOP, folders), or no WordNet there;
            fewer unseen classes in a draw than the 5 that are asked for.
        UserError: WordNet's files broken or in a circle; a class that it lacks or that has no path
            to the rest.
    """
    name, classes = data.name.partition("@")[0], data.class_names
    known = np.arange(data.train_classes)
    unseen = np.arange(data.train_classes, len(classes))
    if name in SYNTHETIC:
        h, one_each = _taxonomy(SYNTHETIC[name], classes), True
        words = "the test species, one of each family at a time; means of the training species"
    elif name == "omniglot":
        h, one_each = hierarchy.alphabets([classes[c] for c in unseen]), True
        known, unseen = halves(h, classes, unseen)
        words = (
            "half of the characters of each evaluation alphabet, one of each alphabet at a time; "
            "means of the other half. The features were trained on background alphabets alone, "
            "which share no node with these but the root: so the known characters gave means, but "
            "were not trained on either"
        )
    elif name in WORDNET:
        folder, one_each = Path(root).expanduser() / "wordnet", False
        if not folder.is_dir():
            raise NoZeroShot(
                f"{data.title}: zero-shot recognition needs WordNet, and there is no {folder}; "
                "put image-net.org's wordnet.is_a.txt there as is_a.txt, and its words.txt."
            )
        h = hierarchy.wordnet(folder)
        words = "all test classes at once; means of the training classes"
    else:
        raise NoZeroShot(
            f"{data.title}: no hierarchy of its classes is at hand, so no zero-shot recognition."
        )
    h = h.restricted([classes[c] for c in (*known, *unseen)])
    p = Protocol(h, known, unseen, one_each, words)
    least, there = max(zero_shot.KS), len(draws(p, classes)[0])
    if there < least:
        raise NoZeroShot(
            f"{data.title}: {there} unseen classes, but zero-shot recognition asks for the "
            f"{least} best of them; let fewer classes train."
        )
    return p


def _taxonomy(kind: str, classes: Iterable[str]) -> Hierarchy:
    """The synthetic world's, its families found by the first word of their species' names."""
    one = synthetic.world(kind, species=synthetic.FAMILIES, images=1)  # one species a family
    order = dict(zip(one.families, one.orders, strict=True))
    families = [c.split()[0] for c in classes]
    return hierarchy.taxonomy(kind, classes, families, [order[f] for f in families])


def halves(
    h: Hierarchy, classes: tuple[str, ...], chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The chosen classes in two, at random within each parent; the first half is never smaller."""
    rng, first = np.random.default_rng([0, 23]), []
    for own in _siblings(h, classes, chosen):
        first += rng.permutation(own)[: (len(own) + 1) // 2].tolist()
    return np.sort(first), np.setdiff1d(chosen, first)


def _siblings(h: Hierarchy, classes: tuple[str, ...], chosen: np.ndarray) -> list[list[int]]:
    """The chosen classes in groups of the same parents."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for c, v in zip(chosen.tolist(), h.places([classes[c] for c in chosen]), strict=True):
        groups.setdefault(tuple(h.parents[v]), []).append(c)
    return list(groups.values())


def draws(p: Protocol, classes: tuple[str, ...]) -> list[np.ndarray]:
    """The unseen classes of each draw, sorted. Each class has its turn before one comes again."""
    if not p.one_each:
        return [p.unseen]
    rng = np.random.default_rng(29)
    orders = [rng.permutation(own) for own in _siblings(p.hierarchy, classes, p.unseen)]
    number = min(DRAWS, max(map(len, orders)))
    return [np.sort([own[draw % len(own)] for own in orders]) for draw in range(number)]


# ----------------------------------------------------------------------------- of features


def recognise(
    data: ImageSet, p: Protocol, idx: np.ndarray, f: Tensor, rivals: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Zero-shot recognition with features f, by every rule or by every rival of Table 2.

    Args:
        idx: [n] image numbers, of known and unseen classes.
        f: [n, d], their features.
        rivals: the methods of RIVALS in place of the rules.

    Returns:
        results: a row a draw, method (`by`, a key of RULES or RIVALS), hierarchy (TRUE; of rules
            SHUFFLED, too, where the known classes' means change places) and k: flat, chance,
            ceiling (percent; see zero_shot.Result), tied, unseen (classes).
        errors: a row a draw, `by`, hierarchy and distance in the hierarchy, in steps, between the
            truth and the answer: share of images (percent), and that of guessing (`chance`).
    """
    names = data.class_names
    labels = data.labels[idx]
    is_known = np.isin(labels, p.known)
    features, known = f[torch.from_numpy(is_known)], np.searchsorted(p.known, labels[is_known])
    seen = tuple(names[c] for c in p.known)
    means = class_means(features, known, len(seen), seen)
    results, errors, likely = [], [], None
    for draw, unseen in enumerate(draws(p, names)):
        asked = np.isin(labels, unseen)
        images, y = f[torch.from_numpy(asked)], np.searchsorted(unseen, labels[asked])
        y = torch.from_numpy(y)
        there = (p.hierarchy, seen, tuple(names[c] for c in unseen))
        task = Task(*there, means, features, torch.from_numpy(known))
        ways = []
        if rivals:
            if likely is None:  # p(s|x): the known classes are those of every draw
                others = f[torch.from_numpy(~is_known)]
                likely = zero_shot_rivals.seen_probabilities(task, others)
            own = likely[torch.from_numpy(asked[~is_known])]
            for by, rival in zero_shot_rivals.RIVALS.items():
                ways.append((by, TRUE, rival(task, images, own)))
        else:
            other = torch.randperm(len(seen), generator=torch.Generator().manual_seed(draw))
            floor = Task(*there, means[other])
            ways += [(by, TRUE, zero_shot.by_means(task, images, by)) for by in RULES]
            ways.append((RULE, SHUFFLED, zero_shot.by_means(floor, images, RULE)))
        for by, kind, scores in ways:
            row = {"draw": draw, "by": by, "hierarchy": kind}
            r = zero_shot.evaluate(scores, y)
            for k in zero_shot.KS:
                values = {m: getattr(r, m)[k] for m in MEASURES}
                results.append(row | {"k": k} | values | {"tied": r.tied, "unseen": len(unseen)})
            errors.append(zero_shot.error_distances(task, scores, y).assign(**row))
    errors = pd.concat(errors, ignore_index=True)
    return pd.DataFrame(results)[RESULTS[4:]], errors[ERRORS[4:]]


# ------------------------------------------------------------------------------ of runs


def work(study: Study) -> list[tuple[str, str, int, bool]]:
    """What `measured` asks `of` for: (data, features, seed, rivals) of each set with a protocol.

    Every rule on every compared method's runs, on the network's own features (PLAIN) and on those
    under the metric of [21] (LEARNED, where its source classes suffice); the rivals of Table 2,
    which take long, once: on the first seed's Softmax features, if those were studied.
    """
    methods, first = [m for m in METHODS if m in study.methods], study.seeds[0]
    tasks = []
    for d in study.data:
        data = study.load(d)
        try:
            protocol(data, study.data_root)
        except NoZeroShot:
            continue
        tasks += [(d, m, s, False) for m in methods for s in study.seeds]
        tasks.append((d, PLAIN, NO_SEED, False))
        try:
            check_source(data.labels[data.train])
            tasks.append((d, LEARNED, first, False))
        except NoMetric:
            pass
        tasks.append((d, *((SOFTMAX, first) if SOFTMAX in methods else (PLAIN, NO_SEED)), True))
    return tasks


def of(study: Study, data: str, features: str, seed: int, rivals: bool) -> list[pd.DataFrame]:
    """[results, errors] of one piece of `work`: from the store, or computed and kept there."""
    images, store = study.load(data), Store(Path(study.results) / "zero_shot")
    p = protocol(images, study.data_root)
    plain = features in (PLAIN, LEARNED)
    e = study.experiment(data, PDDM if plain else features, max(seed, 0))
    identity = run_id(e, images)  # of plain ones, too: it names their network and data
    metric = (plan(study).metric_steps, TRANSFER) if features == LEARNED else ()
    key = fingerprint(features, identity, *p.content(), rivals, *metric, ZERO_SHOT)

    def made() -> dict[str, pd.DataFrame]:
        f, idx = _features(study, data, features, e, p)
        return dict(zip(FILES, recognise(images, p, idx, f, rivals), strict=True))

    about = {"data": images.name, "features": features, "rivals": rivals}
    store.cached(key, made, about, study.device)
    found = [store.csv(key, name) for name in FILES]
    for table in found:
        for at, value in enumerate((data, features, seed, "" if plain else identity)):
            table.insert(at, COLUMNS[at], value)
    return found


def _features(
    study: Study, data: str, features: str, e: Experiment, p: Protocol
) -> tuple[Tensor, np.ndarray]:
    """Features [n, d] of the images of known and unseen classes, and their numbers [n]."""
    images, results, device = study.load(data), study.results, study.device
    idx = np.flatnonzero(np.isin(images.labels, [*p.known, *p.unseen]))
    if features in (PLAIN, LEARNED):
        x = plain_features(e, images, images, results, device).cpu()[torch.from_numpy(idx)]
        return x if features == PLAIN else x @ learned_metric(study, data).cpu().T, idx
    run = study.run(data, features, e.seed)
    return embed_images(run, images, idx, results, device).cpu(), idx


def measured(study: Study, bar: bool = True) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(results, errors) of all `work` of a study, from the store where it is there.

    Tables as `recognise` makes them, with data, features (a method, PLAIN or LEARNED), seed (of the
    run or metric; NO_SEED of PLAIN) and run (its id) as further columns. Both empty without any
    hierarchy.

    Raises:
        UserError: as `protocol` does; a run whose features cannot be made again.
    """
    found = [of(study, *task) for task in progress(work(study), "zero-shot", bar)]
    if not found:
        return pd.DataFrame(columns=RESULTS), pd.DataFrame(columns=ERRORS)
    results, errors = (pd.concat(tables, ignore_index=True) for tables in zip(*found, strict=True))
    return results, errors
