"""The judge judged: intervals by hand, made-up curves, and effects planted in made-up runs."""

from itertools import count
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fakes import one_state

from pddm_lite.methods import METHODS
from pddm_lite.paper import claims as paper_claims
from pddm_lite.paper import judge as paper_judge
from pddm_lite.paper import printed as paper
from pddm_lite.paper import questions
from pddm_lite.paper.ablations import claims as claims_ablations
from pddm_lite.paper.fig4_convergence import claims as claims_convergence
from pddm_lite.paper.fig4_convergence import cost
from pddm_lite.paper.judge import (
    LEVEL,
    NOT_ENOUGH,
    NOT_REPRODUCED,
    REPRODUCED,
    Spread,
    drawn_classes,
    judge,
    missing,
    of_histograms,
    resampled,
    spread_of,
)
from pddm_lite.paper.questions import AS_PRINTED, COST, EUCLIDEAN, NEW_CLASSES, PDDM, UNITS
from pddm_lite.paper.table2_zero_shot import claims as claims_zero_shot
from pddm_lite.paper.verdict import claims as claims_verdict
from pddm_lite.training import experiments

# one wobble a seed, common to all methods: paired differences do not see it, means do
WOBBLE = (0.0, 7.0, -5.0)
NUMBERS_OF_RUNS = count()  # what is known of a run is kept by its id


def features(sds=(1.0, 0.3), apart=3.0, seed=0):
    """Pairs of classes, each a class of spread sds[0] with one of sds[1] near its middle."""
    rng = np.random.default_rng(seed)
    means = np.repeat(apart * rng.normal(size=(6, 4)), len(sds), axis=0)
    means += 0.3 * rng.normal(size=means.shape)  # the two of a pair are not in one place
    labels = np.repeat(np.arange(len(means)), 30)
    f = means[labels] + np.tile(sds, 6)[labels, None] * rng.normal(size=(len(labels), 4))
    return {"f": f, "labels": labels}


def fake_run(
    recall=50.0,
    score=None,
    overlap=0.3,
    score_overlap=None,
    curve=None,
    nmi=0.5,
    f1=0.2,
    embeddings=None,
    **metrics,
):
    """What claims read of a runs.Run."""
    test = {"distance": {"recall_1": recall, "overlap": overlap, "auc": recall / 100}}
    test["distance"] |= {"nmi": nmi, "f1": f1}
    if score is not None:
        test["score"] = {"recall_1": score, "overlap": score_overlap, "auc": score / 100}
    steps = range(0, 10 * len(curve or [0]), 10)
    history = pd.DataFrame({"step": steps, "val_recall_1": curve or [0.0]})
    run = SimpleNamespace(
        id=f"test_claims {next(NUMBERS_OF_RUNS)}",
        embeddings=embeddings or features(),
        metrics={"test": test, "chosen_step": 10, "collapse": "", **metrics},
        history=history,
        experiment=SimpleNamespace(quadruplets=0),
    )
    return one_state(run)


def ask(runs, claim, data="d", variant_runs=None):
    """The verdicts on a claim's questions, in their order."""
    asked = [q for q in questions.QUESTIONS if q.claim == claim]
    found = [paper_claims.verdict(q, runs, variant_runs or {}, data) for q in asked]
    return [v for v in found if v]


def only(runs, claim, data="d"):
    (v,) = ask(runs, claim, data)
    return v


def study(recall, seeds=3, data="d", **more):
    """Runs of the methods in `recall` (Recall@1 as each ranks), nearly the same a seed."""
    runs = {}
    for m, value in recall.items():
        for s in range(seeds):
            at = value + WOBBLE[s] + 0.01 * s * len(m)  # differences differ a little, too
            score = at if METHODS[m].rank == "score" else None
            options = {k: v[m] for k, v in more.items() if m in v}
            runs[data, m, s] = fake_run(50.0 if score else at, score, **options)
    return runs


# ------------------------------------------------------------------------ interval and verdict


def test_interval_by_hand():
    # mean 2, sd 1, t(0.975, 2) = 4.302653: half width 4.302653 / sqrt(3)
    assert paper_judge.interval([1, 2, 3]) == pytest.approx(
        (2, 2 - 2.484138, 2 + 2.484138), abs=1e-6
    )
    # t(0.975, 1) = 12.706205, sd of (0, 2) = sqrt(2)
    assert paper_judge.interval([0, 2]) == pytest.approx(
        (1, 1 - 12.706205, 1 + 12.706205), abs=1e-5
    )


def test_interval_of_too_little():
    mean, low, high = paper_judge.interval([4.0])
    assert mean == 4 and np.isnan([low, high]).all()
    assert np.isnan(paper_judge.interval([])).all()


@pytest.mark.parametrize(
    "values, threshold, verdict",
    [
        ([3, 4, 5], 0, REPRODUCED),  # [1.52, 6.48]
        ([3, 4, 5], 1.5, REPRODUCED),
        ([3, 4, 5], 1.6, NOT_ENOUGH),
        ([3, 4, 5], 6.4, NOT_ENOUGH),
        ([3, 4, 5], 6.5, NOT_REPRODUCED),
        ([-3, -4, -5], 0, NOT_REPRODUCED),
        ([1, 2, 3], 0, NOT_ENOUGH),  # [-0.48, 4.48]
        ([1, 1, 1], 1, NOT_ENOUGH),  # no width, upon the threshold
        ([9.0, 9.0], 0, NOT_ENOUGH),  # two seeds, however clear
        ([9.0], 0, NOT_ENOUGH),
        ([], 0, NOT_ENOUGH),
    ],
)
def test_decide(values, threshold, verdict):
    assert paper_judge.decide(values, threshold)[3] == verdict


@pytest.mark.parametrize(
    "values, verdict",
    [
        ([-0.01, 0, 0.01], REPRODUCED),  # 0 +- 0.0248
        ([0.02, 0.02, 0.02], REPRODUCED),
        ([-0.02, 0, 0.02], NOT_ENOUGH),  # 0 +- 0.0497: inside of 0.05, and not of 0.045
        ([0.07, 0.08, 0.09], NOT_REPRODUCED),
        ([-0.07, -0.08, -0.09], NOT_REPRODUCED),
        ([0.03, 0.04, 0.05], NOT_ENOUGH),
        ([-0.2, 0, 0.2], NOT_ENOUGH),  # no difference found, and nothing shown
        ([0.0, 0.0], NOT_ENOUGH),
        ([], NOT_ENOUGH),
    ],
)
def test_decide_that_two_things_are_alike(values, verdict):
    assert paper_judge.decide(values, 0.045, "±")[3] == verdict


@pytest.mark.parametrize(
    "values, threshold, verdict, level",
    [
        ([-0.1, 0, 0.1], 0, LEVEL, True),  # 0 +- 0.25
        ([0.3, 0.4, 0.5], 0, LEVEL, True),  # 0.4 +- 0.25: a win, but smaller than the margin
        ([-0.3, -0.4, -0.5], 0, LEVEL, True),
        ([0.7, 0.8, 0.9], 0, REPRODUCED, False),  # 0.8 +- 0.25
        ([-0.7, -0.8, -0.9], 0, NOT_REPRODUCED, False),
        ([-0.5, 0, 0.5], 0, NOT_ENOUGH, False),  # 0 +- 1.24
        ([0.0, 0.0], 0, NOT_ENOUGH, False),
        ([-0.1, 0, 0.1], 8, NOT_REPRODUCED, True),  # C10: no lead of 8, and level beside it
        ([3, 3.1, 3.2], 8, NOT_REPRODUCED, False),
        ([9, 9.1, 9.2], 8, REPRODUCED, False),
    ],
)
def test_level_outranks_what_is_smaller_than_the_margin(values, threshold, verdict, level):
    assert judge(spread_of(values), threshold, margin=1.0) == (verdict, level)


def test_below_is_a_direction_too():
    assert paper_judge.decide([1.0, 1.1, 1.2], 1.5, "<")[3] == REPRODUCED
    assert paper_judge.decide([1.8, 1.9, 2.0], 1.5, "<")[3] == NOT_REPRODUCED
    assert paper_judge.decide([1.3, 1.5, 1.7], 1.5, "<")[3] == NOT_ENOUGH


def test_not_enough_evidence_says_how_many_more_seeds_would_tell():
    assert missing(spread_of([9.0, 9.1])) == "fewer than 3 seeds"
    found = spread_of([1, 2, 3])  # sd 1, mean 2: t(n - 1) / sqrt(n) < 2 from n = 4 on
    assert found.half(3) > 2 > found.half(4) == pytest.approx(3.182446 / 2, abs=1e-6)
    assert missing(found) == "would take about 1 more seed at this spread"
    assert missing(spread_of([-1, 0.001, 1])) == "would take more than 200 seeds at this spread"
    level = spread_of([-1, 0.001, 1])  # half(n) < 0.999 from n = 7 on: t(6) / sqrt(7) = 0.925
    assert missing(level, margin=1.0) == "would take about 4 more seeds at this spread"
    wide = Spread(mean=1.0, seeds=5, of_seeds=0.01, of_classes=1.0, classes=50)
    assert missing(wide) == "more seeds alone would not tell: the test classes differ too much"


# ------------------------------------------------------------------------- seeds and classes


def made_up(rng, seeds, classes, sd_seed, sd_class, sd_rest, images=20):
    """Hits of two methods by seed and class, their difference d_sc = seed + class + rest, in
    points: kept as evaluate_fully keeps them, with whole numbers left aside."""
    d = rng.normal(0, sd_seed, (seeds, 1)) + rng.normal(0, sd_class, (1, classes))
    d = d + rng.normal(0, sd_rest, (seeds, classes))
    n = np.full(classes, images)
    a = [{"images": n, "score_hits": images * (50 + x) / 100} for x in d]
    b = [{"images": n, "score_hits": np.full(classes, images / 2)} for _ in d]
    return d.mean(1), a, b


def drawn(a, b, measure="recall_1"):
    return np.array([resampled(measure, x, "score") - resampled(measure, y, "score")
                     for x, y in zip(a, b, strict=True)])  # fmt: skip


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("sds", [(1, 0, 0), (1, 5, 5), (0.2, 8, 4), (0, 0, 8)], ids=str)
def test_intervals_cover_95_percent(seeds, sds):
    """Of the true difference, 0, with seeds and classes drawn anew in each of 300 studies.

    Two standard errors of the count are 2.5 %. It may cover more where all is rest, of which too
    much is then ascribed to seeds; it must not cover less.
    """
    rng, covered = np.random.default_rng(seeds), 0
    for _ in range(300):
        values, a, b = made_up(rng, seeds, 60, *sds)
        _, low, high = spread_of(values, drawn(a, b), 60).interval
        covered += low < 0 < high
    assert covered / 300 > 0.925
    assert covered < 300 or sds[0] == 0


def test_drawing_three_seeds_from_three_would_cover_too_little():
    """Why seeds are not drawn as classes are."""
    rng, covered = np.random.default_rng(0), 0
    for _ in range(300):
        values = rng.normal(0, 1, 3)
        low, high = np.quantile(rng.choice(values, (2000, 3)).mean(1), [0.025, 0.975])
        covered += low < 0 < high
    assert covered / 300 < 0.85


def test_seeds_and_classes_add_up():
    """Parts of the variance as planted, in the mean over many studies."""
    rng, parts = np.random.default_rng(0), []
    for _ in range(200):
        values, a, b = made_up(rng, 5, 60, 1.0, 6.0, 4.0)
        found = spread_of(values, drawn(a, b), 60)
        parts.append((found.of_seeds, found.of_classes))
    of_seeds, of_classes = np.mean(parts, axis=0)
    assert of_seeds == pytest.approx(1 / 5 + 16 / (5 * 60), rel=0.15)
    assert of_classes == pytest.approx(36 / 60, rel=0.1)


def test_classes_that_are_alike_leave_students_interval():
    values, a, b = made_up(np.random.default_rng(0), 4, 30, 1.0, 0.0, 0.0)
    found = spread_of(values, drawn(a, b), 30)
    assert found.interval == pytest.approx(paper_judge.interval(values))


@pytest.mark.parametrize("measure", ["auc", "overlap"])
def test_weights_of_negative_pairs_do_as_an_exact_resampling(measure):
    """A pair of classes counted w_a w_b times, for every draw: the spread is nearly the same."""
    rng, C = np.random.default_rng(1), 40
    shift = rng.normal(0, 0.6, C)
    edges = np.linspace(-4, 5, 41)
    positive = np.array([np.histogram(rng.normal(1.5 + s, 1, 60), edges)[0] for s in shift])
    pairs = np.zeros((C, C, 40))
    for i in range(C):
        for j in range(i):
            at = 0.7 * (shift[i] + shift[j])
            pairs[i, j] = pairs[j, i] = np.histogram(rng.normal(at, 1, 30), edges)[0]
    w = drawn_classes(C)
    p = w @ positive
    exact = np.array([np.tensordot(np.outer(x, x), pairs, 2) for x in w])
    exact = of_histograms(measure, p, exact)
    by_class = {"images": np.ones(C), "score_positive": positive, "score_negative": pairs.sum(1)}
    ours = resampled(measure, by_class, "score")
    half = of_histograms(measure, p, w @ pairs.sum(1))  # weights w_a alone
    assert ours.std() == pytest.approx(exact.std(), rel=0.06)
    assert np.corrcoef(ours, exact)[0, 1] > 0.98
    assert np.abs(ours - exact).mean() < 0.25 * np.abs(half - exact).mean()


def test_resampled_recall_is_that_of_the_resampled_images():
    hits, images = np.array([3, 0, 5]), np.array([4, 1, 10])
    found = resampled("recall_1", {"images": images, "distance_hits": hits}, "distance")
    for w, x in zip(drawn_classes(3)[:50], found, strict=False):
        assert x == pytest.approx(100 * (w @ hits) / (w @ images))


def test_decide_leaves_out_what_is_no_number():
    assert paper_judge.decide([3, np.nan, 4, np.inf, 5]) == paper_judge.decide([3, 4, 5])
    assert paper_judge.decide([9, np.nan, 9])[3] == NOT_ENOUGH  # two are left
    assert paper_judge.decide([9, np.nan, 9])[0] == 9


def test_counts_have_grammar():
    assert [paper_judge.count(n, "seed") for n in (0, 1, 2)] == ["0 seeds", "1 seed", "2 seeds"]
    assert paper_judge.count(np.int64(1), "seed") == "1 seed"


# ---------------------------------------------------------------------------------- the level


def curve(*values):
    return pd.Series(values, index=range(0, 100 * len(values), 100), dtype=float)


def test_common_level_by_hand():
    # start 40, lower best 50: level 49; a: 48 at 100, 52 at 200, so 125; b: 45 at 200, 50 at 300
    level, reached = paper_claims.common_level({"a": curve(40, 48, 52), "b": curve(40, 41, 45, 50)})
    assert level == pytest.approx(49)
    assert reached == pytest.approx({"a": 125, "b": 280})


def test_common_level_takes_the_first_crossing():
    _, reached = paper_claims.common_level({"a": curve(40, 60, 40, 60), "b": curve(40, 50, 60, 30)})
    assert reached == pytest.approx({"a": 90, "b": 180})


@pytest.mark.parametrize(
    "other", [curve(40, 39, 30), curve(40, 40.4, 40.2), curve(40)], ids=["falls", "noise", "one"]
)
def test_a_curve_that_never_rises_has_no_level(other):
    assert paper_claims.common_level({"a": curve(40, 60, 70), "b": other}) is None
    assert paper_claims.common_level({"b": other, "a": curve(40, 60, 70)}) is None


def test_half_a_point_is_a_rise():
    assert paper_claims.common_level({"a": curve(40, 60), "b": curve(40, 40.5)}) is not None


# ----------------------------------------------------------------------------------- deciders

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


def test_c10_says_level_beside_the_threshold():
    v = only(study({PDDM: 70, "Triplet": 69.8}), "C10")
    assert (v.verdict, v.level) == (NOT_REPRODUCED, True) and v.note.endswith(
        "level with Triplet within 1 point"
    )


def test_c10_is_asked_again_over_the_rivals_as_printed(monkeypatch):
    for name in AS_PRINTED:
        monkeypatch.setitem(METHODS, name, METHODS["Triplet"])
    runs = study({PDDM: 70, "Triplet": 69, AS_PRINTED[1]: 60, AS_PRINTED[2]: 50})
    care, printed = ask(runs, "C10")
    assert care.measure.endswith(" - Triplet") and care.verdict == NOT_REPRODUCED
    assert printed.measure.endswith(f" - {AS_PRINTED[1]}") and printed.verdict == REPRODUCED
    assert care.part != printed.part


# ------------------------------------------------------------------------ runs that did not train


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


def c1_runs(euclidean, own_distance, own_score):
    runs = {}
    for s in range(3):
        e = 0.001 * s
        runs["d", EUCLIDEAN, s] = fake_run(overlap=euclidean + e)
        runs["d", "PDDM score", s] = fake_run(
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
    runs = c1_runs(*overlaps)
    assert tuple(v.verdict for v in ask(runs, "C1")) == expected
    across, same = (v.effect for v in ask(runs, "C1"))
    assert across == pytest.approx(overlaps[0] - overlaps[2] + 0.002)
    assert same == pytest.approx(overlaps[1] - overlaps[2] + 0.001)


def c2_runs(euclidean, own_distance, own_score):
    runs = {}
    for s in range(3):
        runs["d", EUCLIDEAN, s] = fake_run(overlap=euclidean + 0.001 * s)
        runs["d", questions.MAHALANOBIS, s] = fake_run(
            score=50.0, overlap=own_distance, score_overlap=own_score
        )
    return runs


@pytest.mark.parametrize(
    "overlaps, expected",
    [
        ((0.4, 0.305, 0.3), (NOT_REPRODUCED, REPRODUCED)),
        ((0.3, 0.4, 0.303), (REPRODUCED, NOT_REPRODUCED)),
        ((0.3, 0.2, 0.4), (NOT_REPRODUCED, NOT_REPRODUCED)),  # worse is not alike either
    ],
)
def test_c2_asks_whether_overlaps_are_alike(overlaps, expected):
    rows = ask(c2_runs(*overlaps), "C2")
    assert tuple(v.verdict for v in rows) == expected
    assert rows[0].effect == pytest.approx(overlaps[2] - overlaps[0] - 0.001)
    assert rows[1].effect == pytest.approx(overlaps[2] - overlaps[1])
    assert all((v.claimed, v.threshold, v.note) == ("±", 0.01, "") for v in rows)


def test_the_same_features_are_those_of_the_state_that_distance_chose():
    runs = c1_runs(0.5, 0.2, 0.3) | c2_runs(0.5, 0.2, 0.3)
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
    assert {q.claim for q in rows} == set(paper.CLAIMS)
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
    table = claims_verdict.verdicts({}, ["d", "e"], only=["C6", "C2"])
    assert table["claim"].tolist() == ["C2", "C2", "C6"] * 2
    assert table["claimed"].tolist() == ["±", "±", ">"] * 2


def test_every_claim_has_its_words_and_c1_is_told_apart():
    table = claims_verdict.verdicts(c1_runs(0.5, 0.2, 0.3), ["d", "e"])
    assert len(table) == 2 * sum(not q.optional for q in questions.QUESTIONS)
    assert not table.duplicated(["data", "claim", "text"]).any()
    assert all(t.startswith(paper.CLAIMS[c]) for c, t in zip(table.claim, table.text, strict=True))
    assert list(table["text"][table["claim"] == "C6"]) == [paper.CLAIMS["C6"]] * 2
    assert claims_verdict.verdicts({}, []).empty


# ------------------------------------------------------------- claims on changes of the method

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
    table = claims_verdict.verdicts({}, [data], changed_runs(changes))
    table = table[table["claim"].isin(["C11", "C12", "C13"])]
    parts = [t.removeprefix(paper.CLAIMS[c]) for c, t in zip(table.claim, table.text, strict=True)]
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
    assert bounds == pytest.approx(paper_judge.interval([10, 11, 12])) and distance.threshold == 6.5
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
    row = claims_verdict.verdicts({}, ["d"], runs, only=["C11"]).iloc[-1]
    assert (row["effect"], row["seeds"], row["verdict"]) == (1.5, 2, NOT_ENOUGH)


# ------------------------------------------------------------------- variants of the recipe


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
    table = claims_ablations.effects(variant_runs(VALUES, NUMBERS))
    change = table[table["group"] == "the recipe"].dropna(subset="effect")
    assert change[["variant", "method"]].to_numpy().tolist() == [list(k) for k in VALUES if k[0]]
    row = change.iloc[0]
    assert row[["effect", "low", "high"]].tolist() == pytest.approx(
        paper_judge.interval([-3, -4, -5])
    )
    assert change["effect"].tolist() == pytest.approx([-4, 1 / 3, 1])
    assert set(change["seeds"]) == {3}
    mining = table[table["group"] == claims_ablations.MINES]
    assert mining["change"].tolist() == ["Euclidean mining", "Euclidean mining, 1 quadruplet"]
    assert mining["effect"].tolist() == pytest.approx([-2, 7 / 3])


def test_collapses_are_counted():
    runs = variant_runs(VALUES, NUMBERS)
    runs["d", "1 quadruplet", PDDM, 1].metrics["collapse"] = "collapsed"
    table = claims_ablations.effects(runs)
    crossed = table[table["collapsed"] > 0]
    assert set(crossed["change"]) == {"1 quadruplet"} and PDDM in set(crossed["method"])


@pytest.mark.parametrize(
    "keep, groups",
    [
        (lambda v, m: not v, {claims_ablations.MINES}),
        (lambda v, m: m == PDDM, {"the recipe"}),
        (lambda v, m: v, {claims_ablations.MINES}),  # no recipe as it stands
        (lambda v, m: not v and m == PDDM, set()),
        (lambda v, m: False, set()),
    ],
    ids=["no variants", "PDDM alone", "variants alone", "one recipe", "nothing"],
)
def test_a_part_of_the_variants(keep, groups):
    some = {k: v for k, v in VALUES.items() if keep(*k)}
    table = claims_ablations.effects(variant_runs(some, NUMBERS))
    assert set(table["group"]) == groups
    assert list(table.columns) == claims_ablations.COLUMNS


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
    table = claims_ablations.effects(runs)
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
        list(paper_judge.interval([-1, -2, -3])[1:])
    )


def test_what_is_ablated_is_known_to_the_experiments():
    names = [change for changes in claims_ablations.ABLATED.values() for change in changes]
    assert len(set(names)) == len(names)
    assert set(names) == {*experiments.ABLATIONS, *experiments.SIZES}
    assert set(claims_ablations.MINERS) <= set(METHODS)
    assert {change for change, _ in paper.COSTS} <= set(experiments.ABLATIONS)


# --------------------------------------------------------------------------- the cost of a batch


def costs(pddm=1.0, lifted=2.0, ms=(4.0, 1.0), seeds=3, wobble=0.01):
    """cost.measured with seconds of fixed cost and a power of m, a little other a seed."""
    sizes, rows = (16, 64, 256, 1024), []
    for way, p, fixed in ((cost.PDDM, pddm, ms[0]), (cost.LIFTED, lifted, ms[1])):
        for s in range(seeds):
            power = p + wobble * (s - (seeds - 1) / 2)
            for m in sizes:
                seconds = 1e-3 * (fixed + 1e-4 * m**power)
                rows.append((way, m, s, cost.WAYS[way].pairs(m), seconds))
    frame = pd.DataFrame(rows, columns=cost.COLUMNS)
    frame.attrs["cpu"] = "a processor"
    return frame


def c5(**kw):
    return {v.part: v for v in claims_convergence.c5(costs(**kw))}


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
    found = {v.part: v for v in claims_zero_shot.c15(zero_shot_results(top))}
    assert set(found) == {"over Softmax", "over Triplet"}
    v = found["over Softmax"]
    assert (v.effect, v.threshold, v.seeds, v.verdict) == (pytest.approx(5), 0, 3, REPRODUCED)
    assert found["over Triplet"].effect == pytest.approx(-6.1 / 3)
    assert found["over Triplet"].verdict == NOT_REPRODUCED
    assert v.measure == "top-5, points: PDDM+Quadruplet - Softmax" and v.unit in UNITS


def test_c15_without_softmax_or_without_a_hierarchy():
    (v,) = claims_zero_shot.c15(zero_shot_results({PDDM: (50.0, 51, 49)}))
    assert (v.verdict, v.note, v.seeds) == (NOT_ENOUGH, "Softmax was not run", 0)
    assert claims_zero_shot.c15(zero_shot_results({})) == []
    top = {PDDM: (50.0, 51, 49), "Softmax": (45.0, 46, 44)}
    table = claims_verdict.verdicts(
        {}, ["d"], only=["C15"], measured={"C15": zero_shot_results(top)}
    )
    assert table["claim"].tolist() == ["C15"] and table["verdict"].tolist() == [REPRODUCED]


def test_c5_has_its_rows_once_however_many_data_sets_and_only_if_measured():
    without = claims_verdict.verdicts({}, ["d", "e"])
    table = claims_verdict.verdicts({}, ["d", "e"], None, costs())
    assert "C5" not in set(without["claim"]) and len(table) == len(without) + 5
    rows = table[table["claim"] == "C5"]
    assert set(rows["data"]) == {cost.DATA} and rows["text"].is_unique
    assert rows["text"].str.startswith(paper.CLAIMS["C5"]).all()
