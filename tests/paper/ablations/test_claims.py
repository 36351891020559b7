"""Claims and effects of changes of the method, on made-up runs."""

import numpy as np
import pytest
from fakes import fake_run

from pddm_lite.methods import METHODS
from pddm_lite.paper import judge, printed, questions
from pddm_lite.paper.ablations import claims
from pddm_lite.paper.judge import LEVEL, NOT_ENOUGH, NOT_REPRODUCED, REPRODUCED
from pddm_lite.paper.questions import EUCLIDEAN, PDDM
from pddm_lite.paper.verdict.claims import verdicts
from pddm_lite.training import experiments

BASE = {"distance": [60, 70, 50], "score": [58, 69, 47], "gap": [0.10, 0.11, 0.12]}


def changed_runs(changes, data="d"):
    """Runs of PDDM under changes: change -> what is added to BASE, a value or one a seed."""
    runs = {}
    for change, added in {"": {}, **changes}.items():
        moved = {k: np.add(v, added.get(k, 0.0)) for k, v in BASE.items()}
        for s, (distance, score, gap) in enumerate(zip(*moved.values(), strict=True)):
            run = fake_run(distance, score)
            run.metrics["train"] = {"score": {"auc": score / 100 + gap}}
            runs[data, change, PDDM, s] = run
    return runs


def asked(changes, data="d"):
    """text's last part -> row, of the claims that only changes can answer."""
    table = verdicts({}, [data], changed_runs(changes))
    table = table[table["claim"].isin(["C11", "C12", "C13"])]
    parts = [
        t.removeprefix(printed.CLAIMS[c]) for c, t in zip(table.claim, table.text, strict=True)
    ]
    return dict(zip(parts, table.itertuples(), strict=True))


def test_a_study_is_asked_for_the_changes_it_has_alone():
    assert asked({}) == {} and asked({"m = 32": {}}, "another") == {}
    assert asked({"m = 132": {}}) == {}  # a gain to be compared with a loss
    assert list(asked({"m = 32": {}})) == [", the loss at m = 32"]
    (fisher,) = asked({"Fisher criterion": {}}).values()
    assert "not by measurement" in fisher.note
    every = asked({change: {} for change in experiments.ABLATIONS})
    assert (
        len(every) == 9 == sum(any(side.change for _, side in q.terms) for q in questions.QUESTIONS)
    )
    assert [v.claim for v in every.values()] == ["C11"] * 2 + ["C12"] * 2 + ["C13"] * 5
    assert {v.seeds for v in every.values()} == {3}


def test_c11_wants_the_points_of_the_paper():
    rows = asked({"without E_e": {"distance": [-10, -11, -12], "score": [-2, -2.5, -3]}})
    score, distance = rows[", by score"], rows[", by distance"]
    bounds = distance.effect, distance.low, distance.high
    assert bounds == pytest.approx(judge.interval([10, 11, 12])) and distance.threshold == 6.5
    assert distance.measure == "Recall@1, points: recipe - without E_e, by distance"
    assert distance.verdict == REPRODUCED  # 11 +- 2.5
    assert score.threshold == 3.4 and score.verdict == NOT_ENOUGH  # 2.5 +- 1.2
    rows = asked({"without E_e": {"distance": -3.0, "score": -3.3}})
    assert {v.verdict for v in rows.values()} == {NOT_REPRODUCED}
    rows = asked({"without E_e": {"distance": -0.3, "score": -3.3}})
    assert [v.level for v in rows.values()] == [False, True]


@pytest.mark.parametrize(
    "small, large, verdicts",
    [
        ([-5, -6, -7], [1, 1, 1], (REPRODUCED, REPRODUCED)),  # 5, 6, 7; less 1: 4, 5, 6
        ([-1, -1.5, -2], [4, 5, 6], (NOT_ENOUGH, NOT_REPRODUCED)),  # 1.5 +- 1.2; -3, -3.5, -4
        ([-4, -5, -6], [4, 5, 6], (NOT_ENOUGH, LEVEL)),  # 5 +- 2.5; 0, 0, 0
    ],
)
def test_c12_weighs_the_loss_of_half_against_the_gain_of_double(small, large, verdicts):
    rows = asked({"m = 32": {"distance": small}, "m = 132": {"distance": large}}).values()
    loss, against = rows
    assert loss.effect == pytest.approx(-np.mean(small)) and loss.threshold == 2.6
    assert "CUB-200-2011" in loss.note
    assert against.effect == pytest.approx(-np.mean(small) - np.mean(large))
    assert (loss.verdict, against.verdict) == verdicts


def test_c13_asks_for_overfitting_and_for_the_result():
    rows = asked(
        {
            "logistic regression": {"gap": [0.04, 0.05, 0.06], "score": [-4, -5, -6]},
            "binary classification": {"gap": [-0.04, -0.05, -0.06], "score": 3},
            "Fisher criterion": {"score": [1, -1, 0], "distance": -30},
        }
    )
    of = {part.removeprefix(", "): (v.effect, v.verdict) for part, v in rows.items()}
    assert of == {
        "overfitting: logistic regression - hinge": (pytest.approx(0.05), REPRODUCED),
        "Recall@1: hinge - logistic regression": (pytest.approx(5), REPRODUCED),
        "overfitting: binary classification - hinge": (pytest.approx(-0.05), NOT_REPRODUCED),
        "Recall@1: hinge - binary classification": (pytest.approx(-3), NOT_REPRODUCED),
        "Recall@1: hinge - Fisher criterion": (pytest.approx(0), NOT_ENOUGH),
    }


def test_changes_are_paired_by_the_seeds_that_both_have():
    runs = changed_runs({"without E_e": {"distance": [-1, -2, -90]}})
    del runs["d", "", PDDM, 2]
    runs["d", "without E_e", questions.EUCLIDEAN, 0] = fake_run(0.0, 0.0)  # another method's
    row = verdicts({}, ["d"], runs, only=["C11"]).iloc[-1]
    assert (row["effect"], row["seeds"], row["verdict"]) == (1.5, 2, NOT_ENOUGH)


def variant_runs(values, quadruplets, data="d", **metrics):
    """values: (variant, method) -> Recall@1 a seed; quadruplets: variant -> number."""
    runs = {}
    for (variant, method), row in values.items():
        for s, value in enumerate(row):
            run = fake_run(value, **metrics)
            run.experiment.quadruplets = quadruplets[variant]
            runs[data, variant, method, s] = run
    return runs


VALUES = {
    ("", PDDM): [60, 70, 50],
    ("", EUCLIDEAN): [58, 69, 47],
    ("1 quadruplet", PDDM): [57, 66, 45],  # -3, -4, -5
    ("1 quadruplet", EUCLIDEAN): [57, 69, 49],
    ("dropout 0.5 in the unit", PDDM): [61, 71, 51],
}


NUMBERS = {"": 0, "1 quadruplet": 1, "dropout 0.5 in the unit": 0}


def test_changes_are_paired_with_what_they_change():
    table = claims.effects(variant_runs(VALUES, NUMBERS))
    change = table[table["group"] == "the recipe"].dropna(subset="effect")
    assert change[["variant", "method"]].to_numpy().tolist() == [list(k) for k in VALUES if k[0]]
    row = change.iloc[0]
    assert row[["effect", "low", "high"]].tolist() == pytest.approx(judge.interval([-3, -4, -5]))
    assert change["effect"].tolist() == pytest.approx([-4, 1 / 3, 1])
    assert set(change["seeds"]) == {3}
    mining = table[table["group"] == claims.MINES]
    assert mining["change"].tolist() == ["Euclidean mining", "Euclidean mining, 1 quadruplet"]
    assert mining["effect"].tolist() == pytest.approx([-2, 7 / 3])


def test_collapses_are_counted():
    runs = variant_runs(VALUES, NUMBERS)
    runs["d", "1 quadruplet", PDDM, 1].metrics["collapse"] = "collapsed"
    table = claims.effects(runs)
    crossed = table[table["collapsed"] > 0]
    assert set(crossed["change"]) == {"1 quadruplet"} and PDDM in set(crossed["method"])


@pytest.mark.parametrize(
    "keep, groups",
    [
        (lambda v, m: not v, {claims.MINES}),
        (lambda v, m: m == PDDM, {"the recipe"}),
        (lambda v, m: v, {claims.MINES}),  # no recipe as it stands
        (lambda v, m: not v and m == PDDM, set()),
        (lambda v, m: False, set()),
    ],
    ids=["no variants", "PDDM alone", "variants alone", "one recipe", "nothing"],
)
def test_a_part_of_the_variants(keep, groups):
    some = {k: v for k, v in VALUES.items() if keep(*k)}
    table = claims.effects(variant_runs(some, NUMBERS))
    assert set(table["group"]) == groups
    assert list(table.columns) == claims.COLUMNS


def test_ablations_stand_in_a_fixed_order_beside_the_papers_changes():
    runs = changed_runs(
        {
            "m = 32": {"distance": [-1, -2, -3]},
            "without E_e": {"distance": -5, "score": [1, 2, 3]},
        }
    )
    for s in range(3):
        runs["d", "", "LMDM score", s] = fake_run(BASE["distance"][s] - 4, 99.0)
        runs["d", "", EUCLIDEAN, s] = fake_run(BASE["distance"][s] + 1)
    runs["d", "without E_e", PDDM, 1].metrics["collapse"] = "collapsed"
    table = claims.effects(runs)
    assert table[["change", "method", "ranking", "effect"]].to_numpy().tolist() == [
        ["without E_e", PDDM, "distance", -5],
        ["without E_e", "PDDM score", "score", 2],
        ["m = 32", PDDM, "distance", -2],
        ["m = 32", "PDDM score", "score", 0],
        ["LMDM mining", "LMDM score", "distance", -4],
        ["Euclidean mining", EUCLIDEAN, "distance", 1],
    ]
    assert table["claimed"].fillna(0).tolist() == [-6.5, -3.4, -2.6, 0, 0, 0]
    assert table["collapsed"].tolist() == [1, 1, 0, 0, 0, 0] and set(table["seeds"]) == {3}
    assert table.loc[2, ["low", "high"]].tolist() == pytest.approx(
        list(judge.interval([-1, -2, -3])[1:])
    )


def test_what_is_ablated_is_known_to_the_experiments():
    names = [change for changes in claims.ABLATED.values() for change in changes]
    assert len(set(names)) == len(names)
    assert set(names) == {*experiments.ABLATIONS, *experiments.SIZES}
    assert set(claims.MINERS) <= set(METHODS)
    assert {change for change, _ in printed.COSTS} <= set(experiments.ABLATIONS)
