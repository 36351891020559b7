"""Claims decided on runs: the questions of questions.py, asked of Table 1's and changed ones.

A new claim, its threshold and the margin of level: questions.py; its words: printed.py; the rule
that turns an interval into a verdict: judge.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from ..measures import spread
from ..methods import METHODS
from ..training.runs import Run
from .judge import NOT_ENOUGH, Spread, Verdict, count, judge, missing, resampled, spread_of
from .questions import MEASURES, NEW_CLASSES, PDDM, SOFTMAX, Claim, Side

Runs = dict[tuple[str, str, int], Run]  # (data, method, seed) -> run
VariantRuns = dict[tuple[str, str, str, int], Run]  # (data, variant, method, seed) -> run
BY_CLASS = ("recall_1", "auc", "overlap")  # what a run keeps by test class


def verdict(claim: Claim, runs: Runs, variant_runs: VariantRuns, data: str) -> Verdict | None:
    """The verdict on one question and data set; None where an optional one cannot be asked."""
    measure, terms = MEASURES[claim.measure], list(claim.terms)
    notes = [claim.note] * bool(claim.note)
    if claim.rivals:
        best = _best(claim, runs, data)
        terms.append((-1, Side(best or claim.rivals[0])))
        notes.append("best rival by mean")
    changed = any(side.change for _, side in terms)
    own = [_by_seed(side, runs, variant_runs if changed else None, data) for _, side in terms]
    if claim.optional and not all(own):
        return None
    lacks = dict.fromkeys(side.method for (_, side), x in zip(terms, own, strict=True) if not x)
    notes += [f"{name} was not run" for name in lacks]
    both = sorted(set.intersection(*map(set, own)))
    seeds = [s for s in both if len(own) == 1 or any(_trained(x[s]) for x in own)]
    if len(seeds) < len(both):
        notes.append(f"{count(len(both) - len(seeds), 'seed')} left out: nothing was trained")
    own = [[x[s] for s in seeds] for x in own]
    notes += _untrained(terms, own)
    if claim.measure == "speed":
        values = [np.log2(speed(*pair)) for pair in zip(*own, strict=True)]
        if silent := int(np.isnan(values).sum()):
            notes.append(f"{count(silent, 'seed')} without a rise over the start")
        found = spread_of(values)
    else:
        found = _spread(claim.measure, terms, own)
    names = [side.change or ("recipe" if changed else side.method) for _, side in terms]
    what = claim.what or " - ".join(names) + f", by {terms[0][1].by}" * changed
    return judged(claim, measure.name, what, data, found, notes)


def judged(
    claim: Claim, name: str, what: str, data: str, found: Spread, notes: list[str]
) -> Verdict:
    """The Verdict on a spread; of a ratio found, which is of logs, effect and bounds are ratios."""
    measure = MEASURES[claim.measure]
    threshold = np.log2(claim.threshold) if measure.ratio else claim.threshold
    how = (threshold, claim.claimed, measure.margin)
    verdict, level = judge(found, *how)
    if level and threshold:
        rival = f" with {what.rpartition(' - ')[2]}" * bool(claim.rivals)
        notes = [
            *notes,
            f"level{rival} within {measure.margin:g}{' point' * (measure.margin == 1)}",
        ]
    if verdict == NOT_ENOUGH and found.seeds:  # without any, the notes say why
        notes = [*notes, missing(found, *how)]
    bounds = [2.0**v if measure.ratio else v for v in found.interval]
    return Verdict(
        claim.claim,
        claim.part,
        data,
        f"{name}: {what}",
        measure.unit,
        *bounds,
        claim.claimed,
        claim.threshold,
        verdict,
        level,
        "; ".join(notes),
        found.seeds,
    )


def value(run: Run, side: Side, measure: str) -> float:
    """A measure of a run, at the state of a side of a question, by that side's ranking."""
    if measure == "overfitting":  # train: all training classes, the held-out ones too
        return overfitting(run)
    if measure == "silhouette":
        return spread.of(run, spread.silhouette)
    if measure.startswith("looser"):
        found = spread.of(run, spread.summary)
        return found["looser"] - (found["looser_by_chance"] if measure != "looser" else 0.0)
    return run.metrics["test"][side.by or METHODS[side.method].rank][measure]


def overfitting(run: Run) -> float:
    """Train minus test AUC of the score; train: all training classes, the held-out ones too."""
    return run.metrics["train"]["score"]["auc"] - run.metrics["test"]["score"]["auc"]


def _spread(measure: str, terms: list[tuple[float, Side]], own: list[list[Run]]) -> Spread:
    """Spread of the weighted sum of the terms; `own`: of each the runs, seed by seed."""
    values, draws, classes = 0.0, 0.0, 2
    for (w, side), runs in zip(terms, own, strict=True):
        values = values + w * np.array([value(run, side, measure) for run in runs])
        if measure in BY_CLASS:
            kept = [run.by_class for run in runs]
            ranking = side.by or METHODS[side.method].rank
            draws = draws + w * np.array([resampled(measure, x, ranking) for x in kept])
            classes = min((len(x["images"]) for x in kept), default=2)
    return spread_of(values, draws if measure in BY_CLASS else None, classes)


def _by_seed(side: Side, runs: Runs, variant_runs: VariantRuns | None, data: str) -> dict[int, Run]:
    """seed -> run of a side, at its state; of variant_runs where these are given."""
    asked, found = [data, side.method], runs
    if variant_runs is not None:
        asked, found = [data, side.change, side.method], variant_runs
    own = {s: run for (*key, s), run in found.items() if key == asked}
    return {s: run.at(side.at) if side.at else run for s, run in own.items()}


def _best(claim: Claim, runs: Runs, data: str) -> str:
    """The rival with the highest mean; "" where none was run."""
    means = {}
    for rival in claim.rivals:
        side = Side(rival)
        own = _by_seed(side, runs, None, data).values()
        if own:
            means[rival] = np.mean([value(run, side, claim.measure) for run in own])
    return max(means, key=means.get) if means else ""


def _trained(run: Run) -> bool:
    return run.metrics["chosen_step"] > 0


def _untrained(terms: list[tuple[float, Side]], own: list[list[Run]]) -> list[str]:
    """What has to be known of runs that collapsed, or whose best step was their first."""
    said = {}
    for (_, side), runs in zip(terms, own, strict=True):
        name = side.change or side.method
        for what, n in (
            ("collapsed", sum(bool(run.metrics["collapse"]) for run in runs)),
            ("kept step 0", sum(not _trained(run) for run in runs)),
        ):
            if n:
                said[f"{name} {what} in {n} of {count(len(runs), 'seed')}"] = None
    return list(said)


# ------------------------------------------------------------------------- how fast a run rises


def speed(euclidean: Run, pddm: Run) -> float:
    """Steps that Euclidean mining needs for one of PDDM mining to a common level (C4), or nan."""
    curves = {}
    for name, run in (("euclidean", euclidean), ("pddm", pddm)):
        history = run.history
        if "val_recall_1" not in history:  # no classes were held out
            return np.nan
        curves[name] = history.set_index("step")["val_recall_1"]
    found = common_level(curves)
    return found[1]["euclidean"] / found[1]["pddm"] if found else np.nan


def _first_step(curve: pd.Series, level: float) -> float:
    """Step at which a curve that starts below the level reaches it, linear between evaluations."""
    steps, values = curve.index.to_numpy(float), curve.to_numpy()
    at = int(np.argmax(values >= level))
    rise = (level - values[at - 1]) / (values[at] - values[at - 1])
    return float(steps[at - 1] + rise * (steps[at] - steps[at - 1]))


def common_level(curves: Mapping[str, pd.Series]) -> tuple[float, dict[str, float]] | None:
    """(level, step at which each curve reaches it), of Recall@1 by step.

    The level is nine tenths of the way from the start (the same head, so the same for all) up to
    the lowest of the curves' best. None where that way is under half a point: that is noise.
    """
    start = max(c.iloc[0] for c in curves.values())
    best = min(c.max() for c in curves.values())
    if best - start < 0.5:
        return None
    level = float(start + 0.9 * (best - start))
    return level, {m: _first_step(c, level) for m, c in curves.items()}


def over_rivals(name: str, t: pd.Series, keys: dict[str, tuple]) -> list[Verdict]:
    """PDDM's lead over each rival, a data set and rival a row, paired by seed.

    t: by data, what is compared (one level or more) and seed.  keys: name -> what is compared.
    """
    claim, found = NEW_CLASSES[name], []
    for data in dict.fromkeys(t.index.get_level_values("data")):
        own = by_key(t, data, *keys[PDDM])
        for rival in claim.rivals:
            theirs = by_key(t, data, *keys[rival])
            if not theirs and rival != SOFTMAX:
                continue  # not in this study, and not what the claim is about
            values = [own[s] - theirs[s] for s in sorted(own.keys() & theirs.keys())]
            asked, what = replace(claim, part=f"over {rival}"), f"{PDDM} - {rival}"
            notes = [] if theirs else [f"{rival} was not run"]
            unit = MEASURES[claim.measure].name
            found.append(judged(asked, unit, what, data, spread_of(values), notes))
    return found


def by_key(t: pd.Series, *key: str) -> dict[int, float]:
    """seed -> value of a series by key and seed."""
    return t.xs(key, level=list(range(len(key)))).to_dict() if key in t.index.droplevel(-1) else {}
