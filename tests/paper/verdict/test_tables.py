"""Verdicts as tables, marks and sentences, on made-up runs."""

from functools import partial

import fakes
import pandas as pd
import pytest

from pddm_lite.paper import judge, questions
from pddm_lite.paper.questions import PDDM
from pddm_lite.paper.verdict import claims, tables

fake_run = partial(fakes.fake_run, auc=0.9)
TITLES = {"synthetic_birds": "birds", "folder:own": "own"}


BIRDS = "synthetic_birds"


def runs(data=BIRDS):
    out = {(data, "Triplet", s): fake_run(40.0 + s) for s in range(3)}
    return out | {(data, "PDDM score", s): fake_run(50.0, score=60.0 + 2 * s) for s in range(3)}


def test_verdict_table_says_effect_interval_and_what_was_claimed():
    verdicts = claims.verdicts(runs(), [BIRDS])
    table = tables.verdict_table(verdicts, TITLES.get)
    assert set(table["data"]) == {"birds"} and len(table) == len(verdicts)
    c10 = table[table["claim"].str.startswith("C10: ")].iloc[0]
    assert c10["claimed"] == "> 8" and c10["effect [95 % interval]"] == "none"
    assert c10["verdict"] == judge.NOT_ENOUGH and c10["seeds"] == 0
    first, second = table["claim"][table["claim"].str.startswith("C1: ")]
    assert first.endswith(", each on features of its own") and second.endswith("own features")


def test_claims_that_two_things_are_alike_have_two_thresholds():
    verdicts = claims.verdicts(runs(), [BIRDS], only=["C2", "C6"])
    assert set(tables.verdict_table(verdicts)["claimed"]) == {"within ± 0.01", "> 0"}


UNIT = questions.MEASURES["recall_1"].unit, questions.MEASURES["overlap"].unit


@pytest.mark.parametrize(
    "unit, numbers, threshold, claimed, text",
    [
        (UNIT[0], (0.44, 0.04, 0.84), 0.0, ">", "0.44 [0.04, 0.84]"),
        (UNIT[0], (0.44, -0.004, 0.84), 0.0, ">", "0.440 [-0.004, 0.840]"),
        (UNIT[0], (0.44, 0.0001, 0.84), 0.0, ">", "0.440 [0.000, 0.840]"),  # no more
        (UNIT[0], (0.44, 0.0, 0.84), 0.0, ">", "0.4 [0.0, 0.8]"),  # upon it
        (UNIT[0], (3.0, 2.0, 8.02), 8.0, ">", "3.00 [2.00, 8.02]"),
        (UNIT[1], (0.0, -0.0497, 0.0201), 0.05, "±", "0.0000 [-0.0497, 0.0201]"),
        (UNIT[1], (0.0, -0.0497, 0.0201), 0.05, ">", "0.000 [-0.050, 0.020]"),
        (questions.MEASURES["exponent"].unit, (1.4, 1.3, 1.497), 1.5, "<", "1.400 [1.300, 1.497]"),
        ("of an older table", (0.5, 0.25, 1), 0.0, ">", "0.500 [0.250, 1.000]"),
    ],
)
def test_a_bound_that_rounds_to_the_threshold_has_more_decimals(
    unit, numbers, threshold, claimed, text
):
    row = dict(zip(("effect", "low", "high"), numbers, strict=True), threshold=threshold)
    row |= dict(claim="C", text="t", data="d", verdict="v", note="", seeds=3, measure="m")
    table = pd.DataFrame([{**row, "unit": unit, "claimed": claimed}])
    assert tables.verdict_table(table)["effect [95 % interval]"].item() == text


def test_level_stands_beside_a_lead_that_is_not_reproduced():
    some = {(BIRDS, PDDM, s): fake_run(40.1 + s) for s in range(3)} | runs()
    table = claims.verdicts(some, [BIRDS], only=["C10"])
    shown = tables.verdict_table(table, TITLES.get)
    assert table["verdict"].tolist() == [judge.NOT_REPRODUCED] and table["level"].all()
    assert shown["verdict"].tolist() == ["not reproduced, level"]
    assert tables.MARKS[shown["verdict"].item()] == "✗≈"
    assert shown["note"].item() == "best rival by mean; level with Triplet within 1 point"


def test_the_terminal_tells_the_parts_of_a_claim_apart():
    some = {**runs(), **{(BIRDS, "PDDM+Triplet", s): fake_run(45.0 + 2 * s) for s in range(3)}}
    table = claims.verdicts(some, [BIRDS])
    lines = tables.verdict_lines(table, TITLES.get)
    assert len(set(lines)) == len(lines) == len(table)
    assert [line for line in lines if line.startswith("  C1 ")][1].endswith(" PDDM's own features")
    assert "  C9   birds                    reproduced            6.0 [3.5, 8.5]" in lines
    n = (table["seeds"] > 2).sum()
    assert tables.chance(table).startswith(f"{len(table)} comparisons, {n} of them on 3 seeds")


def test_the_terminal_says_where_seeds_alone_are_too_few():
    few = {key: run for key, run in runs().items() if key[2] < 2}
    lines = tables.verdict_lines(claims.verdicts(few, [BIRDS], only=["C1", "C9", "C10"]))
    said = [line.partition(judge.NOT_ENOUGH)[2].endswith("fewer than 3 seeds") for line in lines]
    asked = [" none " not in f"{line} " for line in lines]  # of the others a method was not run
    assert said == asked and any(said) and not all(said)
    assert "seeds" not in "".join(tables.verdict_lines(claims.verdicts(runs(), [BIRDS])))


def test_verdicts_are_counted_by_kind():
    verdicts = pd.DataFrame(
        [("C5", judge.REPRODUCED), ("C10", judge.LEVEL), ("C9", judge.REPRODUCED)],
        columns=["claim", "verdict"],
    )
    found = tables.by_kind(verdicts)
    assert found.loc["PDDM beats a rival"].tolist() == [1, 1, 0, 0]
    assert found.loc["what a batch costs", judge.REPRODUCED] == 1
    assert found.to_numpy().sum() == 3
