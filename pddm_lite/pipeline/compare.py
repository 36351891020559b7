"""What differs between two results folders, and by how much: `run_all.py compare A B`."""

from __future__ import annotations

import re
from pathlib import Path

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
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def parser() -> options.Parser:
    p = options.Parser(
        prog="run_all.py compare",
        description="What differs between the numbers of two studies (results/quick and "
        "results/reference/quick), or of two results folders, and by how much.",
        epilog="exit code: 0 the same numbers; 1 they differ; 2 wrong use. Versions and hardware "
        "are told and not counted, as are measured times. Numbers that are alike to six digits "
        "are the same.",
    )
    p.add_argument("a", metavar="A")
    p.add_argument("b", metavar="B")
    return p


def main(argv: list[str]) -> int:
    args = parser().parse_args(argv)
    a, b = Path(args.a).expanduser(), Path(args.b).expanduser()
    own, other = _studies(a), _studies(b)
    if ("" in own) != ("" in other):
        raise UserError(f"{a} and {b} are a study and a folder of studies; give two of a kind.")
    differ = 0
    for name in sorted({*own, *other}):
        if name:
            print(f"== {name}")
        if name in own and name in other:
            differ += _compare(own[name], other[name])
        else:
            print(f"only in {a if name in own else b}")
            differ += 1
    return int(differ > 0)


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
    """Print how two studies differ; returns in how many lines."""
    own, other = numbers(a), numbers(b)
    lines = [f"only in {a}: {name}" for name in own.keys() - other.keys()]
    lines += [f"only in {b}: {name}" for name in other.keys() - own.keys()]
    both, told = [name for name in own if name in other], []
    for name in both:
        found, timed = differences(own[name], other[name])
        lines += [f"{name}: {text}" for text in found]
        told += [f"time, not counted: {name}: {text}" for text in timed]
    made, there = provenance.made_with(a), provenance.made_with(b)
    for k in provenance.MADE:
        if made[k] and there[k] and made[k] != there[k]:
            told.append(f"made with, not counted: {k} {made[k]} | {there[k]}")
    said = f"{len(lines)} differences" if lines else "no difference"
    print("\n".join([*sorted(lines), *told, f"{len(both)} tables in both, {said}"]))
    return len(lines)


def numbers(folder: Path) -> dict[str, Path]:
    """ "tables/NAME.csv" or "figures/NAME.csv" -> path, of a study's folder."""
    return {
        f"{kind}/{path.name}": path
        for kind in ("tables", "figures")
        for path in sorted((folder / kind).glob("*.csv"))
        if path.stem != "raw_values"  # of all runs, beside reference results alone
    }


def read(path: Path) -> pd.DataFrame:
    """A CSV as text, numbers to six digits; a figure with nothing to draw has an empty one.

    Raises:
        UserError: it is no table.
    """
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False).map(_short)
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except (OSError, ValueError) as err:  # pandas' and unicode's errors are ValueErrors
        reason = str(err).strip().splitlines()[0]
        why = f"{path} cannot be read as a table ({reason})"
        raise UserError(f"{why}; make it again by run_all.py reproduce.") from None


def _short(text: str) -> str:
    """A number to six digits; other text as it is, with "-" for minus."""
    try:
        return f"{float(text) + 0.0:.6g}"  # + 0.0: no minus zero
    except ValueError:
        return text.replace("−", "-")


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
            found.append(f"{len(gone)} rows only in {where}, first {gone[0]}")
    x, y = x.align(y, join="inner")
    for column in x:
        changed = pd.DataFrame({"a": x[column], "b": y[column]})[x[column] != y[column]]
        timed = changed.index.str.contains(TIMES) | bool(TIMES.search(column))
        for said, some in ((found, changed[~timed]), (times, changed[timed])):
            if len(some):
                said.append(f"{column} in {len(some)} of {len(x)} rows, {_most(some)}")
    return found, times


def _by_key(frame: pd.DataFrame) -> pd.DataFrame:
    """The table by what its rows tell of, and by their order where that is the same."""
    keys = [c for c in frame.columns if c in KEYS] or list(frame.columns[:1])
    if not keys:
        return frame
    order = frame.groupby(keys, sort=False).cumcount() + 1
    index = [", ".join(filter(None, row)) for row in frame[keys].to_numpy()]
    index = [f"{row} ({n}.)" if n > 1 else row for row, n in zip(index, order, strict=True)]
    return frame.drop(columns=keys).set_axis(pd.Index(index, dtype=str))


def _most(changed: pd.DataFrame) -> str:
    """The largest difference of numbers, also of numbers in words; other words one by one."""
    largest, where = -1.0, ""
    words = changed.map(lambda text: NUMBER.sub("#", text))
    if len(other := changed[words["a"] != words["b"]]):
        some = [f"{x.a} -> {x.b} ({x.Index})" for x in other[:20].itertuples()]
        return "; ".join(some) + f"; and {len(other) - 20} more" * (len(other) > 20)
    for x in changed.itertuples():
        for p, q in zip(NUMBER.findall(x.a), NUMBER.findall(x.b), strict=True):
            if abs(float(p) - float(q)) > largest:
                largest, where = abs(float(p) - float(q)), x.Index
    return f"by up to {largest:.3g} ({where})"
