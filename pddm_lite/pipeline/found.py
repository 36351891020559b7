"""The README's first screen: what was found, in two sentences and six rows, from verdicts alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from ..paper import questions
from ..paper.ablations.tables import AS_IT_STANDS
from ..paper.judge import LEVEL, NOT_ENOUGH, NOT_REPRODUCED, REPRODUCED
from ..paper.verdict import tables
from ..paper.wording import shown

GIVEN = "given space: PDDM's lead over Euclidean at heterogeneity"
# (claim, part), the most telling first: the table takes the first six that were asked
ROWS = (
    ("C1", f"{GIVEN} 1"),
    ("C1", questions.OWN),
    ("C10", questions.CARE),
    ("C10", "over the best rival as printed"),
    ("C4", ""),
    ("C14", "over Softmax"),
    ("C15", "over Softmax"),
    ("C7", ""),
    ("C6", ""),
)
SIX = 6
LETTER, DEFAULT = "the paper's letter", AS_IT_STANDS


def asked(verdicts: Iterable[Mapping], claim: str, part: str) -> list[Mapping]:
    """Verdicts of one question, one a data set; C10's also from before it was asked twice.

    verdicts: rows of `tables.verdict_table` with number ("C1"), part, value (the effect), unit.
    """
    parts = (part, "") if part == questions.CARE else (part,)
    own = [v for v in verdicts if v["number"] == claim and v["part"] in parts]
    own = [v for v in own if v["value"] == v["value"]]  # nan: it could not be measured
    return list({v["data"]: v for v in sorted(own, key=lambda v: v["seeds"])}.values())


def table(verdicts: Sequence[Mapping]) -> pd.DataFrame:
    """Six questions: on how many data sets each verdict, and the smallest and largest effect."""
    rows = []
    for claim, part in ROWS:
        if not (own := asked(verdicts, claim, part)) or len(rows) == SIX:
            continue
        words = max((v["claim"] for v in own), key=len)
        row = {"the paper says": f"{words} ({own[0]['claimed']})"}
        for verdict in (REPRODUCED, LEVEL, NOT_REPRODUCED, NOT_ENOUGH):
            # beside a threshold a claim may be not reproduced, and its two sides level
            row[verdict] = _many([v for v in own if v["verdict"] in (verdict, _beside(verdict))])
        rows.append(row)
    return pd.DataFrame(rows)


def _beside(verdict: str) -> str:
    return tables.NO_LEAD if verdict == NOT_REPRODUCED else verdict


def _many(own: list[Mapping]) -> str:
    return f"{len(own)} ({_range(own)})" if own else ""


def _range(own: list[Mapping]) -> str:
    """ "0.1 to 0.3" of effects; one alone as it is."""
    unit = questions.UNITS.get(own[0]["unit"])
    ends = [f(v["value"] for v in own) for f in (min, max)]
    return " to ".join(dict.fromkeys(shown(x, unit.digits if unit else 3) for x in ends))


def _share(own: list[Mapping], unit: str = "") -> str:
    """ "is reproduced on 2 of 3 data sets (effects 0.1 to 0.3)"."""
    held = sum(v["verdict"] == REPRODUCED for v in own)
    sets = f"{len(own)} data set{'s' * (len(own) > 1)}"
    return f"is reproduced on {held} of {sets} (effects {_range(own)}{unit})"


def sentences(verdicts: Sequence[Mapping], collapsed: Mapping[str, tuple[int, int]]) -> str:
    """Two sentences: whether it trains and leads, and where the position helps.

    collapsed: recipe -> (runs that collapsed, runs), of PDDM+Quadruplet; see LETTER and DEFAULT.
    """
    first, second = [], []
    if collapsed.get(LETTER, (0, 0))[1]:
        first.append("The recipe as printed collapses in {} of {} runs".format(*collapsed[LETTER]))
        if collapsed.get(DEFAULT, (0, 0))[1]:
            kept = "{} of {}".format(*collapsed[DEFAULT])
            first[0] += f", with the changes of [DIFFERENCES.md](DIFFERENCES.md) in {kept}"
    if own := asked(verdicts, "C10", questions.CARE):
        first.append(f"the lead of 8 points over the best rival {_share(own, ' points')}")
    for h, world in ((1, "classes are loose here and tight there"), (0, "all are alike")):
        for v in asked(verdicts, "C1", f"{GIVEN} {h}"):
            effect = f"{v['effect [95 % interval]']} ({v['verdict']}) where {world}"
            start = "where the space is given and the similarity alone learns, PDDM's two "
            start += "distributions overlap less than the Euclidean ones "
            second.append(f"{start * (not second)}by {effect}")
    if own := asked(verdicts, "C1", questions.OWN):
        who = "such a gain" if second else "less overlap under PDDM than under the Euclidean metric"
        second.append(f"where the space is learned, {who} {_share(own)}")
    both = ["; ".join(s) for s in (first, second) if s]
    return "\n".join(s[0].upper() + s[1:] + "." for s in both)
