"""Tables and words on made-up runs: every number in them is one that was put in."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fakes import one_state

from pddm_lite.paper import judge, questions, wording
from pddm_lite.paper.ablations import tables as tables_ablations
from pddm_lite.paper.fig4_convergence import cost
from pddm_lite.paper.questions import EUCLIDEAN, PDDM
from pddm_lite.paper.table1_retrieval import tables as tables_retrieval
from pddm_lite.paper.verdict import claims as claims_verdict
from pddm_lite.paper.verdict import tables as tables_verdict
from pddm_lite.training import experiments
from pddm_lite.training.study import COMPARED, Study

TITLES = {"synthetic_birds": "birds", "folder:own": "own"}
BIRDS = "synthetic_birds"


def fake_run(recall, auc=0.9, score=None, step=10, collapse="", quadruplets=0):
    """What tables read of a runs.Run."""
    test = {"distance": {f"recall_{k}": recall + k - 1 for k in (1, 2, 4, 8, 16, 32)}}
    test["distance"] |= {"auc": auc, "overlap": 0.3, "eer": 0.2, "nmi": 0.5, "f1": 0.2}
    if score is not None:
        test["score"] = {k: v + score - recall for k, v in test["distance"].items()}
        test["score"]["auc"] = auc + 0.05
    train = {k: m | {"auc": m["auc"] + 0.04} for k, m in test.items()}
    run = SimpleNamespace(
        id="run",
        embeddings={"f": np.eye(6), "labels": np.repeat([0, 1, 2], 2)},
        metrics={"test": test, "train": train, "chosen_step": step, "collapse": collapse}
        | {"start": 40.0},
        history=pd.DataFrame({"step": [0, 10], "val_recall_1": 40.0, "seconds": [0.0, 0.05]}),
        experiment=SimpleNamespace(quadruplets=quadruplets),
    )
    return one_state(run)


LETTER = "the paper's letter"


def runs(data=BIRDS):
    out = {(data, "Triplet", s): fake_run(40.0 + s) for s in range(3)}
    return out | {(data, "PDDM score", s): fake_run(50.0, score=60.0 + 2 * s) for s in range(3)}


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


@pytest.fixture
def study(tmp_path):
    return Study.of(profile="smoke", results=tmp_path, device="cpu")


# --------------------------------------------------------------------------------- Table 1


@pytest.mark.parametrize(
    "values, digits, text",
    [([1, 2, 3], 1, "2.0 ± 1.0"), ([1, 2], 3, "1.500 ± 0.707"), ([4.26], 1, "4.3"), ([], 1, "")],
)
def test_spread(values, digits, text):
    assert wording.spread(pd.Series(values, dtype=float), digits) == text


def test_recall_table_ranks_each_method_its_own_way():
    table = tables_retrieval.recall_table(runs(), BIRDS).set_index("method")
    assert list(table.index) == ["Triplet", "PDDM score"]
    assert table["ranked by"].tolist() == ["distance", "score"]
    assert table["R@1"].tolist() == ["41.0 ± 1.0", "62.0 ± 2.0"]
    assert table["R@32"].tolist() == ["72.0 ± 1.0", "93.0 ± 2.0"]
    assert table["AUC"].tolist() == ["0.900 ± 0.000", "0.950 ± 0.000"]
    assert table[tables_retrieval.BEFORE].tolist() == [
        "40.0 ± 0.0",
        "",
    ]  # a score has no start to speak of
    assert table["seeds"].tolist() == [3, 3]
    assert table["paper R@1 (CUB-200-2011)"].tolist() == ["36.1", "55.0"]


def test_recall_table_keeps_its_columns_when_empty():
    full, empty = (
        tables_retrieval.recall_table(runs(), BIRDS),
        tables_retrieval.recall_table({}, BIRDS),
    )
    assert empty.empty and list(empty.columns) == list(full.columns)
    other = tables_retrieval.recall_table(runs("folder:own"), "folder:own")
    assert list(other.columns) == [*full.columns[:-1], "paper R@1"]
    assert set(other["paper R@1"]) == {""}


def test_clusters_are_of_features_and_so_of_rows_that_rank_by_distance():
    made = runs()
    for (_, _, seed), run in made.items():
        run.metrics["test"]["distance"] |= {"map_at_r": 10.0 + seed, "nmi": 0.5, "f1": 0.25}
    table = tables_retrieval.cluster_table(made, BIRDS)
    assert table.values.tolist() == [["Triplet", "11.0 ± 1.0", "0.500 ± 0.000", "0.250 ± 0.000", 3]]
    assert tables_retrieval.cluster_table({}, BIRDS).empty


# -------------------------------------------------------------------------------- verdicts


def test_verdicts_are_counted_by_kind():
    verdicts = pd.DataFrame(
        [("C5", judge.REPRODUCED), ("C10", judge.LEVEL), ("C9", judge.REPRODUCED)],
        columns=["claim", "verdict"],
    )
    found = tables_verdict.by_kind(verdicts)
    assert found.loc["PDDM beats a rival"].tolist() == [1, 1, 0, 0]
    assert found.loc["what a batch costs", judge.REPRODUCED] == 1
    assert found.to_numpy().sum() == 3


def test_verdict_table_says_effect_interval_and_what_was_claimed():
    verdicts = claims_verdict.verdicts(runs(), [BIRDS])
    table = tables_verdict.verdict_table(verdicts, TITLES.get)
    assert set(table["data"]) == {"birds"} and len(table) == len(verdicts)
    c10 = table[table["claim"].str.startswith("C10: ")].iloc[0]
    assert c10["claimed"] == "> 8" and c10["effect [95 % interval]"] == "none"
    assert c10["verdict"] == judge.NOT_ENOUGH and c10["seeds"] == 0
    first, second = table["claim"][table["claim"].str.startswith("C1: ")]
    assert first.endswith(", each on features of its own") and second.endswith("own features")


def test_marks_say_the_verdicts_at_a_glance():
    part = "Clusters are sharper (Fig. 4 bottom)"
    shown = pd.DataFrame(
        [
            (f"C16: {part}, by NMI", "birds", judge.REPRODUCED, "> 0"),
            (f"C16: {part}, by F1", "birds", judge.NOT_REPRODUCED, "> 0"),
            ("C7: a beats b", "cars", judge.NOT_ENOUGH, "> 8"),
        ],
        columns=["claim", "data", "verdict", "claimed"],
    )
    marks = tables_verdict.verdict_marks(shown)
    assert marks.columns.tolist() == ["claim (claimed effect)", "birds", "cars"]
    assert marks.values.tolist() == [
        ["C7: a beats b (> 8)", "", "?"],
        [f"C16: {part}, by NMI (> 0)", "✓", ""],
        ["C16, by F1 (> 0)", "✗", ""],
    ]
    assert tables_verdict.verdict_marks(shown[:0]).empty
    edited = tables_verdict.verdict_marks(shown.assign(claim="my own words", verdict="maybe"))
    assert edited.values.tolist()[0][1:] == ["maybe", ""]


def test_a_claim_on_no_data_set_keeps_its_own_name():
    sizes = (16, 64, 256, 1024)
    costs = pd.DataFrame(
        [
            (way, m, s, cost.WAYS[way].pairs(m), 1e-3 + 1e-6 * m**p)
            for way, p in ((cost.PDDM, 1), (cost.LIFTED, 2))
            for m in sizes
            for s in range(3)
        ],
        columns=cost.COLUMNS,
    )
    table = claims_verdict.verdicts(runs(), [BIRDS], None, costs)
    shown = tables_verdict.verdict_table(table, TITLES.get)
    assert set(shown["data"]) == {"birds", cost.DATA}
    own = shown[shown["data"] == cost.DATA]
    assert own["effect [95 % interval]"].iloc[3] == "2.00 [2.00, 2.00]"
    assert own["effect [95 % interval]"].iloc[2] == "1.00 [1.00, 1.00]"
    assert own["claimed"].tolist()[2:4] == ["< 1.5", "> 1.5"]
    assert own["measured"].iloc[2] == "exponent p: PDDM's seconds"


def test_claims_that_two_things_are_alike_have_two_thresholds():
    verdicts = claims_verdict.verdicts(runs(), [BIRDS], only=["C2", "C6"])
    assert set(tables_verdict.verdict_table(verdicts)["claimed"]) == {"within ± 0.01", "> 0"}


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
    assert tables_verdict.verdict_table(table)["effect [95 % interval]"].item() == text


def test_level_stands_beside_a_lead_that_is_not_reproduced():
    some = {(BIRDS, PDDM, s): fake_run(40.1 + s) for s in range(3)} | runs()
    table = claims_verdict.verdicts(some, [BIRDS], only=["C10"])
    shown = tables_verdict.verdict_table(table, TITLES.get)
    assert table["verdict"].tolist() == [judge.NOT_REPRODUCED] and table["level"].all()
    assert shown["verdict"].tolist() == ["not reproduced, level"]
    assert tables_verdict.verdict_marks(shown)["birds"].tolist() == ["✗≈"]
    assert shown["note"].item() == "best rival by mean; level with Triplet within 1 point"


def test_the_terminal_tells_the_parts_of_a_claim_apart():
    some = {**runs(), **{(BIRDS, "PDDM+Triplet", s): fake_run(45.0 + 2 * s) for s in range(3)}}
    table = claims_verdict.verdicts(some, [BIRDS])
    lines = tables_verdict.verdict_lines(table, TITLES.get)
    assert len(set(lines)) == len(lines) == len(table)
    assert [line for line in lines if line.startswith("  C1 ")][1].endswith(" PDDM's own features")
    assert "  C9   birds                    reproduced            6.0 [3.5, 8.5]" in lines
    n = (table["seeds"] > 2).sum()
    assert tables_verdict.chance(table).startswith(
        f"{len(table)} comparisons, {n} of them on 3 seeds"
    )


@pytest.mark.parametrize(
    "numbers, text",
    [
        ((1.24, 0.5, 2.0, 1), "1.2 [0.5, 2.0]"),
        ((1.24, 0.5, 2.0, 1, "+"), "+1.2 [+0.5, +2.0]"),
        ((-1.24, -3, 2.0, 2, "+"), "-1.24 [-3.00, +2.00]"),
        ((1.24, float("nan"), float("nan"), 3), "1.240"),
        ((float("nan"), float("nan"), float("nan"), 1), "none"),
    ],
)
def test_with_interval(numbers, text):
    assert wording.with_interval(*numbers) == text


# ----------------------------------------------------------------------- the recipe's parts


def test_change_table():
    table = tables_ablations.change_table(variant_runs(), BIRDS).set_index(["recipe", "method"])
    assert list(table.index) == [
        (tables_ablations.AS_IT_STANDS, PDDM),
        (tables_ablations.AS_IT_STANDS, EUCLIDEAN),
        ("1 quadruplet", PDDM),
        ("1 quadruplet", EUCLIDEAN),
        (LETTER, PDDM),
    ]
    assert table.loc[(tables_ablations.AS_IT_STANDS, PDDM)].tolist() == [
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
    table = tables_ablations.change_table(some, BIRDS).set_index(["recipe", "method"])
    gaps = table[questions.OVERFITTING]
    assert gaps["1 quadruplet", PDDM] == "0.050 ± 0.017"
    assert gaps[tables_ablations.AS_IT_STANDS, EUCLIDEAN] == ""  # ranks by distance alone
    assert gaps[tables_ablations.AS_IT_STANDS, "LMDM score"] == "0.040"  # one seed


def test_the_change_table_keeps_its_columns_when_empty():
    make = tables_ablations.change_table
    empty = make({}, BIRDS)
    assert empty.empty and list(empty.columns) == list(make(variant_runs(), BIRDS).columns)
    assert make(variant_runs(), "folder:own").empty


def test_a_collapse_is_told_once_a_variant():
    assert tables_ablations.collapses(variant_runs(), TITLES) == [
        f"birds, {LETTER}, {PDDM}, seeds 0, 2: collapsed from step 5",
        "2 of 15 runs collapsed.",
    ]


def test_the_names_of_variants_are_those_of_the_experiments():
    assert LETTER in experiments.VARIANTS
    assert set(COMPARED) == {PDDM, EUCLIDEAN}
    assert {m for methods, _ in experiments.VARIANTS.values() for m in methods} <= set(COMPARED)


def ablated(seeds=3):
    """Half the batch costs 3, 4, 5 points by distance and gains 6 by score, and one run of it."""
    some = {}
    for s in range(seeds):
        some[BIRDS, "", PDDM, s] = fake_run(60.0 + s, score=50.0 + s)
        collapse = "collapsed" * (s == 1)
        some[BIRDS, "m = 32", PDDM, s] = fake_run(57.0, score=56.0 + s, collapse=collapse)
        some[BIRDS, "", "LMDM score", s] = fake_run(59.0 + 2 * s, score=40.0)
    return some


def test_claims_on_changes_are_told_like_all_others():
    verdicts = claims_verdict.verdicts({}, [BIRDS], ablated())
    row = tables_verdict.verdict_table(verdicts, TITLES.get).iloc[-1]
    assert row["claim"].endswith(", the loss at m = 32") and row["claimed"] == "> 2.6"
    assert row["effect [95 % interval]"] == "4.0 [1.5, 6.5]"
    assert "the paper's number is CUB-200-2011's" in row["note"]
    assert tables_verdict.verdict_table(verdicts[:0], TITLES.get).empty


# ------------------------------------------------------------------------- study and files


def test_protocol_tells_settings_and_no_runs(tmp_path):
    made = {"gpu": "", "cpu": "a processor", "torch": "9", "crop": 64}
    texts = []
    for settings in ([], ["alpha=0.2", "steps=7"]):
        study = Study.of(profile="smoke", results=tmp_path, device="cpu", settings=settings)
        assert wording.protocol(study, {}) == "no runs"
        e = study.experiment(BIRDS, "Triplet", 0)
        history = pd.DataFrame(columns=["step", "val_recall_1"])
        run = SimpleNamespace(experiment=e, manifest=made, history=history)
        texts.append(wording.protocol(study, {(BIRDS, "Triplet", 0): run}))
    assert "64 px, frozen" in texts[0] and "recipe 'default', up to 20 steps" in texts[0]
    assert "with" not in texts[0]
    assert "recipe 'default' with alpha=0.2, steps=7, up to 7 steps" in texts[1]


def test_protocol_tells_where_no_classes_were_held_out(tmp_path):
    cars = "synthetic_cars"
    study = Study.of(profile="smoke", results=tmp_path, data=[BIRDS, cars], device="cpu")
    made, runs = {"gpu": "", "cpu": "a processor", "torch": "9", "crop": 64}, {}
    for data, columns in ((BIRDS, ["step", "val_recall_1"]), (cars, ["step"])):
        e = study.experiment(data, "Triplet", 0)
        history = pd.DataFrame(columns=columns)
        runs[data, "Triplet", 0] = SimpleNamespace(experiment=e, manifest=made, history=history)
    chosen, few = "step chosen on 20% held-out", "too few training classes to hold 20% out"
    title = study.titles()[cars]
    assert f"{chosen} training classes, of {title} the last ({few})" in wording.protocol(
        study, runs
    )
    del runs[BIRDS, "Triplet", 0]
    said = wording.protocol(study, runs)
    assert f"last step ({few});" in said and chosen not in said


def test_left_out(tmp_path):
    study = Study.of(profile="smoke", results=tmp_path, device="cpu", methods=["Triplet"])
    assert study.left_out([PDDM, "Triplet", EUCLIDEAN]) == [PDDM, EUCLIDEAN]
    assert study.left_out(study.methods) == []


@pytest.mark.parametrize("methods", [["Triplet"], [EUCLIDEAN], []])
def test_variant_runs_ask_for_the_methods_of_the_study_alone(monkeypatch, tmp_path, methods):
    variants = ["1 quadruplet", LETTER]
    study = Study.of(
        profile="smoke", results=tmp_path, device="cpu", methods=methods, variants=variants
    )
    monkeypatch.setattr(Study, "run", lambda self, d, m, s, **changes: (d, m, s, changes))
    found = study.variant_runs()
    asked = {(v, m) for _, v, m, _ in found}
    if methods == ["Triplet"]:
        assert asked == set()
    elif methods:
        assert asked == {("", EUCLIDEAN), ("1 quadruplet", EUCLIDEAN)}
    else:
        assert asked == {(v, m) for v in ("", "1 quadruplet") for m in COMPARED} | {(LETTER, PDDM)}
    for (d, v, m, s), run in found.items():
        assert run == (d, m, s, experiments.VARIANTS[v][1] if v else {})


def test_tables_are_saved_for_machines_and_for_people(study):
    path = wording.save_table(pd.DataFrame({"a": [1, 2], "b": ["x|y", "ü"]}), study, "t")
    assert pd.read_csv(path)["b"].tolist() == ["x|y", "ü"]
    text = path.with_suffix(".md").read_text(encoding="utf-8")
    assert text.splitlines() == ["| a | b |", "| --- | --- |", "| 1 | x\\|y |", "| 2 | ü |"]


def test_a_table_a_data_set_is_saved_and_shown(study, capsys):
    def make(by, d):
        return pd.DataFrame({"a": [by[d]], "b": 1})

    wording.show(study, "t", make, {"synthetic_birds": 5}, "a note", ["synthetic_birds"])
    saved = pd.read_csv(study.folder / "tables" / "t_synthetic_birds.csv")
    assert saved["a"].tolist() == [5]
    assert capsys.readouterr().out.count("\n") >= 2  # what a terminal has of title and table


def test_what_was_asked_names_methods_left_out_and_no_place(study):
    said = wording.asked(study, ["no such method"])
    assert "no such method is not among its methods" in said and "profile smoke" in said
    assert study.results not in said
