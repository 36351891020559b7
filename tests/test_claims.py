"""The judge judged: intervals by hand, made-up curves, and effects planted in made-up runs."""

from itertools import count
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pddm_lite import claims, cost, experiments, paper
from pddm_lite.claims import EUCLIDEAN, NOT_ENOUGH, NOT_REPRODUCED, PDDM, REPRODUCED
from pddm_lite.methods import METHODS

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
    """What claims read of a training.Run."""
    test = {"distance": {"recall_1": recall, "overlap": overlap, "auc": recall / 100}}
    test["distance"] |= {"nmi": nmi, "f1": f1}
    if score is not None:
        test["score"] = {"recall_1": score, "overlap": score_overlap, "auc": score / 100}
    steps = range(0, 10 * len(curve or [0]), 10)
    history = pd.DataFrame({"step": steps, "test_recall_1": curve or [0.0]})
    return SimpleNamespace(
        id=f"test_claims {next(NUMBERS_OF_RUNS)}",
        embeddings=embeddings or features(),
        metrics={"test": test, "chosen_step": 10, "collapse": "", **metrics},
        history=history,
        experiment=SimpleNamespace(quadruplets=0),
    )


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
    assert claims.interval([1, 2, 3]) == pytest.approx((2, 2 - 2.484138, 2 + 2.484138), abs=1e-6)
    # t(0.975, 1) = 12.706205, sd of (0, 2) = sqrt(2)
    assert claims.interval([0, 2]) == pytest.approx((1, 1 - 12.706205, 1 + 12.706205), abs=1e-5)


def test_interval_of_too_little():
    mean, low, high = claims.interval([4.0])
    assert mean == 4 and np.isnan([low, high]).all()
    assert np.isnan(claims.interval([])).all()


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
    assert claims.decide(values, threshold)[3] == verdict


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
    assert claims.decide(values, 0.045, two_sided=True)[3] == verdict


def test_decide_leaves_out_what_is_no_number():
    assert claims.decide([3, np.nan, 4, np.inf, 5]) == claims.decide([3, 4, 5])
    assert claims.decide([9, np.nan, 9])[3] == NOT_ENOUGH  # two are left
    assert claims.decide([9, np.nan, 9])[0] == 9


def test_counts_have_grammar():
    assert [claims.count(n, "seed") for n in (0, 1, 2)] == ["0 seeds", "1 seed", "2 seeds"]
    assert claims.count(np.int64(1), "seed") == "1 seed"


# ---------------------------------------------------------------------------------- the level


def curve(*values):
    return pd.Series(values, index=range(0, 100 * len(values), 100), dtype=float)


def test_common_level_by_hand():
    # start 40, lower best 50: level 49; a: 48 at 100, 52 at 200, so 125; b: 45 at 200, 50 at 300
    level, reached = claims.common_level({"a": curve(40, 48, 52), "b": curve(40, 41, 45, 50)})
    assert level == pytest.approx(49)
    assert reached == pytest.approx({"a": 125, "b": 280})


def test_common_level_takes_the_first_crossing():
    _, reached = claims.common_level({"a": curve(40, 60, 40, 60), "b": curve(40, 50, 60, 30)})
    assert reached == pytest.approx({"a": 90, "b": 180})


@pytest.mark.parametrize(
    "other", [curve(40, 39, 30), curve(40, 40.4, 40.2), curve(40)], ids=["falls", "noise", "one"]
)
def test_a_curve_that_never_rises_has_no_level(other):
    assert claims.common_level({"a": curve(40, 60, 70), "b": other}) is None
    assert claims.common_level({"b": other, "a": curve(40, 60, 70)}) is None


def test_half_a_point_is_a_rise():
    assert claims.common_level({"a": curve(40, 60), "b": curve(40, 40.5)}) is not None


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
    v = claims.c4(c4_runs("fast", "fast", "fast"), "d")
    assert v.effect == pytest.approx(37.5 / 9) and v.verdict == REPRODUCED and v.note == ""
    v = claims.c4(c4_runs("slow", "slow", "slow"), "d")
    assert v.effect == pytest.approx(9 / 37.5) and v.verdict == NOT_REPRODUCED
    assert v.threshold == 2 and v.seeds == 3


def test_c4_judges_ratios_on_the_log_scale():
    v = claims.c4(c4_runs("fast", "slow"), "d")
    assert v.effect == pytest.approx(1) and v.low < 1 < v.high


@pytest.mark.parametrize(
    "kinds, note",
    [(("fast", "flat"), "1 seed without"), (("flat", "fast", "flat"), "2 seeds without")],
)
def test_c4_counts_the_seeds_that_say_nothing(kinds, note):
    v = claims.c4(c4_runs(*kinds), "d")
    assert v.seeds == 1 and v.note.startswith(note) and v.verdict == NOT_ENOUGH


def test_c10_takes_the_best_rival_by_mean():
    runs = study({PDDM: 70, "Triplet": 60, "LiftedStruct": 58, "Contrastive": 30})
    # the best single run is LiftedStruct's, the best mean stays Triplet's
    runs["d", "LiftedStruct", 1] = fake_run(64.5 + WOBBLE[1])
    runs["d", "LiftedStruct", 0] = fake_run(50.0)
    v = claims.c10(runs, "d")
    assert v.measure.endswith("PDDM+Quadruplet - Triplet")
    assert v.effect == pytest.approx(10 + 0.01 * (len(PDDM) - len("Triplet")))
    assert v.verdict == REPRODUCED and v.threshold == 8


def test_c10_wants_eight_points():
    assert claims.c10(study({PDDM: 70, "Triplet": 65}), "d").verdict == NOT_REPRODUCED
    assert claims.c10(study({PDDM: 70}), "d").verdict == NOT_ENOUGH


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
    (decide,) = claims.DECIDERS[claim]
    v = decide(study({better: 60, worse: 55}), "d")
    assert v.verdict == REPRODUCED and v.effect == pytest.approx(5, abs=0.2) and v.claim == claim
    assert v.measure == f"Recall@1, points: {better} - {worse}"
    assert decide(study({better: 55, worse: 60}), "d").verdict == NOT_REPRODUCED
    assert decide(study({better: 60, worse: 55}, seeds=2), "d").verdict == NOT_ENOUGH
    assert decide(study({better: 60}), "d").verdict == NOT_ENOUGH
    assert decide(study({better: 60, worse: 55}), "another").seeds == 0


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
    assert tuple(f(runs, "d").verdict for f in claims.DECIDERS["C1"]) == expected
    across, same = (f(runs, "d").effect for f in claims.DECIDERS["C1"])
    assert across == pytest.approx(overlaps[0] - overlaps[2] + 0.002)
    assert same == pytest.approx(overlaps[1] - overlaps[2] + 0.001)


def c2_runs(euclidean, own_distance, own_score):
    runs = {}
    for s in range(3):
        runs["d", EUCLIDEAN, s] = fake_run(overlap=euclidean + 0.001 * s)
        runs["d", claims.MAHALANOBIS, s] = fake_run(
            score=50.0, overlap=own_distance, score_overlap=own_score
        )
    return runs


@pytest.mark.parametrize(
    "overlaps, expected",
    [
        ((0.4, 0.31, 0.3), (NOT_REPRODUCED, REPRODUCED)),
        ((0.3, 0.4, 0.31), (REPRODUCED, NOT_REPRODUCED)),
        ((0.3, 0.2, 0.4), (NOT_REPRODUCED, NOT_REPRODUCED)),  # worse is not alike either
    ],
)
def test_c2_asks_whether_overlaps_are_alike(overlaps, expected):
    rows = [f(c2_runs(*overlaps), "d") for f in claims.DECIDERS["C2"]]
    assert tuple(v.verdict for v in rows) == expected
    assert rows[0].effect == pytest.approx(overlaps[2] - overlaps[0] - 0.001)
    assert rows[1].effect == pytest.approx(overlaps[2] - overlaps[1])
    assert all(v.two_sided and v.threshold == claims.SIMILAR and v.note == "" for v in rows)


def test_c2_names_the_difference_of_pddm_as_a_yardstick():
    runs = c1_runs(0.5, 0.25, 0.3) | c2_runs(0.5, 0.25, 0.3)
    own, same = (f(runs, "d").note for f in claims.DECIDERS["C2"])
    assert own.endswith("PDDM's: -0.202")
    assert "PDDM's: 0.049; the margin is wider than that: " in same  # 0.049 < SIMILAR


def c3_runs(sds, apart=3.0, seeds=3):
    return {("d", EUCLIDEAN, s): fake_run(embeddings=features(sds, apart, s)) for s in range(seeds)}


def test_c3_counts_classes_looser_than_the_gap_to_the_next():
    literal, beyond = (f(c3_runs((1.0, 0.3)), "d") for f in claims.DECIDERS["C3"])
    assert literal.effect == pytest.approx(0.5) and literal.verdict == REPRODUCED
    assert beyond.effect < literal.effect and beyond.verdict == REPRODUCED
    assert (literal.threshold, beyond.threshold, literal.seeds) == (claims.IN_PARTS, 0.0, 3)
    luck = f"gives {literal.effect - beyond.effect:.3f}"
    assert literal.note.endswith(luck) and beyond.note == ""
    literal, _ = (f(c3_runs((0.1,), apart=9.0), "d") for f in claims.DECIDERS["C3"])
    assert literal.effect == 0 and literal.verdict == NOT_REPRODUCED
    assert claims.DECIDERS["C3"][0](c3_runs((1.0, 0.3), seeds=2), "d").verdict == NOT_ENOUGH
    assert claims.DECIDERS["C3"][0]({}, "d").seeds == 0


def test_c3_is_not_taken_in_by_luck():
    """Equally loose classes in heaps: many seem looser than their gap, no more than by chance."""
    literal, beyond = (f(c3_runs((1.0,) * 8), "d") for f in claims.DECIDERS["C3"])
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
    nmi, f1, silhouette = (f(runs, "d") for f in claims.DECIDERS["C16"])
    assert nmi.measure == "clusters: NMI, PDDM+Quadruplet - Triplet"
    assert f1.measure == "clusters: F1, PDDM+Quadruplet - Euclidean+Quadruplet"
    assert silhouette.measure == "clusters: silhouette, PDDM+Quadruplet - Triplet"
    assert (nmi.effect, f1.effect) == pytest.approx((-0.049, 0.049))
    assert [v.verdict for v in (nmi, f1, silhouette)] == [NOT_REPRODUCED, REPRODUCED, REPRODUCED]
    assert 0.1 < silhouette.effect < 1


def test_only_the_claims_asked_for_are_decided():
    table = claims.verdicts({}, ["d", "e"], only=["C6", "C2"])
    assert table["claim"].tolist() == ["C6", "C2", "C2"] * 2
    assert table["two_sided"].tolist() == [False, True, True] * 2


def test_every_claim_has_its_words_and_c1_is_told_apart():
    table = claims.verdicts(c1_runs(0.5, 0.2, 0.3), ["d", "e"])
    assert len(table) == 2 * sum(len(fs) for fs in claims.DECIDERS.values())
    assert not table.duplicated(["data", "claim", "text"]).any()
    assert all(t.startswith(paper.CLAIMS[c]) for c, t in zip(table.claim, table.text, strict=True))
    assert list(table["text"][table["claim"] == "C6"]) == [paper.CLAIMS["C6"]] * 2
    assert "part" not in table
    assert claims.verdicts({}, []).empty


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
    table = claims.verdicts({}, [data], changed_runs(changes))
    table = table[table["claim"].isin(claims.CHANGE_DECIDERS)]
    parts = [t.removeprefix(paper.CLAIMS[c]) for c, t in zip(table.claim, table.text, strict=True)]
    return dict(zip(parts, table.itertuples(), strict=True))


def test_a_study_is_asked_for_the_changes_it_has_alone():
    assert asked({}) == {} and asked({"m = 32": {}}, "another") == {}
    assert asked({"m = 132": {}}) == {}  # a gain to be compared with a loss
    assert list(asked({"m = 32": {}})) == [", the loss at m = 32"]
    (fisher,) = asked({"Fisher criterion": {}}).values()
    assert "not by measurement" in fisher.note
    every = asked({change: {} for change in experiments.ABLATIONS})
    assert len(every) == 9 == sum(len(fs) for fs in claims.CHANGE_DECIDERS.values())
    assert [v.claim for v in every.values()] == ["C11"] * 2 + ["C12"] * 2 + ["C13"] * 5
    assert {v.seeds for v in every.values()} == {3}


def test_c11_wants_the_points_of_the_paper():
    rows = asked({"without E_e": {"distance": [-10, -11, -12], "score": [-2, -2.5, -3]}})
    score, distance = rows[", by score"], rows[", by distance"]
    assert distance[5:9] == pytest.approx((*claims.interval([10, 11, 12]), 6.5))
    assert distance.verdict == REPRODUCED  # 11 +- 2.5
    assert score.threshold == 3.4 and score.verdict == NOT_ENOUGH  # 2.5 +- 1.2
    rows = asked({"without E_e": {"distance": -3.0, "score": -3.3}})
    assert {v.verdict for v in rows.values()} == {NOT_REPRODUCED}


@pytest.mark.parametrize(
    "small, large, verdicts",
    [
        ([-5, -6, -7], [1, 1, 1], (REPRODUCED, REPRODUCED)),  # 5, 6, 7; less 1: 4, 5, 6
        ([-1, -1.5, -2], [4, 5, 6], (NOT_ENOUGH, NOT_REPRODUCED)),  # 1.5 +- 1.2; -3, -3.5, -4
        ([-4, -5, -6], [4, 5, 6], (NOT_ENOUGH, NOT_ENOUGH)),  # 5 +- 2.5; 0, 0, 0
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
        "overfitting, logistic regression - hinge": (pytest.approx(0.05), REPRODUCED),
        "Recall@1, hinge - logistic regression": (pytest.approx(5), REPRODUCED),
        "overfitting, binary classification - hinge": (pytest.approx(-0.05), NOT_REPRODUCED),
        "Recall@1, hinge - binary classification": (pytest.approx(-3), NOT_REPRODUCED),
        "Recall@1, hinge - Fisher criterion": (pytest.approx(0), NOT_ENOUGH),
    }


def test_changes_are_paired_by_the_seeds_that_both_have():
    runs = changed_runs({"without E_e": {"distance": [-1, -2, -90]}})
    del runs["d", "", PDDM, 2]
    runs["d", "without E_e", claims.EUCLIDEAN, 0] = fake_run(0.0, 0.0)  # another method's
    row = claims.verdicts({}, ["d"], runs).iloc[-1]
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


def test_changes_are_paired_with_the_recipe_as_it_stands():
    table = claims.recipe_effects(variant_runs(VALUES, NUMBERS))
    change = table[table["compared"] == "change"].set_index(["variant", "method"])
    assert list(change.index) == [k for k in VALUES if k[0]]
    row = change.loc[("1 quadruplet", PDDM)]
    assert row[["effect", "low", "high"]].tolist() == pytest.approx(claims.interval([-3, -4, -5]))
    assert change["effect"].tolist() == pytest.approx([-4, 1 / 3, 1])
    assert set(change["verdict"]) == {""} and set(change["seeds"]) == {3}


def test_minings_are_compared_by_quadruplets_from_one_to_all():
    table = claims.recipe_effects(variant_runs(VALUES, NUMBERS))
    mining = table[(table["compared"] == "mining") & (table["measure"] == "recall_1")]
    assert mining["quadruplets"].tolist() == [1, 0]
    assert mining["effect"].tolist() == pytest.approx([-7 / 3, 2])
    auc = table[(table["compared"] == "mining") & (table["measure"] == "auc")]
    assert auc["effect"].tolist() == pytest.approx([-0.07 / 3, 0.02])
    better = dict(VALUES) | {("", PDDM): [68, 79.1, 57]}
    table = claims.recipe_effects(variant_runs(better, NUMBERS))
    verdict = table[table["compared"] == "mining"].set_index(["quadruplets", "measure"])["verdict"]
    assert verdict[0, "recall_1"] == REPRODUCED and verdict[1, "recall_1"] == NOT_ENOUGH


def test_one_number_of_quadruplets_is_one_comparison():
    """The paper's letter as recipe has 1 quadruplet, as the variant has."""
    table = claims.recipe_effects(variant_runs(VALUES, NUMBERS | {"": 1}))
    mining = table[table["compared"] == "mining"]
    assert mining["quadruplets"].tolist() == [1, 1] and set(mining["variant"]) == {""}
    assert set(mining["measure"]) == {"recall_1", "auc"}


def test_other_changes_are_no_comparison_of_minings():
    values = VALUES | {("dropout 0.5 in the unit", EUCLIDEAN): [1, 2, 3]}
    table = claims.recipe_effects(variant_runs(values, NUMBERS))
    assert "dropout 0.5 in the unit" not in set(table["variant"][table["compared"] == "mining"])


def test_collapses_and_untrained_pairs_are_counted():
    runs = variant_runs(VALUES, NUMBERS)
    runs["d", "1 quadruplet", PDDM, 1].metrics["collapse"] = "collapsed"
    for variant in ("", "1 quadruplet"):
        runs["d", variant, PDDM, 2].metrics["chosen_step"] = 0
    runs["d", "", PDDM, 0].metrics["chosen_step"] = 0
    table = claims.recipe_effects(runs)
    row = table[(table["variant"] == "1 quadruplet") & (table["method"] == PDDM)].iloc[0]
    assert (row["collapsed"], row["untrained"]) == (1, 1)
    assert table["collapsed"][table["compared"] == "change"].sum() == 1


@pytest.mark.parametrize(
    "keep, kinds",
    [
        (lambda v, m: not v, {"mining"}),
        (lambda v, m: m == PDDM, {"change"}),
        (lambda v, m: m == EUCLIDEAN, {"change"}),
        (lambda v, m: not v and m == PDDM, set()),
        (lambda v, m: False, set()),
    ],
    ids=["no variants", "PDDM alone", "Euclidean alone", "one recipe", "nothing"],
)
def test_a_part_of_the_variants(keep, kinds):
    some = {k: v for k, v in VALUES.items() if keep(*k)}
    table = claims.recipe_effects(variant_runs(some, NUMBERS))
    assert set(table["compared"]) == kinds
    assert list(table.columns) == list(claims.recipe_effects(variant_runs(VALUES, NUMBERS)).columns)


# --------------------------------------------------------------------------------- ablations


def test_ablations_are_changes_against_the_recipe_in_a_fixed_order():
    runs = changed_runs(
        {
            "m = 32": {"distance": [-1, -2, -3]},
            "without E_e": {"distance": -5, "score": [1, 2, 3]},
            "beta and lambda of the paper": {"distance": -9},  # a change of the recipe alone
        }
    )
    for s in range(3):
        runs["d", "", "LMDM score", s] = fake_run(BASE["distance"][s] - 4, 99.0)
        runs["d", "", EUCLIDEAN, s] = fake_run(BASE["distance"][s] + 1)
        runs["d", "1 quadruplet", EUCLIDEAN, s] = fake_run(0.0)  # not PDDM
    runs["d", "without E_e", PDDM, 1].metrics["collapse"] = "collapsed"
    table = claims.ablation_effects(runs)
    assert table[["change", "method", "ranking", "effect"]].to_numpy().tolist() == [
        ["without E_e", PDDM, "distance", -5],
        ["without E_e", PDDM, "score", 2],
        ["m = 32", PDDM, "distance", -2],
        ["m = 32", PDDM, "score", 0],
        ["Euclidean mining", EUCLIDEAN, "distance", 1],
        ["LMDM mining", "LMDM score", "distance", -4],
    ]
    assert table["claimed"].fillna(0).tolist() == [-6.5, -3.4, -2.6, 0, 0, 0]
    assert table["collapsed"].tolist() == [1, 1, 0, 0, 0, 0] and set(table["seeds"]) == {3}
    assert table.loc[2, ["low", "high"]].tolist() == pytest.approx(
        list(claims.interval([-1, -2, -3])[1:])
    )


def test_ablations_need_pddm_as_it_stands():
    full = claims.ablation_effects(changed_runs({"m = 32": {}}))
    for keep in (lambda v: v, lambda v: not v, lambda v: False):
        some = {k: run for k, run in changed_runs({"m = 32": {}}).items() if keep(k[1])}
        table = claims.ablation_effects(some)
        assert table.empty and list(table.columns) == list(full.columns)


def test_what_is_ablated_is_known_to_the_experiments():
    names = [change for changes in claims.ABLATED.values() for change in changes]
    assert len(set(names)) == len(names)
    assert set(names) - set(claims.MINERS) <= set(experiments.CHANGES)
    assert {*experiments.ABLATIONS, *experiments.SIZES} <= set(names)
    assert set(claims.MINERS.values()) <= set(METHODS)
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
    return {v.part: v for v in claims.c5(costs(**kw))}


def test_c5_sees_orders_as_planted():
    found = c5()
    time, square = found["PDDM's seconds"], found["LiftedStruct's seconds"]
    assert (time.effect, square.effect) == (pytest.approx(1, abs=0.01),) * 2
    assert time.low < time.effect < time.high and time.note == "a processor, one thread"
    for part in (
        "PDDM's seconds",
        "LiftedStruct's seconds",
        "PDDM's pairs",
        "LiftedStruct's pairs",
    ):
        assert found[part].verdict == REPRODUCED and found[part].threshold == 0.5
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
    found = {v.part: v for v in claims.c15(zero_shot_results(top))}
    assert set(found) == {"over Softmax", "over Triplet"}
    v = found["over Softmax"]
    assert (v.effect, v.threshold, v.seeds, v.verdict) == (pytest.approx(5), 0, 3, REPRODUCED)
    assert found["over Triplet"].effect == pytest.approx(-6.1 / 3)
    assert found["over Triplet"].verdict == NOT_REPRODUCED
    assert claims.UNSEEN in v.measure and "points" in v.measure


def test_c15_without_softmax_or_without_a_hierarchy():
    (v,) = claims.c15(zero_shot_results({PDDM: (50.0, 51, 49)}))
    assert (v.verdict, v.note, v.seeds) == (NOT_ENOUGH, "Softmax was not run", 0)
    assert claims.c15(zero_shot_results({})) == []
    top = {PDDM: (50.0, 51, 49), "Softmax": (45.0, 46, 44)}
    table = claims.verdicts({}, ["d"], only=["C15"], measured={"C15": zero_shot_results(top)})
    assert table["claim"].tolist() == ["C15"] and table["verdict"].tolist() == [REPRODUCED]


def test_c5_has_its_rows_once_however_many_data_sets_and_only_if_measured():
    without = claims.verdicts({}, ["d", "e"])
    table = claims.verdicts({}, ["d", "e"], None, costs())
    assert "C5" not in set(without["claim"]) and len(table) == len(without) + 5
    rows = table[table["claim"] == "C5"]
    assert set(rows["data"]) == {cost.DATA} and rows["text"].is_unique
    assert rows["text"].str.startswith(paper.CLAIMS["C5"]).all()
