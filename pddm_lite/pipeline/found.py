"""The first screen of README and report: what was found, in three sentences and six rows, from
verdicts alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import pandas as pd

from ..paper import questions
from ..paper.ablations.tables import AS_IT_STANDS
from ..paper.given_space.given import LINEAR, TWO_LAYERS
from ..paper.judge import LEVEL, NOT_ENOUGH, NOT_REPRODUCED, REPRODUCED, count
from ..paper.printed import CLAIMS
from ..paper.verdict import tables
from ..paper.wording import shown

KEPT = "given space: PDDM's lead over Euclidean"
GIVEN = f"{KEPT} at heterogeneity"
LEARNED = "given space: PDDM's lead over Mahalanobis at heterogeneity"
# (claim, part), the most telling first: the table takes the first six that were asked
ROWS = (
    ("C1", f"{GIVEN} 1"),
    ("C1", questions.OWN),
    ("C10", questions.CARE),
    ("C10", questions.PRINTED),
    ("C4", ""),
    ("C14", "over Softmax"),
    ("C15", "over Softmax"),
    ("C7", ""),
    ("C6", ""),
)
SIX = 6
LETTER, DEFAULT = "the paper's letter", AS_IT_STANDS
LOST = "given space: what of it is lost"
C10 = {  # part -> over which rivals
    questions.CARE: "over rivals run with care",
    questions.PRINTED: "over rivals as printed",
}


def asked(verdicts: Iterable[Mapping], claim: str, part: str) -> list[Mapping]:
    """Verdicts of one question, one a data set.

    verdicts: rows of `tables.verdict_table` with number ("C1"), part, value (the effect), unit.
    """
    own = [v for v in verdicts if v["number"] == claim and v["part"] == part]
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


def rows(frame: pd.DataFrame, title: Callable[[str], str | None] = str) -> list[dict]:
    """tables/verdicts.csv as `tables.verdict_table` shows it, a dict a verdict, and beside that
    table's columns number ("C1"), part (which of a claim's questions), value (the effect), unit."""
    shown = tables.verdict_table(frame, title).to_dict("records")
    for row, x in zip(shown, frame.to_dict("records"), strict=True):
        part = x["text"].removeprefix(CLAIMS.get(x["claim"], x["text"])).removeprefix(", ")
        row |= {"number": x["claim"], "part": part, "value": x["effect"], "unit": x["unit"]}
    return shown


def _share(own: list[Mapping], over: str = "", unit: str = "") -> str:
    """ "in 2 of 3 comparisons, 1 left open (effects 0.1 to 0.3)"; of up to two, each with its
    interval and verdict."""
    held = sum(v["verdict"] == REPRODUCED for v in own)
    sets = count(len(own), "comparison")
    each = [f"{v['data']} {v['effect [95 % interval]']}{unit}, {v['verdict']}" for v in own]
    effects = "; ".join(each) if len(own) < 3 else f"effects {_range(own)}{unit}"
    left = sum(v["verdict"] == NOT_ENOUGH for v in own) * (len(own) > 2)
    return f"in {held} of {sets}{over}{f', {left} left open' * bool(left)} ({effects})"


def sentences(
    verdicts: Sequence[Mapping],
    collapsed: Mapping[str, tuple[int, int]] | None = None,
    on: str = "",
) -> list[str]:
    """Up to three: where the position helps, whether PDDM leads, and why.

    collapsed: recipe -> (runs that collapsed, runs), of PDDM+Quadruplet; see LETTER and DEFAULT.
    on: what these were trained on.
    """
    given, learned, why = [], [], []
    for h, world in ((1, "classes are loose here and tight there"), (0, "all are equally loose")):
        for v in asked(verdicts, "C1", f"{GIVEN} {h}"):
            own = [x["effect [95 % interval]"] for x in asked(verdicts, "C1", f"{LEARNED} {h}")]
            than = f"{v['effect [95 % interval]']} against the plain distance ({v['verdict']})"
            over = f", {own[0]} against a learned linear map" if own else ""
            given.append(f"Where {world}: by {than}{over}.")
    if own := asked(verdicts, "C1", questions.OWN):
        learned.append(f"PDDM lowers the overlap {_share(own)}.")
    leads = [(words, own) for p, words in C10.items() if (own := asked(verdicts, "C10", p))]
    if leads:
        shares = [_share(own, f" {words}", " points") for words, own in leads]
        who = "The main claim is a lead of 8 points of Recall@1 over the best Euclidean-mined rival"
        learned.append(f"{who}. It holds {' and '.join(shares)}.")
    elif any(v["number"] == "C10" for v in verdicts):
        learned.append("The main claim, a lead over the best rival, could not be measured.")
    (bad, runs), ours = ((collapsed or {}).get(k, (0, 0)) for k in (LETTER, DEFAULT))
    if runs and ours[1]:
        where = f" ({on})" if on else ""
        more = "Trained as the paper prints it, but for fewer steps and on frozen features"
        more += f"{where}, {bad} of {runs} runs of PDDM collapse, with our changes "
        learned.append(f"{more}([DIFFERENCES.md](DIFFERENCES.md)) {ours[0]} of {ours[1]}.")
    for rung in (LINEAR, TWO_LAYERS):
        for v in asked(verdicts, "C1", f"{LOST} {rung} at heterogeneity 1"):
            sure = "" if v["verdict"] == REPRODUCED else f" ({v['verdict']})"
            kept = asked(verdicts, "C1", f"{KEPT} {rung} at heterogeneity 1")
            to = f" to {kept[0]['effect [95 % interval]']}" if kept else ""
            why.append(f"by {v['effect [95 % interval]']}{to} {rung}{sure}")
    said = []
    if given:
        start = (
            "Only the similarity learns, in a given space: PDDM lowers the overlap of the scores "
        )
        said.append(" ".join([f"{start}of same-class and other-class pairs.", *given]))
    if learned:
        said.append(" ".join(["On images, where the space learns too:", *learned]))
    if why:
        start = (
            "A reason, measured: learning the space helps the plain distance more than PDDM. In "
        )
        said.append(f"{start}the uneven world PDDM's lead falls {', '.join(why)}.")
    return said
