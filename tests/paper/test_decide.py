"""What decides a claim: effects planted in made-up runs, and made-up curves."""

import pandas as pd
import pytest
from fakes import WOBBLE, fake_run, features, study

from pddm_lite.methods import METHODS
from pddm_lite.paper import decide, printed, questions
from pddm_lite.paper.judge import LEVEL, NOT_ENOUGH, NOT_REPRODUCED, REPRODUCED
from pddm_lite.paper.questions import AS_PRINTED, COST, EUCLIDEAN, NEW_CLASSES, PDDM, UNITS
from pddm_lite.paper.verdict.claims import verdicts
from pddm_lite.training import experiments


def ask(runs, claim, data="d", variant_runs=None):
    """The verdicts on a claim's questions, in their order."""
    asked = [q for q in questions.QUESTIONS if q.claim == claim]
    found = [decide.verdict(q, runs, variant_runs or {}, data) for q in asked]
    return [v for v in found if v]


def only(runs, claim, data="d"):
    (v,) = ask(runs, claim, data)
    return v


def curve(*values):
    return pd.Series(values, index=range(0, 100 * len(values), 100), dtype=float)


def test_common_level_by_hand():
    # start 40, lower best 50: level 49; a: 48 at 100, 52 at 200, so 125; b: 45 at 200, 50 at 300
    level, reached = decide.common_level({"a": curve(40, 48, 52), "b": curve(40, 41, 45, 50)})
    assert level == pytest.approx(49)
    assert reached == pytest.approx({"a": 125, "b": 280})


@pytest.mark.parametrize(
    "other", [curve(40, 39, 30), curve(40, 40.4, 40.2), curve(40)], ids=["falls", "noise", "one"]
)
def test_a_curve_that_never_rises_has_no_level(other):
    assert decide.common_level({"a": curve(40, 60, 70), "b": other}) is None
    assert decide.common_level({"b": other, "a": curve(40, 60, 70)}) is None


C4_CURVES = {
    "fast": ([40, 50, 50, 50, 50], [40, 42, 44, 46, 50]),  # PDDM at 9, Euclidean at 37.5
    "slow": ([40, 42, 44, 46, 50], [40, 50, 50, 50, 50]),
    "flat": ([40, 40, 40, 40, 40], [40, 42, 44, 46, 50]),
}


def c4_runs(*kinds):
    runs = {}
    for s, kind in enumerate(kinds):
        for m, values in zip((PDDM, EUCLIDEAN), C4_CURVES[kind], strict=True):
            runs["d", m, s] = fake_run(curve=values)
    return runs


def test_c4_knows_fast_from_slow():
    v = only(c4_runs("fast", "fast", "fast"), "C4")
    assert v.effect == pytest.approx(37.5 / 9) and v.verdict == REPRODUCED and v.note == ""
    v = only(c4_runs("slow", "slow", "slow"), "C4")
    assert v.effect == pytest.approx(9 / 37.5) and v.verdict == NOT_REPRODUCED
    assert v.threshold == 2 and v.seeds == 3


def test_c4_judges_ratios_on_the_log_scale():
    v = only(c4_runs("fast", "slow"), "C4")
    assert v.effect == pytest.approx(1) and v.low < 1 < v.high


@pytest.mark.parametrize(
    "kinds, note",
    [(("fast", "flat"), "1 seed without"), (("flat", "fast", "flat"), "2 seeds without")],
)
def test_c4_counts_the_seeds_that_say_nothing(kinds, note):
    v = only(c4_runs(*kinds), "C4")
    assert v.seeds == 1 and v.note.startswith(note) and v.verdict == NOT_ENOUGH


def test_c10_takes_the_best_rival_by_mean():
    runs = study({PDDM: 70, "Triplet": 60, "LiftedStruct": 58, "Contrastive": 30})
    # the best single run is LiftedStruct's, the best mean stays Triplet's
    runs["d", "LiftedStruct", 1] = fake_run(64.5 + WOBBLE[1])
    runs["d", "LiftedStruct", 0] = fake_run(50.0)
    v = only(runs, "C10")
    assert v.measure.endswith("PDDM+Quadruplet - Triplet")
    assert v.effect == pytest.approx(10 + 0.01 * (len(PDDM) - len("Triplet")))
    assert v.verdict == REPRODUCED and v.threshold == 8


def test_c10_wants_eight_points():
    assert only(study({PDDM: 70, "Triplet": 65}), "C10").verdict == NOT_REPRODUCED
    v = only(study({PDDM: 70}), "C10")
    assert v.verdict == NOT_ENOUGH and "Contrastive was not run" in v.note
    assert only(study({PDDM: 70, "Softmax": 65}), "C10").seeds == 0  # no rival there


def test_c10_is_asked_again_over_the_rivals_as_printed(monkeypatch):
    for name in AS_PRINTED:
        monkeypatch.setitem(METHODS, name, METHODS["Triplet"])
    runs = study({PDDM: 70, "Triplet": 69, AS_PRINTED[1]: 60, AS_PRINTED[2]: 50})
    care, copied = ask(runs, "C10")
    assert care.measure.endswith(" - Triplet") and care.verdict == NOT_REPRODUCED
    assert copied.measure.endswith(f" - {AS_PRINTED[1]}") and copied.verdict == REPRODUCED
    assert care.part != copied.part


def test_verdicts_say_what_collapsed_or_kept_its_first_step():
    runs = study({"PDDM score": 60, "LMDM score": 50})
    runs["d", "LMDM score", 1].metrics["collapse"] = "collapsed"
    for s in (0, 2):
        runs["d", "PDDM score", s].metrics["chosen_step"] = 0
    v = only(runs, "C6")
    assert v.note == (
        "PDDM score kept step 0 in 2 of 3 seeds; LMDM score collapsed in 1 of 3 seeds"
    )
    assert v.verdict == REPRODUCED and v.seeds == 3


def test_seeds_in_which_nothing_was_trained_compare_nothing():
    runs = study({"PDDM score": 60, "LMDM score": 60})
    for m in ("PDDM score", "LMDM score"):
        runs["d", m, 0].metrics["chosen_step"] = 0
    v = only(runs, "C6")
    assert (v.seeds, v.verdict) == (2, NOT_ENOUGH)
    assert v.note == "1 seed left out: nothing was trained; fewer than 3 seeds"


@pytest.mark.parametrize(
    "claim, better, worse",
    [
        ("C6", "PDDM score", "LMDM score"),
        ("C7", PDDM, "PDDM score"),
        ("C8", PDDM, "PDDM+Triplet"),
        ("C9", "PDDM+Triplet", "Triplet"),
    ],
)
def test_recall_claims(claim, better, worse):
    v = only(study({better: 60, worse: 55}), claim)
    assert v.verdict == REPRODUCED and v.effect == pytest.approx(5, abs=0.2) and v.claim == claim
    assert v.measure == f"Recall@1, points: {better} - {worse}"
    assert only(study({better: 55, worse: 60}), claim).verdict == NOT_REPRODUCED
    assert only(study({better: 60, worse: 59.8}), claim).verdict == LEVEL
    assert only(study({better: 60, worse: 55}, seeds=2), claim).verdict == NOT_ENOUGH
    v = only(study({better: 60}), claim)
    assert v.verdict == NOT_ENOUGH and v.note.startswith(f"{worse} was not run")
    assert only(study({better: 60, worse: 55}), claim, "another").seeds == 0


def overlaps_of(euclidean, own_distance, own_score, method="PDDM score"):
    runs = {}
    for s in range(3):
        e = 0.001 * s
        runs["d", EUCLIDEAN, s] = fake_run(overlap=euclidean + e)
        runs["d", method, s] = fake_run(
            score=50.0, overlap=own_distance, score_overlap=own_score - e
        )
    return runs


@pytest.mark.parametrize(
    "overlaps, expected",
    [
        ((0.5, 0.2, 0.3), (REPRODUCED, NOT_REPRODUCED)),
        ((0.2, 0.5, 0.3), (NOT_REPRODUCED, REPRODUCED)),
    ],
)
def test_c1_asks_two_questions(overlaps, expected):
    """Less overlap is better: on features of its own, and on the same features."""
    runs = overlaps_of(*overlaps)
    assert tuple(v.verdict for v in ask(runs, "C1")) == expected
    across, same = (v.effect for v in ask(runs, "C1"))
    assert across == pytest.approx(overlaps[0] - overlaps[2] + 0.002)
    assert same == pytest.approx(overlaps[1] - overlaps[2] + 0.001)


@pytest.mark.parametrize(
    "overlaps, expected",
    [
        ((0.4, 0.305, 0.3), (NOT_REPRODUCED, REPRODUCED)),
        ((0.3, 0.4, 0.303), (REPRODUCED, NOT_REPRODUCED)),
        ((0.3, 0.2, 0.4), (NOT_REPRODUCED, NOT_REPRODUCED)),  # worse is not alike either
    ],
)
def test_c2_asks_whether_overlaps_are_alike(overlaps, expected):
    rows = ask(overlaps_of(*overlaps, questions.MAHALANOBIS), "C2")
    assert tuple(v.verdict for v in rows) == expected
    assert rows[0].effect == pytest.approx(overlaps[2] - overlaps[0] - 0.002)
    assert rows[1].effect == pytest.approx(overlaps[2] - overlaps[1] - 0.001)
    assert all((v.claimed, v.threshold, v.note) == ("±", 0.01, "") for v in rows)


def test_the_same_features_are_those_of_the_state_that_distance_chose():
    runs = overlaps_of(0.5, 0.2, 0.3) | overlaps_of(0.5, 0.2, 0.3, questions.MAHALANOBIS)
    for (_, m, _), run in runs.items():
        if m != EUCLIDEAN:
            other = fake_run(score=50.0, overlap=0.25, score_overlap=0.2)
            run.at = {"distance": other, "score": run}.get
    assert ask(runs, "C1")[1].effect == pytest.approx(0.05)
    assert ask(runs, "C2")[1].effect == pytest.approx(-0.05)
    assert ask(runs, "C1")[0].effect == pytest.approx(0.202)  # each row's own state


def c3_runs(sds, apart=3.0, seeds=3):
    return {("d", EUCLIDEAN, s): fake_run(embeddings=features(sds, apart, s)) for s in range(seeds)}


def test_c3_counts_classes_looser_than_the_gap_to_the_next():
    literal, beyond = ask(c3_runs((1.0, 0.3)), "C3")
    assert literal.effect == pytest.approx(0.5) and literal.verdict == REPRODUCED
    assert beyond.effect < literal.effect and beyond.verdict == REPRODUCED
    assert (literal.threshold, beyond.threshold, literal.seeds) == (questions.IN_PARTS, 0.0, 3)
    literal, _ = ask(c3_runs((0.1,), apart=9.0), "C3")
    assert literal.effect == 0 and literal.verdict == NOT_REPRODUCED
    assert ask(c3_runs((1.0, 0.3), seeds=2), "C3")[0].verdict == NOT_ENOUGH
    assert ask({}, "C3")[0].seeds == 0


def test_c3_is_not_taken_in_by_luck():
    """Equally loose classes in heaps: many seem looser than their gap, no more than by chance."""
    literal, beyond = ask(c3_runs((1.0,) * 8), "C3")
    assert literal.verdict == REPRODUCED and literal.effect > 0.15
    assert beyond.verdict == NOT_ENOUGH and abs(beyond.effect) < 0.1


def test_c16_compares_with_the_best_rival_of_each_measure():
    runs = {}
    for s in range(3):
        e = 0.001 * s
        tight, loose = (features((sd,), seed=s) for sd in (0.2, 0.6))
        runs["d", PDDM, s] = fake_run(nmi=0.60 + e, f1=0.30, embeddings=tight)
        runs["d", "Triplet", s] = fake_run(nmi=0.65, f1=0.20, embeddings=loose)
        runs["d", EUCLIDEAN, s] = fake_run(nmi=0.50, f1=0.25 + e, embeddings=features((0.7,)))
    nmi, f1, silhouette = ask(runs, "C16")
    assert nmi.measure == "NMI: PDDM+Quadruplet - Triplet"
    assert f1.measure == "F1: PDDM+Quadruplet - Euclidean+Quadruplet"
    assert silhouette.measure == "silhouette: PDDM+Quadruplet - Triplet"
    assert (nmi.effect, f1.effect) == pytest.approx((-0.049, 0.049))
    assert [v.verdict for v in (nmi, f1, silhouette)] == [NOT_REPRODUCED, REPRODUCED, REPRODUCED]
    assert 0.1 < silhouette.effect < 1


def test_questions_name_what_exists():
    rows = [*questions.QUESTIONS, *COST, *NEW_CLASSES.values()]
    assert {q.claim for q in rows} == set(printed.CLAIMS)
    assert len({(q.claim, q.part) for q in rows}) == len(rows)
    for q in rows:
        assert q.measure in questions.MEASURES and q.claimed in "><±" and ", " not in q.part
        for _, side in q.terms:
            assert side.method in METHODS and side.change in {"", *experiments.CHANGES}
            assert {side.by, side.at} <= {"", "distance", "score"}
    for q in questions.QUESTIONS:
        assert {*q.rivals} <= {*METHODS, *AS_PRINTED} and q.terms
    for m in questions.MEASURES.values():  # effects of one unit share an axis, a margin and digits
        assert (m.margin, m.digits, m.ratio) == (
            UNITS[m.unit].margin, UNITS[m.unit].digits, UNITS[m.unit].ratio
        )  # fmt: skip


def test_only_the_claims_asked_for_are_decided():
    table = verdicts({}, ["d", "e"], only=["C6", "C2"])
    assert table["claim"].tolist() == ["C2", "C2", "C6"] * 2
    assert table["claimed"].tolist() == ["±", "±", ">"] * 2


def test_every_claim_has_its_words_and_c1_is_told_apart():
    table = verdicts(overlaps_of(0.5, 0.2, 0.3), ["d", "e"])
    assert len(table) == 2 * sum(not q.optional for q in questions.QUESTIONS)
    assert not table.duplicated(["data", "claim", "text"]).any()
    assert all(
        t.startswith(printed.CLAIMS[c]) for c, t in zip(table.claim, table.text, strict=True)
    )
    assert list(table["text"][table["claim"] == "C6"]) == [printed.CLAIMS["C6"]] * 2
    assert verdicts({}, []).empty
