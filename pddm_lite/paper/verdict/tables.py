"""Verdicts as tables, marks and sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from .. import judge, questions
from ..judge import count
from ..printed import KINDS
from ..wording import with_interval


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
    beside = (t["level"].astype(str) == "True") & (t["verdict"] == judge.NOT_REPRODUCED)
    return t["verdict"].mask(beside, NO_LEAD)


def verdict_lines(verdicts: pd.DataFrame, title: Callable[[str], str | None] = str) -> list[str]:
    """A short line a verdict, for the terminal: with its part, where a claim has several, and with
    what alone keeps it undecided, where that is the number of seeds."""
    shown = verdict_table(verdicts, title)
    parts = verdicts["part"].fillna("") if "part" in verdicts else [""] * len(verdicts)
    lines = []
    for claim, part, (_, row) in zip(verdicts["claim"], parts, shown.iterrows(), strict=True):
        few = row["verdict"] == judge.NOT_ENOUGH and 0 < row["seeds"] < questions.FEWEST
        words = "; ".join(filter(None, (part, f"fewer than {questions.FEWEST} seeds" * few)))
        lines.append(
            f"  {claim:<4} {row['data'][:24]:<24} {row['verdict']:<21} "
            f"{row['effect [95 % interval]']:<22} {words}".rstrip()
        )
    return lines


def by_kind(verdicts: pd.DataFrame) -> pd.DataFrame:
    """How many questions have which verdict: a row a kind of claim (printed.KINDS).

    A claim's questions and data sets each count by themselves.
    """
    kind = verdicts["claim"].map({c: k for k, claims in KINDS.items() for c in claims})
    found = pd.crosstab(kind, verdicts["verdict"])
    words = [v for v in MARKS if v != NO_LEAD]
    return found.reindex(index=list(KINDS), columns=words, fill_value=0).rename_axis(None, axis=1)


def chance(verdicts: pd.DataFrame) -> str:
    """How many comparisons stand in the table, and how many of them chance alone gets wrong."""
    n = int((verdicts["seeds"] >= questions.FEWEST).sum())
    return (
        f"{count(len(verdicts), 'comparison')}, {n} of them on {questions.FEWEST} seeds or more. "
        f"A 95 % interval misses the true value one time in twenty: of {n}, "
        f"about {round(n / 20)} do so by chance."
    )


NO_LEAD = f"{judge.NOT_REPRODUCED}, {judge.LEVEL}"
MARKS = {
    judge.REPRODUCED: "✓",
    judge.LEVEL: "≈",
    judge.NOT_REPRODUCED: "✗",
    NO_LEAD: "✗≈",
    judge.NOT_ENOUGH: "?",
}
LEGEND = ", ".join(f"{mark} {verdict}" for verdict, mark in MARKS.items())
CLAIM = "claim (claimed effect)"


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
    digits = least = questions.UNITS[unit].digits if unit in questions.UNITS else 3
    *_, low, high, threshold = numbers
    pairs = [(b, x) for b in (low, high) for x in (threshold, -threshold)[: 1 + two_sided]]
    while digits < least + 2 and any(
        b != x and round(b, digits) == round(x, digits) for b, x in pairs
    ):
        digits += 1
    return digits
