"""Reasons why a claim does not hold are made from numbers, and change with them."""

import pandas as pd

from pddm_lite.paper import questions
from pddm_lite.paper.given_space.features import MAPPED
from pddm_lite.pipeline import why


def test_fixed_real_features_are_said_from_their_numbers():
    rows = [
        dict(data=t, title=t, row=r, overlap=o, evenness=e, recall_1=50 * o)
        for t, e, overlaps in (
            ("birds", 1.6, (0.52, 0.56, 0.46, 0.5)),
            ("cars", 1.9, (0.6, 0.5, 0.45, 0.4)),
        )
        for r, o in zip(("Euclidean", "PDDM", "Mahalanobis", MAPPED), overlaps, strict=True)
    ]
    (said,) = why.on_fixed_features(pd.DataFrame(rows), {0: 1.3, 1: 4.5})
    assert "(2 data sets)" in said and "1.6 to 1.9 times" in said
    assert "(given space: 1.3 at heterogeneity 0, 4.5 at heterogeneity 1)" in said
    assert "the plain distance by -0.100 (cars) to 0.040 (birds), its Recall@1 by -5.0 to" in said
    assert said.endswith("position, changes the overlap by -0.150 to -0.060.")
    (mixed,) = why.on_fixed_features(
        pd.DataFrame(rows).replace("cars", "mix of birds, cars"), {0: 1.3}
    )
    assert "(1 data set and a mix of two)" in mixed
    assert why.on_fixed_features(pd.DataFrame(), {}) == []
    mapped = why.by_linear_map(pd.DataFrame(rows))
    assert "takes 0.060 to 0.150 from the overlap (2 data sets)" in mapped
    assert mapped.endswith(
        "changes the overlap of the map alone by -0.050 (cars) to 0.040 (birds)."
    )


def test_recall_at_1_of_the_given_space_is_said_where_it_was_measured():
    row = dict(question="PDDM's lead over Euclidean", heterogeneity=1, measure="recall_1")
    row |= dict(effect=-1.26, low=-2.3, high=-0.2)
    other = row | dict(heterogeneity=0, effect=9.0)
    (said,) = why.recall_too(pd.DataFrame([other, row]))
    assert "it changes by -1.3 [-2.3, -0.2] points" in said
    assert why.recall_too(pd.DataFrame([other])) == why.recall_too(pd.DataFrame()) == []


def test_comparisons_that_were_cut_short_are_named():
    rows = [dict(title=t, steps=300, chosen=c) for t in ("birds", "cars") for c in (270, 300, 60)]
    rows[0]["chosen"] = 30  # birds: one of three is late
    said = why.still_rising(pd.DataFrame(rows))
    assert said.endswith("may change the order, on cars (2 of 3).")
    assert why.still_rising(pd.DataFrame(rows[:3])) == ""


def test_what_training_gains_and_what_care_is_worth():
    little = pd.DataFrame({"R@1": ["31.0 ± 0.2", "35.9"], "untrained R@1": ["30.0 ± 0.1", ""]})
    much = pd.DataFrame({"R@1": ["38.0 ± 0.2"], "untrained R@1": ["30.0 ± 0.1"]})
    assert why.in_reach([little, much]).startswith("In 1 of 2 comparisons no method gains 8 points")
    assert why.in_reach([]) == ""
    rows = dict(method=["Softmax", questions.PDDM])
    both = [pd.DataFrame(rows | {"R@1": [f"{x} ± 0.1", "30.0"]}) for x in (29, 33.5)]
    assert "it ends -1.0 to 3.5 points of Recall@1 above" in why.softmax(both)
    assert why.softmax([both[0][:1]]) == ""
    ends = [("birds", 1.0, 3.0), ("cars", -0.5, 0.0)]  # lead over careful, over printed
    verdicts = [
        dict(number="C10", part=part, value=value, data=data, seeds=3)
        for data, *values in ends
        for part, value in zip((questions.CARE, questions.PRINTED), values, strict=True)
    ]
    assert "is 0.5 to 2.0 points of Recall@1" in why.care(verdicts)
    assert why.care(verdicts[:1]) == ""


def test_readings_are_a_row_a_setting_and_a_number_a_seed():
    row = dict.fromkeys(why.CHANGED, "x") | dict(method="Triplet", ranking="distance")
    row |= dict(start="7.4", least_mean_distance="0.5", recall_1="69.79", seed="0")
    rows = [row, row | dict(seed="1", recall_1="70.0", least_mean_distance="0.25")]
    table = why.readings(pd.DataFrame([*rows, row | dict(beta="0.1")])).to_dict("records")
    assert len(table) == 2 and table[0]["seeds"] == "0, 1"
    assert table[0]["R@1, by seed"] == "69.8, 70.0" and table[0]["least mean distance"] == "0.25"


def test_what_the_scores_gradient_costs_is_read_from_pairs_of_runs():
    row = dict.fromkeys(why.CHANGED, "1") | dict(data="cars", method="PDDM", ranking="distance")
    row |= dict(seed="0", recall_1="36.0", detach_metric="False")
    alone = pd.DataFrame([row, row | dict(seed="1", detach_metric="True")])
    assert why.pull(alone) == why.pull(pd.DataFrame()) == ""
    pair = pd.DataFrame([row, row | dict(detach_metric="True", recall_1="38.5")])
    assert "2.5 (cars, 1 seed) points of Recall@1 higher" in why.pull(pair)
    other = pair.assign(seed="1", recall_1=["36.0", "36.5"])
    assert "ends 1.5 [-11.2, 14.2] (cars, 2 seeds)" in why.pull(pd.concat([pair, other]))
