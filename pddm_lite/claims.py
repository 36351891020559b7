"""The paper's claims decided by code: effect, 95 % interval over paired seeds, verdict."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from . import cost, paper, transfers, unseen
from .evaluation import spread
from .experiments import CHANGES, SIZES
from .methods import METHODS
from .training import Run

REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced"
NOT_ENOUGH = "not enough evidence"

PDDM, EUCLIDEAN = "PDDM+Quadruplet", "Euclidean+Quadruplet"  # the two minings compared
MAHALANOBIS = "Mahalanobis score"
POINTS, OVERFITTING = "Recall@1, points", "train - test AUC of the score"  # units of effects
SHARE, CLUSTERS = "share of classes", "clusters"
SIMILAR = 0.05  # C2: overlaps at most so far apart, a twentieth of all pairs, are alike
IN_PARTS = 0.05  # C3: more than one class in twenty is a part of the space and not an exception

Runs = dict[tuple[str, str, int], Run]  # (data, method, seed) -> run
VariantRuns = dict[tuple[str, str, str, int], Run]  # (data, variant, method, seed) -> run


@dataclass(frozen=True)
class Verdict:
    """What the runs say of one claim on one data set."""

    claim: str
    data: str
    measure: str  # what the effect is, with its unit
    effect: float  # mean over seeds
    low: float  # 95 % interval
    high: float
    threshold: float  # the claim says: effect above this, or, two-sided, nearer to 0
    verdict: str
    note: str
    seeds: int
    part: str = ""  # which half of its claim, where a claim has two
    two_sided: bool = False  # the claim says that two things are alike


def count(n: int, noun: str) -> str:
    """ "1 seed", "2 seeds"."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and 95 % Student interval of paired differences; nan bounds below two values."""
    x = np.asarray(values, dtype=float)
    if len(x) < 2:
        return (float(x.mean()) if len(x) else np.nan, np.nan, np.nan)
    half = stats.t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x))
    return float(x.mean()), float(x.mean() - half), float(x.mean() + half)


def decide(
    values: Sequence[float], threshold: float = 0.0, two_sided: bool = False
) -> tuple[float, float, float, str]:
    """(mean, low, high, verdict): reproduced if the interval lies above the threshold, not
    reproduced if below, not enough evidence if it holds the threshold or seeds are fewer than 3.

    Two-sided, the claim is that the mean is 0 but for the threshold: reproduced if the interval
    lies between -threshold and threshold, not reproduced if it lies outside. That no difference
    was found is not enough: a wide interval shows nothing.
    """
    values = [v for v in values if np.isfinite(v)]
    mean, low, high = interval(values)
    if len(values) < 3:
        return mean, low, high, NOT_ENOUGH
    if two_sided:
        inside = -threshold < low and high < threshold
        outside = low > threshold or high < -threshold
    else:
        inside, outside = low > threshold, high < threshold
    return mean, low, high, REPRODUCED if inside else NOT_REPRODUCED if outside else NOT_ENOUGH


def _value(run: Run, method: str, measure: str) -> float:
    return run.metrics["test"][METHODS[method].rank][measure]


def _paired(
    runs: Runs, data: str, a: str, b: str, measure: str = "recall_1", sign: int = 1
) -> list[float]:
    """sign * (a - b) for each seed that both have."""
    seeds = sorted(s for d, m, s in runs if d == data and m == a and (data, b, s) in runs)
    return [
        sign * (_value(runs[data, a, s], a, measure) - _value(runs[data, b, s], b, measure))
        for s in seeds
    ]


def _difference(
    claim: str,
    a: str,
    b: str,
    measure: str = "recall_1",
    sign: int = 1,
    part: str = "",
):
    unit = POINTS if measure == "recall_1" else measure

    def f(runs: Runs, data: str) -> Verdict:
        values = _paired(runs, data, a, b, measure, sign)
        what = f"{a} - {b}" if sign > 0 else f"{b} - {a}"
        decided = _decided(values, 0.0)
        return Verdict(claim, data, f"{unit}: {what}", *decided, "", len(values), part)

    return f


def _decided(
    values: Sequence[float], threshold: float, two_sided: bool = False
) -> tuple[float, float, float, float, str]:
    mean, low, high, verdict = decide(values, threshold, two_sided)
    return mean, low, high, threshold, verdict


def _overlap_of_score(runs: Runs, data: str, method: str) -> list[float]:
    """Overlap of the score - overlap of Euclidean distance, on the same runs' features."""
    tests = [run.metrics["test"] for (d, m, _), run in runs.items() if (d, m) == (data, method)]
    return [t["score"]["overlap"] - t["distance"]["overlap"] for t in tests]


def c1_same_features(runs: Runs, data: str) -> Verdict:
    """C1 on one set of features: Euclidean distance and PDDM score of the same runs."""
    values = [-x for x in _overlap_of_score(runs, data, "PDDM score")]
    what = "overlap: Euclidean distance - PDDM score, on PDDM's own features"
    decided, part = _decided(values, 0.0), "both on PDDM's own features"
    return Verdict("C1", data, what, *decided, "stricter than Fig. 1b", len(values), part)


def c2(runs: Runs, data: str) -> Verdict:
    """C2 as in Fig. 1b: each metric on the features trained with it."""
    values, pddm = (
        _paired(runs, data, m, EUCLIDEAN, "overlap") for m in (MAHALANOBIS, "PDDM score")
    )
    return _alike(data, f"{MAHALANOBIS} - {EUCLIDEAN}", values, pddm, "each on features of its own")


def c2_same_features(runs: Runs, data: str) -> Verdict:
    """C2 on one set of features: Mahalanobis and Euclidean distance of the same runs."""
    values, pddm = (_overlap_of_score(runs, data, m) for m in (MAHALANOBIS, "PDDM score"))
    what = "Mahalanobis - Euclidean distance, on the same features"
    return _alike(data, what, values, pddm, "both on the Mahalanobis metric's own features")


def _alike(
    data: str, what: str, values: Sequence[float], pddm: Sequence[float], part: str
) -> Verdict:
    """Whether overlaps differ by SIMILAR at most; the note has PDDM's difference as a yardstick."""
    note = f"for scale, PDDM's: {np.mean(pddm):.3f}" if len(pddm) else ""
    if len(pddm) and abs(np.mean(pddm)) < SIMILAR:
        note += (
            "; the margin is wider than that: being within it does not tell Mahalanobis from PDDM"
        )
    decided = _decided(values, SIMILAR, True)
    return Verdict("C2", data, f"overlap: {what}", *decided, note, len(values), part, True)


def _c3(of: Callable[[dict], float], threshold: float, what: str, part: str, luck: bool = False):
    """C3: classes whose spread exceeds the gap to the nearest class (evaluation.spread).

    luck: the note says which share there would be by chance.
    """

    def f(runs: Runs, data: str) -> Verdict:
        own = [run for (d, m, _), run in runs.items() if (d, m) == (data, EUCLIDEAN)]
        found = [spread.of(run, spread.summary) for run in own]
        values, note = [of(x) for x in found], ""
        if luck and found:
            chance = np.mean([x["looser_by_chance"] for x in found])
            note = f"luck alone, with all classes equally loose, gives {chance:.3f}"
        decided = _decided(values, threshold)
        return Verdict("C3", data, f"{SHARE}: {what}", *decided, note, len(values), part)

    return f


def c4(runs: Runs, data: str) -> Verdict:
    """C4: steps that Euclidean mining needs for one step of PDDM mining, to a common level.

    The level is `common_level`'s, seed by seed; a seed without one says nothing.
    """
    ratios, silent = [], 0
    for seed in sorted({s for d, m, s in runs if d == data}):
        pair = {m: runs[data, m, seed] for m in (EUCLIDEAN, PDDM) if (data, m, seed) in runs}
        if len(pair) < 2:
            continue
        found = common_level(
            {m: run.history.set_index("step")["test_recall_1"] for m, run in pair.items()}
        )
        if found is None:
            silent += 1
        else:
            ratios.append(found[1][EUCLIDEAN] / found[1][PDDM])
    # ratios are judged on the log scale, where 2 and 1/2 are as far from 1
    mean, low, high, verdict = decide(np.log2(ratios) if ratios else [], 1.0)
    note = f"{count(silent, 'seed')} without a rise over the start" if silent else ""
    what = "steps of Euclidean mining per step of PDDM mining to a common test Recall@1"
    return Verdict(
        "C4", data, what, *(2.0**v for v in (mean, low, high)), 2.0, verdict, note, len(ratios)
    )


def _first_step(curve: pd.Series, level: float) -> float:
    """Step at which a curve that starts below the level reaches it, linear between evaluations."""
    steps, values = curve.index.to_numpy(float), curve.to_numpy()
    at = int(np.argmax(values >= level))
    rise = (level - values[at - 1]) / (values[at] - values[at - 1])
    return float(steps[at - 1] + rise * (steps[at] - steps[at - 1]))


def common_level(curves: dict[str, pd.Series]) -> tuple[float, dict[str, float]] | None:
    """(level, step at which each curve reaches it), of test Recall@1 by step.

    The level is nine tenths of the way from the start (the same head, so the same for all) up to
    the lowest of the curves' best. None where that way is under half a point: that is noise.
    """
    start = max(c.iloc[0] for c in curves.values())
    best = min(c.max() for c in curves.values())
    if best - start < 0.5:
        return None
    level = float(start + 0.9 * (best - start))
    return level, {m: _first_step(c, level) for m, c in curves.items()}


EUCLIDEAN_MINED = ("Contrastive", "Triplet", "LiftedStruct", "Euclidean+Quadruplet")


def _lead(claim: str, unit: str, of: Callable[[Run], float], threshold: float, part: str = ""):
    """PDDM+Quadruplet's lead over the best rival, the rival being whichever has the highest mean.

    of: what of a run is compared.  unit: of the effect; with ", " what it is of several of a unit.
    """

    def f(runs: Runs, data: str) -> Verdict:
        means = {}
        for rival in EUCLIDEAN_MINED:
            values = [of(run) for (d, m, _), run in runs.items() if (d, m) == (data, rival)]
            if values:
                means[rival] = np.mean(values)
        best = max(means, key=means.get) if means else "Triplet"
        seeds = sorted(s for d, m, s in runs if (d, m) == (data, PDDM) and (data, best, s) in runs)
        values = [of(runs[data, PDDM, s]) - of(runs[data, best, s]) for s in seeds]
        decided = _decided(values, threshold)
        measure = f"{unit}{PDDM} - {best}"
        return Verdict(claim, data, measure, *decided, "best rival by mean", len(values), part)

    return f


def _by_distance(measure: str) -> Callable[[Run], float]:
    return lambda run: run.metrics["test"]["distance"][measure]


c10 = _lead("C10", f"{POINTS}: ", _by_distance("recall_1"), 8.0)


# claim -> functions of (runs, data); methods each needs
DECIDERS: dict[str, list[Callable[[Runs, str], Verdict]]] = {
    "C1": [
        _difference(
            "C1",
            "PDDM score",
            "Euclidean+Quadruplet",
            "overlap",
            sign=-1,
            part="each on features of its own",
        ),
        c1_same_features,
    ],
    "C2": [c2, c2_same_features],
    "C3": [
        _c3(
            lambda found: found["looser"],
            IN_PARTS,
            "spread > gap to the nearest class",
            "share of classes",
            luck=True,
        ),
        _c3(
            lambda found: found["looser"] - found["looser_by_chance"],
            0.0,
            "spread > gap to the nearest class - by chance",
            "more than if all classes were equally loose",
        ),
    ],
    "C4": [c4],
    "C6": [_difference("C6", "PDDM score", "LMDM score")],
    "C7": [_difference("C7", "PDDM+Quadruplet", "PDDM score")],
    "C8": [_difference("C8", "PDDM+Quadruplet", "PDDM+Triplet")],
    "C9": [_difference("C9", "PDDM+Triplet", "Triplet")],
    "C10": [c10],
    # the paper looks at Fig. 4 to explain its lead over methods with Euclidean mining: as in C10
    "C16": [
        _lead("C16", f"{CLUSTERS}: NMI, ", _by_distance("nmi"), 0.0, "by NMI"),
        _lead("C16", f"{CLUSTERS}: F1, ", _by_distance("f1"), 0.0, "by F1"),
        _lead(
            "C16",
            f"{CLUSTERS}: silhouette, ",
            lambda run: spread.of(run, spread.silhouette),
            0.0,
            "by silhouette",
        ),
    ],
}


# ------------------------------------------------------------ claims on changes of the method


def overfitting(run: Run) -> float:
    """Train minus test AUC of the score; train: all training classes, the held-out ones too."""
    return run.metrics["train"]["score"]["auc"] - run.metrics["test"]["score"]["auc"]


def _by_seed(
    variant_runs: VariantRuns, data: str, variant: str, method: str = PDDM
) -> dict[int, Run]:
    """seed -> run."""
    asked = (data, variant, method)
    return {s: run for (*key, s), run in variant_runs.items() if tuple(key) == asked}


def _recall(ranking: str) -> Callable[[Run], float]:
    return lambda run: run.metrics["test"][ranking]["recall_1"]


def _changed(
    claim: str,
    measure: str,
    of: Callable[[Run], float],
    weights: dict[str, int],
    threshold: float = 0.0,
    part: str = "",
    note: str = "",
):
    """Decides on a weighted sum over changes of PDDM ("": the recipe as it stands), by seed."""

    def f(variant_runs: VariantRuns, data: str) -> Verdict | None:
        own = {variant: _by_seed(variant_runs, data, variant) for variant in weights}
        if not all(own.values()):
            return None  # no such change in this study: no question, so no answer
        seeds = sorted(set.intersection(*map(set, own.values())))
        values = [sum(w * of(own[v][s]) for v, w in weights.items()) for s in seeds]
        return Verdict(claim, data, measure, *_decided(values, threshold), note, len(seeds), part)

    return f


def _c11(ranking: str):
    change = "without E_e"
    return _changed(
        "C11",
        f"{POINTS}: recipe - {change}, by {ranking}",
        _recall(ranking),
        {"": 1, change: -1},
        paper.COSTS[change, ranking],
        part=f"by {ranking}",
    )


def _c13(change: str, note: str = ""):
    return _changed(
        "C13",
        f"{POINTS}: hinge - {change}, by score",
        _recall("score"),
        {"": 1, change: -1},
        part=f"Recall@1, hinge - {change}",
        note=note,
    )


def _c13_overfitting(change: str):
    return _changed(
        "C13",
        f"{OVERFITTING}: {change} - hinge",
        overfitting,
        {change: 1, "": -1},
        part=f"overfitting, {change} - hinge",
    )


# claim -> functions of (variant_runs, data); None where the study lacks a change that it needs
CHANGE_DECIDERS: dict[str, list[Callable[[VariantRuns, str], Verdict | None]]] = {
    "C11": [_c11("score"), _c11("distance")],
    "C12": [
        _changed(
            "C12",
            f"{POINTS}: recipe - m = 32, by distance",
            _recall("distance"),
            {"": 1, "m = 32": -1},
            paper.COSTS["m = 32", "distance"],
            part="the loss at m = 32",
            note="the paper's number is CUB-200-2011's",
        ),
        _changed(
            "C12",
            f"{POINTS}: loss at m = 32 - gain at m = 132, by distance",
            _recall("distance"),
            {"": 2, "m = 32": -1, "m = 132": -1},
            part="the loss at m = 32 against the gain at m = 132",
        ),
    ],
    "C13": [
        _c13_overfitting("logistic regression"),
        _c13("logistic regression"),
        _c13_overfitting("binary classification"),
        _c13("binary classification"),
        _c13(
            "Fisher criterion",
            "not a pointwise loss; the paper rejects it by assumption and cost, not by measurement",
        ),
    ],
}


# ------------------------------------------------------------- a claim that hangs on no data set

ORDER = "order of the cost in m"  # unit: 1 where it is as claimed, 0 where it is the other's
FALLING, RISING = "(2 - p)", "(p - 1)"  # how an effect of that unit is made of the exponent p
FASTER = "CPU time of LiftedStruct over PDDM's"


def c5(costs: pd.DataFrame) -> list[Verdict]:
    """C5 on `cost.measured`: both orders, of pairs counted and of seconds; and which is lower.

    With p the exponent of `cost.exponent`, linear is p = 1 and quadratic 2. PDDM's order is judged
    by 2 - p and LiftedStruct's by p - 1: above one half, it is nearer to what the paper says.
    `tables.verdict_table` shows p itself.
    """
    p = cost.exponents(costs).set_index("way")
    where = f"{costs.attrs.get('cpu', 'CPU')}, one thread"
    found = []
    for of, note in (("pairs", "counted, so exact"), ("seconds", where)):
        linear, square = p.loc[[cost.PDDM], of], p.loc[[cost.LIFTED], of]
        for name, sign, values in (
            ("PDDM", FALLING, 2 - linear),
            ("LiftedStruct", RISING, square - 1),
        ):
            decided, part = _decided(values, 0.5), f"{name}'s {of}"
            what = f"{ORDER}: {name}'s {of} {sign}"
            found.append(Verdict("C5", cost.DATA, what, *decided, note, len(values), part))
    at = costs[costs["m"] == cost.PAPER_M].set_index(["seed", "way"])["seconds"].unstack()
    ratios = np.log2(at[cost.LIFTED] / at[cost.PDDM])  # judged on the log scale, as C4's
    mean, low, high, verdict = decide(ratios, 0.0)
    what = f"{FASTER}: LiftedStruct / PDDM, one quadruplet, m = {cost.PAPER_M}"
    bounds = (2.0**v for v in (mean, low, high))
    part = f"PDDM's lower at m = {cost.PAPER_M}"
    found.append(Verdict("C5", cost.DATA, what, *bounds, 1.0, verdict, where, len(ratios), part))
    return found


# ---------------------------------------------- a claim on classes that are in no run's data set

NEW_CLASSES = "top-1 on new classes, points"  # unit


def c14(frame: pd.DataFrame) -> list[Verdict]:
    """C14 on `transfers.measured`: top-1 of NCM over all new classes, paired by seed.

    PDDM+Quadruplet's features against softmax features, then against each Euclidean-mined method
    that was measured and against the paper's rival [21], a learned metric on the plain features.
    """
    t = transfers.at_all(frame).set_index(["data", "features", "classifier", "seed"])["accuracy"]
    rivals = {(m, transfers.NCM): m for m in (transfers.SOFTMAX, *EUCLIDEAN_MINED)}
    rivals[transfers.PLAIN, transfers.METRIC] = "learned metric [21]"
    return _over("C14", NEW_CLASSES, t, (PDDM, transfers.NCM), rivals)


UNSEEN = "top-5 of unseen classes, points"  # unit


def c15(results: pd.DataFrame) -> list[Verdict]:
    """C15 on the results of `unseen.measured`: flat top-5 by the paper's rule, paired by seed.

    PDDM+Quadruplet's features against softmax features, then against each Euclidean-mined method
    that was measured. Data sets without a hierarchy have no row.
    """
    asked = {"by": unseen.RULE, "hierarchy": unseen.TRUE, "k": 5}
    t = results[(results[list(asked)] == pd.Series(asked)).all(axis=1)]
    t = t.groupby(["data", "features", "seed"], sort=False)["flat"].mean()  # over draws
    rivals = {(m,): m for m in (transfers.SOFTMAX, *EUCLIDEAN_MINED)}
    return _over("C15", UNSEEN, t, (PDDM,), rivals)


def _over(
    claim: str, unit: str, t: pd.Series, ours: tuple, rivals: dict[tuple, str]
) -> list[Verdict]:
    """PDDM's lead over each rival, a data set and rival a row, paired by seed.

    t: by data, what is compared (one level or more) and seed.  rivals: what is compared -> name.
    """
    found = []
    for data in dict.fromkeys(t.index.get_level_values("data")):
        own = _by_key(t, data, *ours)
        for key, rival in rivals.items():
            theirs = _by_key(t, data, *key)
            if not theirs and rival != transfers.SOFTMAX:
                continue  # not in this study, and not what the claim is about
            values = [own[s] - theirs[s] for s in sorted(own.keys() & theirs.keys())]
            said, part = f"{unit}: {PDDM} - {rival}", f"over {rival}"
            note = "" if theirs else f"{rival} was not run"
            decided = _decided(values, 0.0)
            found.append(Verdict(claim, data, said, *decided, note, len(values), part))
    return found


def _by_key(t: pd.Series, *key: str) -> dict[int, float]:
    """seed -> value of a series by key and seed."""
    return t.xs(key, level=list(range(len(key)))).to_dict() if key in t.index.droplevel(-1) else {}


# claim -> function of what was measured on new classes
MEASURED_DECIDERS: dict[str, Callable[[pd.DataFrame], list[Verdict]]] = {"C14": c14, "C15": c15}


def verdicts(
    runs: Runs,
    data: Sequence[str],
    variant_runs: VariantRuns | None = None,
    costs: pd.DataFrame | None = None,
    only: Sequence[str] = (),
    measured: Mapping[str, pd.DataFrame] | None = None,
) -> pd.DataFrame:
    """A row a claim and data set: the fields of Verdict, and the claim in words.

    Claims on changes of the method (C11 to C13) have a row where `variant_runs` has those changes,
    C5 has its rows, of cost.DATA in place of a data set, where `costs` (cost.measured) is given.
    `measured` holds what claims of MEASURED_DECIDERS are decided on, which they then are: for C14
    transfers.measured, for C15 the results of unseen.measured. `only` names the claims to decide of
    the others; all, if empty.
    """
    rows = []
    for name in data:
        rows += [f(runs, name) for claim in only or DECIDERS for f in DECIDERS.get(claim, ())]
        asked = [f(variant_runs or {}, name) for fs in CHANGE_DECIDERS.values() for f in fs]
        rows += [verdict for verdict in asked if verdict]
    rows += c5(costs) if costs is not None else []
    for claim, frame in (measured or {}).items():
        rows += MEASURED_DECIDERS[claim](frame)
    table = pd.DataFrame(rows, columns=[f.name for f in dataclasses.fields(Verdict)])
    part = table.pop("part")
    text = table["claim"].map(paper.CLAIMS)
    table.insert(1, "text", text.where(part == "", text + ", " + part))
    return table


# ------------------------------------------------------------------- variants of the recipe


def recipe_effects(variant_runs: VariantRuns) -> pd.DataFrame:
    """Paired differences between variants of the recipe: what figure, tables and words show.

    Rows whose `compared` is "change": a variant's test Recall@1 by distance minus that of the
    recipe as it stands, same method and seeds. "mining": PDDM mining minus Euclidean mining at one
    number of quadruplets a batch (0: all), in Recall@1 and in AUC, with a verdict on "PDDM mining
    is better". `untrained` counts the pairs of which both runs kept step 0: these differ in nothing
    that training did. `collapsed` counts the variant's collapsed runs.
    """
    cells: dict[tuple[str, str, str], dict[int, Run]] = {}
    for (data, variant, method, seed), run in variant_runs.items():
        cells.setdefault((data, variant, method), {})[seed] = run
    rows = []
    for (data, variant, method), own in cells.items():
        base = cells.get((data, "", method), {})
        if variant:
            rows.append(("change", data, variant, method, *_against(own, base, "recall_1")))
        if method == PDDM and (data, variant, EUCLIDEAN) in cells and _quadruplets_alone(variant):
            for measure in ("recall_1", "auc"):
                against = _against(own, cells[data, variant, EUCLIDEAN], measure)
                rows.append(("mining", data, variant, method, *against))
    columns = ["compared", "data", "variant", "method", "measure", "quadruplets"]
    columns += ["effect", "low", "high", "verdict", "collapsed", "untrained", "seeds"]
    table = pd.DataFrame(rows, columns=columns)
    # two variants with one number of quadruplets are one comparison; 0 stands for all
    mining = table["compared"] == "mining"
    table.loc[~mining, "verdict"] = ""  # of a change nothing was claimed
    table = table[~mining | ~table.duplicated(["compared", "data", "measure", "quadruplets"])]
    order = table["quadruplets"].replace(0, np.inf).where(mining, -1)
    return table.loc[order.sort_values(kind="stable").index].reset_index(drop=True)


def _quadruplets_alone(variant: str) -> bool:
    return not variant or CHANGES[variant][1].keys() == {"quadruplets"}


def _against(own: dict[int, Run], base: dict[int, Run], measure: str) -> tuple:
    """What the columns from `measure` on say of `own` against `base`, both by seed."""
    seeds = sorted(own.keys() & base.keys())
    values = [
        own[s].metrics["test"]["distance"][measure] - base[s].metrics["test"]["distance"][measure]
        for s in seeds
    ]
    collapsed = sum(bool(own[s].metrics["collapse"]) for s in seeds)
    untrained = sum(
        own[s].metrics["chosen_step"] == base[s].metrics["chosen_step"] == 0 for s in seeds
    )
    number = next(iter(own.values())).experiment.quadruplets
    return measure, number, *decide(values), collapsed, untrained, len(seeds)


# --------------------------------------------------------------------------------- ablations

# methods that differ from PDDM+Quadruplet in the metric alone, once all are ranked by distance: it
# mines, and E_m teaches it (but the Euclidean one, which has nothing to learn)
MINERS = {
    "Euclidean mining": "Euclidean+Quadruplet",
    "Mahalanobis mining": "Mahalanobis score",
    "LMDM mining": "LMDM score",
}
# group -> changes of PDDM with everything else alike, in the order of figure and words
ABLATED = {
    "embedding loss": ("without E_e",),
    "batch size": ("m = 32", "m = 132"),
    "loss on the scores": ("logistic regression", "binary classification", "Fisher criterion"),
    "length of f": tuple(SIZES),
    "quadruplets a batch": ("1 quadruplet", "16 quadruplets"),
    "scaling of S": ("scores not scaled",),
    "what mines": tuple(MINERS),
}


def ablation_effects(variant_runs: VariantRuns) -> pd.DataFrame:
    """Test Recall@1 of each change in ABLATED minus the recipe's as it stands, paired over seeds.

    A row a data set, change and ranking (of other miners by distance alone); `variant_runs` has
    the miners beside PDDM as variant "". `claimed` is the paper's change, nan where it has none;
    `collapsed` counts the change's collapsed runs.
    """
    rows = []
    for data in dict.fromkeys(d for d, *_ in variant_runs):
        base = _by_seed(variant_runs, data, "")
        for group, change in [(g, c) for g, changes in ABLATED.items() for c in changes]:
            variant, method = ("", MINERS[change]) if change in MINERS else (change, PDDM)
            own = _by_seed(variant_runs, data, variant, method)
            seeds = sorted(own.keys() & base.keys())
            if not seeds:
                continue
            collapsed = sum(bool(own[s].metrics["collapse"]) for s in seeds)
            for ranking in ("distance", "score") if method == PDDM else ("distance",):
                of = _recall(ranking)
                values = [of(own[s]) - of(base[s]) for s in seeds]
                claimed = -paper.COSTS.get((change, ranking), np.nan)
                row = (data, group, change, method, ranking, *interval(values), claimed)
                rows.append((*row, collapsed, len(seeds)))
    columns = "data group change method ranking effect low high claimed collapsed seeds"
    return pd.DataFrame(rows, columns=columns.split())
