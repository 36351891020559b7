"""Claim C5 on made-up times."""

import pytest
from fakes import costs

from pddm_lite.paper import printed
from pddm_lite.paper.fig4_convergence import claims, cost
from pddm_lite.paper.judge import NOT_ENOUGH, NOT_REPRODUCED, REPRODUCED
from pddm_lite.paper.questions import COST
from pddm_lite.paper.verdict.claims import verdicts


def c5(**kw):
    return {v.part: v for v in claims.c5(costs(**kw))}


def test_c5_sees_orders_as_planted():
    found = c5()
    time, square = found["PDDM's seconds"], found["LiftedStruct's seconds"]
    assert (time.effect, square.effect) == (pytest.approx(1, abs=0.01), pytest.approx(2, abs=0.01))
    assert time.low < time.effect < time.high and time.note == "a processor, one thread"
    for part in (
        "PDDM's seconds",
        "LiftedStruct's seconds",
        "PDDM's pairs",
        "LiftedStruct's pairs",
    ):
        assert found[part].verdict == REPRODUCED and found[part].threshold == 1.5
    exact = found["PDDM's pairs"]
    assert exact.low == pytest.approx(exact.effect) == pytest.approx(exact.high)
    assert {v.data for v in found.values()} == {cost.DATA} and {
        v.seeds for v in found.values()
    } == {3}


@pytest.mark.parametrize(
    "kw, part, verdict",
    [
        (dict(pddm=2.0), "PDDM's seconds", NOT_REPRODUCED),
        (dict(pddm=1.5, wobble=0.1), "PDDM's seconds", NOT_ENOUGH),
        (dict(lifted=1.0), "LiftedStruct's seconds", NOT_REPRODUCED),
        (dict(seeds=2), "PDDM's seconds", NOT_ENOUGH),
        (dict(seeds=2), "PDDM's pairs", NOT_ENOUGH),
        (dict(ms=(4.0, 1.0)), "PDDM's lower at m = 64", NOT_REPRODUCED),
        (dict(ms=(1.0, 4.0)), "PDDM's lower at m = 64", REPRODUCED),
    ],
)
def test_c5_sees_what_is_otherwise(kw, part, verdict):
    assert c5(**kw)[part].verdict == verdict


def test_c5_compares_the_times_at_the_papers_batch_size():
    v = c5(pddm=1.0, lifted=2.0, ms=(4.0, 1.0), wobble=0.0)["PDDM's lower at m = 64"]
    assert cost.PAPER_M == 64 and {q.claim for q in COST} == {"C5"}
    assert v.effect == pytest.approx((1 + 1e-4 * 64**2) / (4 + 1e-4 * 64)) and v.threshold == 1


def test_c5_has_its_rows_once_however_many_data_sets_and_only_if_measured():
    without = verdicts({}, ["d", "e"])
    table = verdicts({}, ["d", "e"], None, costs())
    assert "C5" not in set(without["claim"]) and len(table) == len(without) + 5
    rows = table[table["claim"] == "C5"]
    assert set(rows["data"]) == {cost.DATA} and rows["text"].is_unique
    assert rows["text"].str.startswith(printed.CLAIMS["C5"]).all()
