"""Tables of changes of the method: every number in them is one that was put in."""

from functools import partial

import fakes

from pddm_lite.paper import questions
from pddm_lite.paper.ablations import tables
from pddm_lite.paper.questions import EUCLIDEAN, PDDM

fake_run = partial(fakes.fake_run, auc=0.9)
TITLES = {"synthetic_birds": "birds", "folder:own": "own"}


BIRDS = "synthetic_birds"


LETTER = "the paper's letter"


def variant_runs(data=BIRDS):
    """1 quadruplet costs PDDM 3, 4, 5 points and Euclidean mining 1; the letter collapses."""
    out = {}
    for s in range(3):
        out[data, "", PDDM, s] = fake_run(60.0 + s, score=50.0, step=100 * s)
        out[data, "", EUCLIDEAN, s] = fake_run(58.0 + 2 * s, auc=0.8 + 0.01 * s)
        one = fake_run(57.0, auc=0.7, score=40.0 + s, step=0, quadruplets=1)
        out[data, "1 quadruplet", PDDM, s] = one
        out[data, "1 quadruplet", EUCLIDEAN, s] = fake_run(57.0 + 2 * s, auc=0.6, quadruplets=1)
        message = "collapsed from step 5" if s != 1 else ""
        letter = fake_run(30.0 + s, score=10.0, collapse=message, quadruplets=1)
        out[data, LETTER, PDDM, s] = letter
    return out


def test_change_table():
    table = tables.change_table(variant_runs(), BIRDS).set_index(["recipe", "method"])
    assert list(table.index) == [
        (tables.AS_IT_STANDS, PDDM),
        (tables.AS_IT_STANDS, EUCLIDEAN),
        ("1 quadruplet", PDDM),
        ("1 quadruplet", EUCLIDEAN),
        (LETTER, PDDM),
    ]
    assert table.loc[(tables.AS_IT_STANDS, PDDM)].tolist() == [
        *("61.0 ± 1.0", "50.0 ± 0.0", "0.900 ± 0.000", "0.950 ± 0.000"),
        *("0 of 3", "0, 100, 200", "0.040 ± 0.000", ""),
    ]
    assert table.loc[("1 quadruplet", PDDM)].tolist() == [
        *("57.0 ± 0.0", "41.0 ± 1.0", "0.700 ± 0.000", "0.750 ± 0.000"),
        *("0 of 3", "0, 0, 0", "0.040 ± 0.000", "-4.0 [-6.5, -1.5]"),
    ]
    assert table.loc[("1 quadruplet", EUCLIDEAN), "R@1 by score"] == ""
    assert table.loc[(LETTER, PDDM), "collapsed"] == "2 of 3"


def test_the_change_table_says_how_far_the_score_overfits():
    some = variant_runs()
    some[BIRDS, "1 quadruplet", PDDM, 1].metrics["train"]["score"]["auc"] += 0.03
    some[BIRDS, "", "LMDM score", 0] = fake_run(61.0, score=55.0)
    table = tables.change_table(some, BIRDS).set_index(["recipe", "method"])
    gaps = table[questions.OVERFITTING]
    assert gaps["1 quadruplet", PDDM] == "0.050 ± 0.017"
    assert gaps[tables.AS_IT_STANDS, EUCLIDEAN] == ""  # ranks by distance alone
    assert gaps[tables.AS_IT_STANDS, "LMDM score"] == "0.040"  # one seed


def test_the_change_table_keeps_its_columns_when_empty():
    make = tables.change_table
    empty = make({}, BIRDS)
    assert empty.empty and list(empty.columns) == list(make(variant_runs(), BIRDS).columns)
    assert make(variant_runs(), "folder:own").empty


def test_a_collapse_is_told_once_a_variant():
    assert tables.collapses(variant_runs(), TITLES) == [
        f"birds, {LETTER}, {PDDM}, seeds 0, 2: collapsed from step 5",
        "2 of 15 runs collapsed.",
    ]
