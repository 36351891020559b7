"""Claim C15 on made-up results."""

import pandas as pd
import pytest

from pddm_lite.paper.judge import NOT_ENOUGH, NOT_REPRODUCED, REPRODUCED
from pddm_lite.paper.questions import PDDM, UNITS
from pddm_lite.paper.table2_zero_shot.claims import c15
from pddm_lite.paper.verdict.claims import verdicts


def zero_shot_results(top, data="d"):
    """What c15 reads of unseen.measured: features -> flat top-5 by seed, in two draws."""
    rows = []
    for features, values in top.items():
        for seed, value in enumerate(values):
            for draw, by, hierarchy, k, off in (
                (0, "ancestors", "as it is", 5, -2.0),
                (1, "ancestors", "as it is", 5, 2.0),
                (0, "ancestors", "as it is", 1, -30.0),  # none of the rest counts
                (0, "nearest", "as it is", 5, 9.0),
                (0, "ancestors", "shuffled", 5, -40.0),
            ):
                rows.append((data, features, seed, draw, by, hierarchy, k, value + off))
    columns = "data features seed draw by hierarchy k flat".split()
    return pd.DataFrame(rows, columns=columns)


def test_c15_is_the_lead_in_flat_top_5_over_softmax_and_each_euclidean_mined_method():
    top = {PDDM: (50.0, 51, 49), "Softmax": (45.0, 46, 44), "Triplet": (52.0, 53, 51.1)}
    top["plain features"] = (10.0,)
    found = {v.part: v for v in c15(zero_shot_results(top))}
    assert set(found) == {"over Softmax", "over Triplet"}
    v = found["over Softmax"]
    assert (v.effect, v.threshold, v.seeds, v.verdict) == (pytest.approx(5), 0, 3, REPRODUCED)
    assert found["over Triplet"].effect == pytest.approx(-6.1 / 3)
    assert found["over Triplet"].verdict == NOT_REPRODUCED
    assert v.measure == "top-5, points: PDDM+Quadruplet - Softmax" and v.unit in UNITS


def test_c15_without_softmax_or_without_a_hierarchy():
    (v,) = c15(zero_shot_results({PDDM: (50.0, 51, 49)}))
    assert (v.verdict, v.note, v.seeds) == (NOT_ENOUGH, "Softmax was not run", 0)
    assert c15(zero_shot_results({})) == []
    top = {PDDM: (50.0, 51, 49), "Softmax": (45.0, 46, 44)}
    table = verdicts({}, ["d"], only=["C15"], measured={"C15": zero_shot_results(top)})
    assert table["claim"].tolist() == ["C15"] and table["verdict"].tolist() == [REPRODUCED]
