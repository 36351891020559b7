"""README's first screen says what the verdicts say, before and after the evidence is made anew."""

import pytest

from pddm_lite.paper import questions
from pddm_lite.paper.given_space import given
from pddm_lite.paper.printed import CLAIMS
from pddm_lite.pipeline import found, readme

POINTS, OVERLAP = questions.MEASURES["recall_1"].unit, questions.MEASURES["overlap"].unit


def verdict(number, part, value, said, data="birds", unit=POINTS, seeds=3):
    return {
        "number": number, "part": part, "value": value, "verdict": said, "data": data,
        "claim": f"{number}: {CLAIMS[number]}" + f", {part}" * bool(part), "claimed": "> 8",
        "effect [95 % interval]": f"{value:.3f} [0.1, 0.9]", "seeds": seeds, "unit": unit,
    }  # fmt: skip


C10 = [
    verdict("C10", questions.CARE, -2.25, "not reproduced, level"),
    verdict("C10", questions.CARE, 9.5, "reproduced", "cars"),
    verdict("C10", questions.CARE, 1.0, "not enough evidence", "dogs"),
]
GIVEN = [
    verdict("C1", f"{found.GIVEN} 0", 0.001, "level", "given space", OVERLAP),
    verdict("C1", f"{found.GIVEN} 1", 0.25, "reproduced", "given space", OVERLAP),
    *(
        verdict("C1", f"{found.LOST} {rung} at heterogeneity 1", 0.2, said, "given space", OVERLAP)
        for rung, said in ((given.LINEAR, "reproduced"), (given.TWO_LAYERS, "level"))
    ),
]
LEARNED = verdict("C1", questions.OWN, 0.02, "reproduced", unit=OVERLAP)


def test_the_sentences_count_verdicts_and_collapses():
    (said,) = found.sentences(C10, {found.LETTER: (3, 4), found.DEFAULT: (0, 6)}, "birds")
    assert "features (birds), 3 of 4 runs of PDDM collapse" in said and said.endswith(" 0 of 6.")
    assert "It holds in 1 of 3 comparisons over rivals run with care, 1 left open (effects " in said
    (alone,) = found.sentences(C10[:1])
    assert alone == (
        "On images, where the space learns too: The main claim is a lead of 8 points of Recall@1 "
        "over the best Euclidean-mined rival. It holds in 0 of 1 comparison over rivals run with "
        "care (birds -2.250 [0.1, 0.9] points, not reproduced, level)."
    )
    printed = verdict("C10", questions.PRINTED, 8.5, "reproduced")
    (both,) = found.sentences([*C10[:1], printed])
    assert "level) and in 1 of 1 comparison over rivals as printed (birds 8.5" in both
    assert found.sentences([]) == []
    assert "could not be measured" in found.sentences([verdict("C10", "", float("nan"), "")])[0]


def test_the_given_space_stands_first_and_last_where_it_was_measured():
    (alone,) = found.sentences([LEARNED])
    assert alone == (
        "On images, where the space learns too: PDDM lowers the overlap in 1 of 1 comparison "
        "(birds 0.020 [0.1, 0.9], reproduced)."
    )
    given_space, learned, why = found.sentences([*GIVEN, LEARNED, *C10])
    assert given_space == (
        "Only the similarity learns, in a given space: PDDM lowers the overlap of the scores of "
        "same-class and other-class pairs. Where classes are loose here and tight there: by 0.250 "
        "[0.1, 0.9] against the plain distance (reproduced). Where all are equally loose: by 0.001 "
        "[0.1, 0.9] against the plain distance (level)."
    )
    assert "reproduced). The main claim" in learned
    linear = verdict("C1", f"{found.LEARNED} 1", 0.125, "reproduced", "given space", OVERLAP)
    both = found.sentences([*GIVEN, linear])[0]
    assert "(reproduced), 0.125 [0.1, 0.9] against a learned linear map. Where all" in both
    assert why.endswith(
        "PDDM's lead falls by 0.200 [0.1, 0.9] with a linear head, by 0.200 [0.1, 0.9] with a "
        "two-layer network (level)."
    )
    kept = verdict("C1", f"{found.KEPT} {given.LINEAR} at heterogeneity 1", 0.02, "reproduced")
    assert "by 0.200 [0.1, 0.9] to 0.020 [0.1, 0.9] with" in found.sentences([*GIVEN, kept])[-1]


def test_the_table_has_six_rows_and_each_data_set_once():
    many = [verdict(n, part, 1.0, "level") for n, part in found.ROWS]
    assert len(found.table(many)) == 6 and len(found.table(many).columns) <= 5
    row = found.table(C10).iloc[0].to_dict()
    assert row["not reproduced"] == "1 (-2.3)" and row["reproduced"] == "1 (9.5)"
    assert row["level"] == "" and row["the paper says"].endswith(f"{questions.CARE} (> 8)")


@pytest.mark.parametrize("part", ["", questions.OWN])
def test_what_could_not_be_measured_is_not_counted(part):
    assert found.asked([verdict("C1", part, float("nan"), "not enough evidence")], "C1", part) == []


def test_the_committed_evidence_fills_the_first_screen():
    assert len(readme.claims_in_short().splitlines()) == 4 + found.SIX
    assert 2 <= len(readme.found_in_short().splitlines()) <= 3
