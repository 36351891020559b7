"""What differs between two results folders, and by how much: `run_all.py compare A B`."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from ..store.errors import UserError
from . import options, provenance

# columns that say of what a row tells; rows of the same are matched in the order they come
KEYS = set(
    "claim text data variant recipe method way features classifier row by hierarchy seed step m k K"
    " classes per_mean split ranking measure kind loss class layer panel query rank quadruplets"
    " heterogeneity compared group change miner ruler number".split()
)
# of a column or of what a row tells of; no machine takes the same twice: not counted
TIMES = re.compile(r"seconds|\bms\b|\btime\b")
NUMBER = re.compile(r"[-+−]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def parser() -> options.Parser:
    p = options.Parser(
        prog="run_all.py compare",
        description="What differs between the numbers of two studies (results/quick and "
        "results/reference/quick), or of two results folders, and by how much.",
        epilog="exit code: 0 the same numbers; 1 they differ; 2 wrong use. Versions and hardware "
        "are told and not counted, as are measured times. A number that was rounded to six digits "
        "is the same as the whole one.",
        allow_abbrev=False,
    )
    p.add_argument("a", metavar="A")
    p.add_argument("b", metavar="B")
    return p


def main(argv: list[str]) -> int:
    args = parser().parse_args(argv)
    a, b = Path(args.a).expanduser(), Path(args.b).expanduser()
    found = {side: _studies(side) for side in (a, b)}
    if set(found[a]) == {""} == set(found[b]):
        return 1 if _compare(a, b) else 0
    if "" in found[a] or "" in found[b]:
        raise UserError(f"{a} and {b} are a study and a folder of studies; give two of a kind.")
    differ = 0
    for name in sorted({*found[a], *found[b]}):
        print(f"== {name}")
        if name not in found[a] or name not in found[b]:
            print(f"only in {a if name in found[a] else b}")
            differ += 1
        else:
            differ += _compare(found[a][name], found[b][name])
    return 1 if differ else 0


def _studies(folder: Path) -> dict[str, Path]:
    """Name -> folder of the studies in a results folder; "" -> itself where it is a study's."""
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; give a study's, as in results/quick, or results.")
    if (folder / "tables").is_dir() or (folder / "figures").is_dir():
        return {"": folder}
    names = {p.parent.name: p.parent for p in sorted(folder.glob("*/tables")) if p.is_dir()}
    if not names:
        raise UserError(f"{folder} holds no study: none of its folders has tables/; give another.")
    return names


def _compare(a: Path, b: Path) -> int:
    """Print how two studies differ; returns in how many files and verdicts."""
    own, other = numbers(a), numbers(b)
    both = [name for name in own if name in other]
    lines = [f"only in {a}: {name}" for name in own if name not in other]
    lines += [f"only in {b}: {name}" for name in other if name not in own]
    times = []
    for name in both:
        found, timed = differences(own[name], other[name])
        lines += [f"{name}: {text}" for text in found]
        times += [f"{name}: {text}" for text in timed]
    lines += _verdicts(own, other)
    for line in lines:
        print(line)
    for line in times:
        print(f"time, not counted: {line}")
    for key, said in _made(a, b):
        print(f"made with, not counted: {key} {said}")
    differing = {line.split(": ")[0] for line in lines}
    print(f"{len(both)} tables in both, "
          + (f"{len(lines)} differences" if lines else "no difference"))  # fmt: skip
    return len(differing)


def numbers(folder: Path) -> dict[str, Path]:
    """ "tables/NAME.csv" or "figures/NAME.csv" -> path, of a study's folder."""
    return {
        f"{kind}/{path.name}": path
        for kind in ("tables", "figures")
        for path in sorted((folder / kind).glob("*.csv"))
        if path.stem != "raw_values"  # of all runs, beside reference results alone
    }


def read(path: Path) -> pd.DataFrame:
    """A CSV as text; a figure with nothing to draw has an empty one.

    Raises:
        UserError: it is no table.
    """
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except (OSError, ValueError) as err:  # pandas' and unicode's errors are ValueErrors
        reason = str(err).strip().splitlines()[0]
        raise UserError(
            f"{path} cannot be read as a table ({reason}); make it again by run_all.py reproduce."
        ) from None


def differences(a: Path, b: Path) -> tuple[list[str], list[str]]:
    """(differences, differences of measured times) of two CSVs, in words; none if alike."""
    if a.read_bytes() == b.read_bytes():
        return [], []
    x, y = _by_key(read(a)), _by_key(read(b))
    found, times = [], []
    for one, rest, where in ((x, y, a), (y, x, b)):
        if gone := [c for c in one.columns if c not in rest.columns]:
            found.append(f"column {', '.join(gone)} only in {where}")
        if len(gone := one.index.difference(rest.index, sort=False)):
            found.append(f"{len(gone)} rows only in {where}, first {_row(gone[0])}")
    rows = x.index.intersection(y.index, sort=False)
    for column in [c for c in x.columns if c in y.columns]:
        pairs = zip(rows, x.loc[rows, column], y.loc[rows, column], strict=True)
        changed = [(row, u, v) for row, u, v in pairs if u != v and not _rounded(u, v)]
        for said, of_time in ((found, False), (times, True)):
            some = [c for c in changed if _of_time(column, c[0]) == of_time]
            if some:
                said.append(f"{column} in {len(some)} of {len(rows)} rows, {_most(some)}")
    return found, times


def _of_time(column: str, row: tuple[str, ...]) -> bool:
    return bool(TIMES.search(" ".join((column, *row))))


def _by_key(frame: pd.DataFrame) -> pd.DataFrame:
    """The table by what its rows tell of, and by their order where that is the same."""
    keys = [c for c in frame.columns if c in KEYS] or list(frame.columns[:1])
    if not keys:
        return frame
    order = frame.groupby(keys, sort=False).cumcount().astype(str)
    index = [tuple(map(_short, row)) for row in frame[keys].assign(order=order).to_numpy()]
    return frame.drop(columns=keys).set_axis(pd.Index(index, tupleize_cols=False))


def _short(text: str) -> str:
    """A number to six digits, so that 0.0 and 0 are one key."""
    x = _number(text)
    return f"{x:.6g}" if np.isfinite(x) else text


def _row(key: tuple[str, ...]) -> str:
    *names, order = key
    text = ", ".join(n for n in names if n)[:80]
    return text if order == "0" else f"{text} ({int(order) + 1}.)"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def _rounded(u: str, v: str) -> bool:
    """Whether one number is the other, rounded to six digits."""
    x, y = _number(u), _number(v)
    return np.isfinite([x, y]).all() and (float(f"{x:.6g}") == y or float(f"{y:.6g}") == x)


def _most(changed: list[tuple[tuple, str, str]]) -> str:
    """The largest difference of numbers, also of numbers in words; else the first of words."""
    largest, where = -1.0, None
    for row, u, v in changed:
        if NUMBER.sub("#", u) != NUMBER.sub("#", v):
            return f"as {u!r} and {v!r} ({_row(row)})"
        for p, q in zip(NUMBER.findall(u), NUMBER.findall(v), strict=True):
            gap = abs(_number(p.replace("−", "-")) - _number(q.replace("−", "-")))
            if gap > largest:
                largest, where = gap, row
    return f"by up to {largest:.3g} ({_row(where)})"


def _verdicts(own: dict[str, Path], other: dict[str, Path]) -> list[str]:
    """Verdicts that changed, a line each."""
    name = "tables/verdicts.csv"
    if name not in own or name not in other:
        return []
    keys = ["claim", "text", "data"]
    x, y = (read(side[name]) for side in (own, other))
    if not {*keys, "verdict"} <= {*x.columns} & {*y.columns}:
        return []
    both = x.merge(y, on=keys, suffixes=("_a", "_b"))
    changed = both[both["verdict_a"] != both["verdict_b"]]
    return [f"verdict {v.claim} on {v.data} ({v.text}): {v.verdict_a} -> {v.verdict_b}"
            for v in changed.itertuples()]  # fmt: skip


def _made(a: Path, b: Path) -> list[tuple[str, str]]:
    """(what, "a | b") of versions and hardware that differ."""
    own, other = provenance.made_with(a), provenance.made_with(b)
    keys = [k for k in provenance.MADE if own.get(k) and other.get(k)]
    return [(k, f"{own[k]} | {other[k]}") for k in keys if own[k] != other[k]]
