"""Tables from stored runs: one place for notebooks, report and README, so that they agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from . import claims, ownership, paper
from .claims import Runs, VariantRuns, count
from .methods import METHODS
from .store import write_text
from .study import Study, measures

# the paper's half that a data set stands beside (never as if it were the same data)
PAPER_HALF = {
    "synthetic_birds": "CUB-200-2011",
    "cub200_2010": "CUB-200-2011",
    "cub200_2011": "CUB-200-2011",
    "synthetic_cars": "CARS196",
    "cars196_half": "CARS196",
    "cars196": "CARS196",
}

BEFORE = "untrained R@1"


def recall_table(runs: Runs, data: str) -> pd.DataFrame:
    """Table 1 for one data set: a row a method, columns R@1 .. R@32, AUC, seeds, the paper's R@1.

    "untrained R@1" is that of step 0 by distance: the network as it was pretrained, on d principal
    axes where the recipe starts there. Values are "mean +- spread" (standard deviation over seeds),
    Recall in percent. The last column is from the paper's own data set and network, for the order
    of methods, not for the level.
    """
    tidy = measures({k: r for k, r in runs.items() if k[0] == data})
    half = PAPER_HALF.get(data.partition("@")[0], "")
    ours = [f"R@{k}" for k in paper.KS]
    theirs = f"paper R@1 ({half})" if half else "paper R@1"
    rows = []
    for name in [m for m in METHODS if m in set(tidy["method"])]:
        own = tidy[tidy["method"] == name]
        row = {"method": name, "ranked by": METHODS[name].rank}
        for k in paper.KS:
            row[f"R@{k}"] = spread(own[own["measure"] == f"recall_{k}"]["value"], 1)
        row["AUC"] = spread(own[own["measure"] == "auc"]["value"], 3)
        row[BEFORE] = ""
        if METHODS[name].rank == "distance":
            start = [r.metrics["start"] for k, r in runs.items() if k[:2] == (data, name)]
            row[BEFORE] = spread(pd.Series(start), 1)
        row["seeds"] = own["seed"].nunique()
        printed = paper.TABLE_1.get(half, {}).get(name.partition(" (random")[0])
        row[theirs] = f"{printed[0]:.1f}" if printed else ""
        rows.append(row)
    return pd.DataFrame(
        rows, columns=["method", "ranked by", *ours, "AUC", BEFORE, "seeds", theirs]
    )


def cluster_table(runs: Runs, data: str) -> pd.DataFrame:
    """Measures of Song et al. 2016 and MAP@R, of the features: a row a method ranked by distance.

    MAP@R in percent; NMI and F1 of k-means clusters in [0, 1]; mean ± spread over seeds.
    """
    rows = []
    for name in [m for m in METHODS if METHODS[m].rank == "distance"]:
        own = [
            r.metrics["test"]["distance"] for (d, m, _), r in runs.items() if (d, m) == (data, name)
        ]
        if own:
            row = {"method": name}
            for measure, title, digits in (
                ("map_at_r", "MAP@R", 1),
                ("nmi", "NMI", 3),
                ("f1", "F1", 3),
            ):
                row[title] = spread(pd.Series([x[measure] for x in own]), digits)
            rows.append(row | {"seeds": len(own)})
    return pd.DataFrame(rows, columns=["method", "MAP@R", "NMI", "F1", "seeds"])


def shown(x: float, digits: int, sign: str = "") -> str:
    """x to that many decimals, halves away from zero: the one rounding of all tables.

    The last bits of a mean hang on the order of its sum, and must not decide 70.25.
    """
    return f"{x + math.copysign(0.5**40 * max(abs(x), 1.0), x):{sign}.{digits}f}"


def spread(values: pd.Series, digits: int) -> str:
    """ "mean ± standard deviation" of the values; the mean alone for one; "" for none."""
    if len(values) == 0:
        return ""
    text = shown(values.mean(), digits)
    return text if len(values) == 1 else f"{text} ± {shown(values.std(ddof=1), digits)}"


def with_interval(effect: float, low: float, high: float, digits: int, sign: str = "") -> str:
    """ "1.2 [0.3, 2.1]"; the effect alone without an interval; "none" without an effect."""
    if effect != effect:
        return "none"
    bounds = f" [{shown(low, digits, sign)}, {shown(high, digits, sign)}]" if low == low else ""
    return f"{shown(effect, digits, sign)}{bounds}"


def verdict_table(verdicts: pd.DataFrame, title: Callable[[str], str | None] = str) -> pd.DataFrame:
    """Claims as a reader wants them: claim, data set, effect with interval, threshold, verdict."""
    t = verdicts
    effects, claimed = [], []
    for x in t.itertuples():
        two = x.claimed == "±"
        numbers = (x.effect, x.low, x.high)
        effects.append(with_interval(*numbers, _digits(x.unit, (*numbers, x.threshold), two)))
        claimed.append(f"{'within ±' if two else x.claimed} {x.threshold:g}")
    return pd.DataFrame(
        {
            "claim": t["claim"] + ": " + t["text"],
            "data": [title(name) or name for name in t["data"]],  # C5 is on no data set
            "verdict": _with_level(t),
            "effect [95 % interval]": effects,
            "claimed": claimed,
            "measured": t["measure"],
            "seeds": t["seeds"],
            "note": t["note"],
        },
        index=t.index,
    )


def _with_level(t: pd.DataFrame) -> pd.Series:
    """Verdicts, with "level" beside where a claimed lead is not reproduced and nothing leads."""
    if "level" not in t:  # a table of a reference study, from before there was one
        return t["verdict"]
    beside = (t["level"].astype(str) == "True") & (t["verdict"] == claims.NOT_REPRODUCED)
    return t["verdict"].mask(beside, NO_LEAD)


def verdict_lines(verdicts: pd.DataFrame, title: Callable[[str], str | None] = str) -> list[str]:
    """A short line a verdict, for the terminal: with its part, where a claim has several."""
    shown = verdict_table(verdicts, title)
    parts = verdicts["part"].fillna("") if "part" in verdicts else [""] * len(verdicts)
    return [
        f"  {claim:<4} {row['data'][:24]:<24} {row['verdict']:<21} "
        f"{row['effect [95 % interval]']:<22} {part}".rstrip()
        for claim, part, (_, row) in zip(verdicts["claim"], parts, shown.iterrows(), strict=True)
    ]


def chance(verdicts: pd.DataFrame) -> str:
    """How many comparisons stand in the table, and how many of them chance alone gets wrong."""
    n = int((verdicts["seeds"] >= claims.FEWEST).sum())
    return (
        f"{count(len(verdicts), 'comparison')}, {n} of them on {claims.FEWEST} seeds or more. "
        f"A 95 % interval misses the true value one time in twenty: of {n}, "
        f"about {round(n / 20)} do so by chance."
    )


NO_LEAD = f"{claims.NOT_REPRODUCED}, {claims.LEVEL}"
MARKS = {
    claims.REPRODUCED: "✓",
    claims.LEVEL: "≈",
    claims.NOT_REPRODUCED: "✗",
    NO_LEAD: "✗≈",
    claims.NOT_ENOUGH: "?",
}
LEGEND = ", ".join(f"{mark} {verdict}" for verdict, mark in MARKS.items())
CLAIM = "claim (claimed effect)"


def verdict_marks(shown: pd.DataFrame) -> pd.DataFrame:
    """`verdict_table` at a glance: a row a claim, a column a data set, cells of MARKS or ""."""
    cells: dict[str, dict[str, str]] = {}
    for row in shown.to_dict("records"):
        claim = f"{row['claim']} ({row['claimed']})"
        cells.setdefault(claim, {})[row["data"]] = MARKS.get(row["verdict"], row["verdict"])
    table = pd.DataFrame.from_dict(cells, orient="index", columns=dict.fromkeys(shown["data"]))
    table = table.fillna("").loc[sorted(cells, key=claim_number)]
    return table.set_axis(words_once(table.index)).reset_index(names=CLAIM)


def claim_number(claim: str) -> int:
    """10 of "C10: ..."; 0 of what someone wrote there instead."""
    number = claim[1:].partition(":")[0]
    return int(number) if number.isdecimal() else 0


def words_once(claims: Sequence[str]) -> list[str]:
    """Claims in a row, "C1: words, part": the words of one of several parts are said once."""
    words = [c.rpartition(", ")[0] for c in claims]
    again = [i > 0 and w != "" and w == words[i - 1] for i, w in enumerate(words)]
    return [
        f"{c.partition(':')[0]}, {c.rpartition(', ')[2]}" if a else c
        for c, a in zip(claims, again, strict=True)
    ]


def _digits(unit: str, numbers: tuple[float, ...], two_sided: bool) -> int:
    """Decimals of an effect: its unit's, or up to two more where a bound rounds to the threshold.

    numbers: effect, low, high, threshold.
    """
    digits = least = claims.UNITS[unit].digits if unit in claims.UNITS else 3
    *_, low, high, threshold = numbers
    pairs = [(b, x) for b in (low, high) for x in (threshold, -threshold)[: 1 + two_sided]]
    while digits < least + 2 and any(
        b != x and round(b, digits) == round(x, digits) for b, x in pairs
    ):
        digits += 1
    return digits


def asked(study: Study, wanted: Iterable[str] = ()) -> str:
    """What the study was asked for, a line each; and what it leaves out of the methods `wanted`."""
    lines = [f"{m} is not among its methods and is left out." for m in study.left_out(wanted)]
    values = study.arguments().items()
    lines += [f"{k}: {v or 'default'}" for k, v in values if k not in ("results", "data_root")]
    return "\n".join(lines)


def protocol(study: Study, runs: Runs) -> str:
    """One line that says how the numbers were made, from the runs themselves."""
    if not runs:
        return "no runs"
    run = next(iter(runs.values()))
    e, m = run.experiment, run.manifest
    held = f"step chosen on {e.holdout:.0%} held-out training classes" if e.holdout else "last step"
    weights = e.weights.rpartition("/")[2] or "default weights"
    changed = f" with {', '.join(study.settings)}" if study.settings else ""
    return (
        f"{e.backbone} ({weights}), {m['crop']} px, {e.mode}, d = {e.embedding_size}, "
        f"m = {e.batch_size} = {e.classes_per_batch} x {e.samples_per_class}, "
        f"recipe '{study.recipe}'{changed}, "
        f"up to {e.steps:,} steps, {held}; seeds {', '.join(map(str, study.seeds))}; "
        f"{m['gpu'] or m['cpu']}, torch {m['torch']}"
    )


def save_table(table: pd.DataFrame, study: Study, name: str) -> Path:
    """Write tables/NAME.csv and, for people, NAME.md; the path of the .csv."""
    ownership.check(study)
    folder = study.folder / "tables"
    write_text(folder / f"{name}.csv", table.to_csv(index=False, lineterminator="\n"))
    write_text(folder / f"{name}.md", markdown(table))
    return folder / f"{name}.csv"


def show(
    study: Study, kind: str, make: Callable, source: object, note: str, data=None, index: int = 1
) -> None:
    """Save `make(source, d)` as tables/KIND_D and show it, for each d of `data` (the study's).

    The first `index` columns head its rows.
    """
    from IPython.display import Markdown, display

    for d in study.data if data is None else data:
        table = make(source, d)
        save_table(table, study, f"{kind}_{d.replace(':', '-')}")
        display(Markdown(f"**{study.titles()[d]}** ({note})"))
        display(table.set_index(list(table.columns[:index])))


def markdown(table: pd.DataFrame) -> str:
    """The table in Markdown."""
    rows = [list(table.columns), ["---"] * table.shape[1], *table.to_numpy().tolist()]
    cells = ([str(x).replace("|", "\\|") for x in row] for row in rows)
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)


# ------------------------------------------------------------------- variants of the recipe

AS_IT_STANDS = "the recipe as it stands"


def recipe_table(variant_runs: VariantRuns, data: str) -> pd.DataFrame:
    """Variants of the recipe on one data set: a row a variant and method.

    Values are "mean ± standard deviation" over seeds; the last column is the paired difference of
    Recall@1 by distance to the recipe as it stands, with its 95 % Student interval.
    """
    effects = claims.recipe_effects(variant_runs)
    effects = effects[(effects["data"] == data) & (effects["compared"] == "change")]
    paired = {(x.variant, x.method): x for x in effects.itertuples()}
    rows = []
    for (variant, method), own in _rows(variant_runs, data).items():
        metrics = [run.metrics for run in own]
        row = [variant or AS_IT_STANDS, method]
        for measure, digits in (("recall_1", 1), ("auc", 3)):
            for ranking in ("distance", "score"):
                tests = [m["test"][ranking] for m in metrics if ranking in m["test"]]
                row.append(spread(pd.Series([t[measure] for t in tests]), digits))
        row.append(f"{sum(bool(m['collapse']) for m in metrics)} of {len(metrics)}")
        row.append(", ".join(str(m["chosen_step"]) for m in metrics))
        x = paired.get((variant, method))
        row.append(with_interval(x.effect, x.low, x.high, 1, "+") if x else "")
        rows.append(row)
    columns = ["R@1 by distance", "R@1 by score", "AUC by distance", "AUC by score", "collapsed"]
    columns = ["recipe", "method", *columns, "chosen step, by seed"]
    return pd.DataFrame(rows, columns=[*columns, "R@1 against the recipe [95 % interval]"])


def _rows(variant_runs: VariantRuns, data: str) -> dict[tuple[str, str], list]:
    """(variant, method) -> its runs on one data set: a row of a table each."""
    cells: dict[tuple[str, str], list] = {}
    for (d, variant, method, _), run in variant_runs.items():
        if d == data:
            cells.setdefault((variant, method), []).append(run)
    return cells


def ablation_table(variant_runs: VariantRuns, data: str) -> pd.DataFrame:
    """recipe_table, and what claim C13 is about: how far the score overfits."""
    table = recipe_table(variant_runs, data)
    gaps = []
    for runs in _rows(variant_runs, data).values():
        learned = [run for run in runs if "score" in run.metrics["test"]]
        gaps.append(spread(pd.Series([claims.overfitting(run) for run in learned]), 3))
    return table.assign(**{claims.OVERFITTING: gaps})


def quadruplets_table(variant_runs: VariantRuns, data: str) -> pd.DataFrame:
    """PDDM mining minus Euclidean mining on one data set: a row a number of quadruplets a batch.

    The verdict is on "PDDM mining is better": reproduced where the whole interval lies above 0.
    """
    effects = claims.recipe_effects(variant_runs)
    effects = effects[(effects["data"] == data) & (effects["compared"] == "mining")]
    rows = []
    for number, both in effects.groupby("quadruplets", sort=False):
        row = {"quadruplets": str(number or "all")}
        for measure, name, digits in (("recall_1", "R@1, points", 1), ("auc", "AUC", 3)):
            (x,) = both[both["measure"] == measure].itertuples()
            row[f"{name} [95 % interval]"] = with_interval(x.effect, x.low, x.high, digits, "+")
            row[f"{name.partition(',')[0]} verdict"] = x.verdict
        rows.append(row | {"seeds": x.seeds})
    columns = ["quadruplets", "R@1, points [95 % interval]", "R@1 verdict", "AUC [95 % interval]"]
    return pd.DataFrame(rows, columns=[*columns, "AUC verdict", "seeds"])


def collapses(variant_runs: VariantRuns, titles: Mapping[str, str]) -> list[str]:
    """A line for each message of collapsed runs, once a variant, with the seeds that gave it."""
    said: dict[tuple[str, str, str, str], list[int]] = {}
    for (d, variant, method, seed), run in variant_runs.items():
        if message := run.metrics["collapse"]:
            said.setdefault((d, variant, method, message), []).append(seed)
    return [
        f"{titles[d]}, {variant or AS_IT_STANDS}, {method}, "
        f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}: {message}"
        for (d, variant, method, message), seeds in said.items()
    ]
