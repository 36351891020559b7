"""How every table is worded: rounding, spreads, intervals, protocol, saving."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from ..store.files import write_text
from ..training import ownership
from ..training.study import Study
from .decide import Runs


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


def asked(study: Study, wanted: Iterable[str] = ()) -> str:
    """The study in a line; and what it leaves out of the methods `wanted`."""
    data, seeds = ", ".join(study.titles().values()), ", ".join(map(str, study.seeds))
    lines = [f"{data}: profile {study.profile}, {study.backbone}, {study.mode}, seeds {seeds}"]
    lines += [f"{m} is not among its methods and is left out." for m in study.left_out(wanted)]
    return "\n".join(lines)


def protocol(study: Study, runs: Runs) -> str:
    """One line that says how the numbers were made, from the runs themselves."""
    if not runs:
        return "no runs"
    run = next(iter(runs.values()))
    e, m = run.experiment, run.manifest
    held = f"step chosen on {e.holdout:.0%} held-out training classes" if e.holdout else "last step"
    first = {key[0]: run for key, run in reversed(runs.items())} if e.holdout else {}
    # where a share of the training classes is less than two
    none = [study.titles().get(d, d) for d in first if "val_recall_1" not in first[d].history]
    if none:
        held += f" (the last of {', '.join(sorted(none))}: too few training classes)"
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
