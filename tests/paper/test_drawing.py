"""Figures on tiny made-up runs: labelled axes, one meaning a colour, files stable to the byte."""

import hashlib
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fakes import one_state
from matplotlib.colors import to_hex
from PIL import Image

from pddm_lite.data import ImageSet
from pddm_lite.methods import METHODS
from pddm_lite.paper import drawing, judge, printed, questions
from pddm_lite.paper.ablations import claims as claims_ablations
from pddm_lite.paper.ablations import figures as figures_changes
from pddm_lite.paper.fig1b_scores import distributions
from pddm_lite.paper.fig4_convergence import cost
from pddm_lite.paper.fig4_convergence import figures as figures_convergence
from pddm_lite.paper.table1_retrieval import figures as figures_retrieval
from pddm_lite.paper.verdict import claims as claims_verdict
from pddm_lite.paper.verdict import figures as figures_verdict
from pddm_lite.paper.verdict import tables
from pddm_lite.training import experiments
from pddm_lite.training.study import Study

TITLES = {"synthetic_birds": "synthetic birds", "folder:own": "own"}


def fake_run(data, name, seed):
    """What the figures read of a runs.Run."""
    rng = np.random.default_rng([seed, len(name), len(data)])
    rankings = ["distance"] + ["score"] * (METHODS[name].similarity != "euclidean")
    edges = np.linspace(-1, 0, 9)
    histograms, metrics = [], {"test": {}, "chosen_step": 10, "collapse": ""}
    metrics["start"] = 35.0
    for ranking in rankings:
        shares = rng.dirichlet(np.ones(8), 2)
        table = {"left": edges[:-1], "right": edges[1:]}
        table |= {"positive": shares[0], "negative": shares[1], "split": "test"}
        histograms.append(pd.DataFrame(table).assign(ranking=ranking))
        recall = np.sort(rng.uniform(30, 90, 6))
        metrics["test"][ranking] = {
            f"recall_{k}": float(v) for k, v in zip((1, 2, 4, 8, 16, 32), recall, strict=True)
        } | {"auc": 0.9, "eer": 0.1, "overlap": float(rng.uniform(0.2, 0.4)), "nmi": 0.5, "f1": 0.2}
    history = pd.DataFrame({"step": [0, 10, 20], "seconds": [0.0, 1.0, 2.0]})
    history["E_e"] = rng.uniform(1, 2, 3)
    history["val_recall_1"] = [40.0, *rng.uniform(45, 50, 2)]
    run = SimpleNamespace(
        id=f"{data}-{METHODS[name].training}-{seed}",
        metrics=metrics,
        embeddings={"f": rng.normal(size=(24, 4)), "labels": np.repeat(np.arange(4), 6)},
        experiment=SimpleNamespace(quadruplets=0, embedding_size=128, batch_size=64),
        histograms=pd.concat(histograms),
        history=history,
    )
    return one_state(run)


def runs(methods=tuple(METHODS), seeds=(0, 1, 2), data=tuple(TITLES)):
    return {(d, m, s): fake_run(d, m, s) for d in data for m in methods for s in seeds}


def variant_runs(some):
    """The runs as the recipe as it stands and as two changes of it, one of which collapses."""
    out = {}
    for variant, number, message in (
        ("", 0, ""),
        ("1 quadruplet", 1, ""),
        ("the paper's letter", 1, "collapsed from step 10"),
    ):
        for d, m, s in some:
            if m in drawing.FIG_4 and not (message and m == questions.EUCLIDEAN):
                copy = fake_run(d, m, s + 10 * len(variant))
                copy.experiment.quadruplets = number
                copy.metrics["collapse"] = message if s != 1 else ""
                out[d, variant, m, s] = copy
    return out


def ablated(some):
    """The runs as the recipe as it stands, and PDDM's and Euclidean mining's under changes."""
    out = {(d, "", m, s): run for (d, m, s), run in some.items()}
    for change in ("without E_e", "m = 32", "m = 132", "Fisher criterion", "d = 64", "d = 256"):
        methods, settings = experiments.CHANGES[change]
        for d, m, s in some:
            if m in methods:
                copy = fake_run(d, m, s + 10 * len(change))
                vars(copy.experiment).update(settings)
                copy.metrics["collapse"] = "collapsed" if (change[0], s) == ("F", 1) else ""
                out[d, change, m, s] = copy
    return out


def pictures():
    labels = np.repeat(np.arange(8), 3)
    return ImageSet(
        name="tiny",
        title="tiny",
        labels=labels,
        class_names=tuple("abcdefgh"),
        read=lambda i: Image.new("RGB", (20 + i, 16), (9 * i, 0, 99)),
        fingerprint="",
        train_classes=4,
    )


FIGURES = {
    "score_distributions": lambda r: distributions.score_distributions(r, TITLES),
    "convergence": lambda r: figures_convergence.convergence(r, TITLES),
    "recall": lambda r: figures_retrieval.recall(r, TITLES),
    "verdict": lambda r: figures_verdict.verdict(claims_verdict.verdicts(r, list(TITLES)), TITLES),
    "recipe": lambda r: figures_changes.changes(claims_ablations.effects(variant_runs(r)), TITLES),
    "ablations": lambda r: figures_changes.changes(claims_ablations.effects(ablated(r)), TITLES),
    "samples": lambda r: drawing.samples(pictures()),
}


def check_labels(fig):
    """Every axes says what it shows on x, and on y itself or its row's first does."""
    fig.draw_without_rendering()
    first = {}
    for ax in fig.axes:
        first.setdefault(ax.get_subplotspec().rowspan.start, ax)
    for ax in fig.axes:
        assert ax.get_xlabel().strip()
        assert ax.get_ylabel().strip() or first[ax.get_subplotspec().rowspan.start].get_ylabel()
    assert fig.get_suptitle() == ""


@pytest.mark.parametrize("name", FIGURES)
def test_axes_are_labelled_and_the_table_is_what_is_shown(name):
    fig, frame = FIGURES[name](runs())
    check_labels(fig)
    assert len(frame) > 0


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize(
    "some",
    [
        runs(seeds=(0,)),
        runs(methods=("PDDM+Quadruplet",)),
        runs(methods=("Triplet",), seeds=(0, 1)),
        {},
    ],
    ids=["one seed", "one method", "a rival alone", "nothing"],
)
def test_a_part_of_the_study_is_drawn_too(name, some):
    fig, _ = FIGURES[name](some)
    fig.draw_without_rendering()
    assert fig.axes or fig.texts  # a picture, or words that say what is missing


def test_every_method_has_a_colour_of_its_own():
    assert list(drawing.COLOURS) == list(METHODS)
    used = [*drawing.COLOURS.values(), drawing.POSITIVE, drawing.NEGATIVE]
    used += drawing.VERDICTS.values()
    assert len(set(used)) == len(used)
    # plain sight and, by the matrices of Machado et al. 2009, the two common colour blindnesses
    sights = [
        np.eye(3),
        [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
        [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    ]
    rgb = np.array([[int(c[k : k + 2], 16) for k in (1, 3, 5)] for c in drawing.COLOURS.values()])
    for sight in sights:
        seen = (rgb / 255) ** 2.2 @ np.transpose(sight)
        seen = 255 * seen.clip(0, 1) ** (1 / 2.2)
        apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
        assert apart[np.triu_indices(len(rgb), 1)].min() > 20


def test_each_verdict_has_its_colour_and_mark_and_cost_stands_apart():
    rows = [
        (way, m, s, cost.WAYS[way].pairs(m), 1e-3 + 1e-6 * m**p)
        for way, p in ((cost.PDDM, 1), (cost.LIFTED, 2))
        for m in (16, 64, 256, 1024)
        for s in range(3)
    ]
    costs = pd.DataFrame(rows, columns=cost.COLUMNS)
    table = claims_verdict.verdicts(runs(), list(TITLES), None, costs)
    fig, _ = figures_verdict.verdict(table, TITLES)
    (ax,) = fig.axes
    labels = [x.get_text().replace("\n", " ") for x in ax.get_xticklabels()]
    assert labels == [*TITLES.values(), cost.DATA]
    words = [t.get_text().split()[0] for t in ax.texts]
    assert sorted(words) == sorted(tables.MARKS[v] for v in table["verdict"])
    (mesh,) = ax.collections
    fig.draw_without_rendering()
    coloured = [to_hex(c) for c in mesh.get_facecolors() if c[3]]
    of = dict(zip(words, coloured, strict=True))
    assert of == {tables.MARKS[v]: drawing.VERDICTS[v] for v in set(table["verdict"])}
    questions_ = [t.get_text() for t in ax.get_yticklabels()]
    head = questions_.index("what a batch costs")
    assert all(q.startswith("C5") for q in questions_[head + 1 :]) and len(questions_) == head + 6


def test_every_claim_is_of_one_kind():
    kinds = [c for claims in printed.KINDS.values() for c in claims]
    assert sorted(kinds) == sorted(printed.CLAIMS)


def test_verdicts_have_colours():
    words = {judge.REPRODUCED, judge.LEVEL, judge.NOT_REPRODUCED, judge.NOT_ENOUGH}
    assert set(drawing.VERDICTS) == words == set(tables.MARKS) - {tables.NO_LEAD}


def test_convergence_marks_the_level_of_claim_c4():
    some = runs(methods=drawing.FIG_4, data=("folder:own",), seeds=(0, 1, 2))
    fig, frame = figures_convergence.convergence(some, TITLES)
    for m, line in zip(drawing.FIG_4, fig.axes[2].lines, strict=True):
        seconds = [t["seconds"].to_numpy() for _, t in frame[frame["method"] == m].groupby("seed")]
        assert line.get_xdata() == pytest.approx(min(seconds, key=max))
    reached = frame.groupby(["seed", "method"])["reached"].first().unstack()
    ratio = np.log2(reached["Euclidean+Quadruplet"] / reached["PDDM+Quadruplet"]).mean()
    c4 = claims_verdict.verdicts(some, ["folder:own"], only=["C4"])
    assert 2**ratio == pytest.approx(c4["effect"].item())


def test_changes_show_the_paper_the_collapsed_and_both_rankings():
    fig, frame = figures_changes.changes(claims_ablations.effects(ablated(runs())), TITLES)
    changes, _ = fig.axes
    labels = [x.get_text() for x in changes.get_yticklabels()]
    assert labels[:2] == ["embedding loss", "without Eₑ"]
    assert claims_ablations.MINES in labels and "LMDM mining" in labels
    own = frame[frame["data"] == "synthetic_birds"]
    marks = [line for line in changes.lines if line.get_marker() in ("o", "X")]
    assert [float(x.get_xdata()[0]) for x in marks] == own["effect"].tolist()
    assert [x.get_marker() == "X" for x in marks] == (own["collapsed"] > 0).tolist()
    assert [x.get_mfc() == "white" for x in marks] == (own["ranking"] == "score").tolist()
    ticks = [float(x.get_xdata()[0]) for x in changes.lines if x.get_color() == "black"]
    assert {-6.5, -3.4, -2.6} <= set(ticks)
    low, high = changes.get_xlim()
    assert low < own[["effect", "claimed"]].min().min() and own["effect"].max() < high


def test_style_leaves_no_trace():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    FIGURES["recall"](runs(seeds=(0,)))
    assert dict(mpl.rcParams) == before


def test_saved_files_are_complete_and_the_same_each_time(tmp_path):
    some, digests = runs(methods=("PDDM score",), seeds=(0,), data=("synthetic_birds",)), []
    for n in range(2):
        study = Study.of(profile="smoke", results=tmp_path / str(n), device="cpu")
        fig, frame = distributions.score_distributions(some, TITLES)
        for _ in range(2):  # a second save of the same figure changes nothing either
            png = drawing.save(fig, frame, study, "x", some)
            files = sorted(png.parent.iterdir())
            digests.append({p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files})
    assert list(digests[0]) == ["x.csv", "x.json", "x.png", "x.svg"]
    assert all(d == digests[0] for d in digests)
    assert png == study.folder / "figures" / "x.png"
    about = json.loads(png.with_suffix(".json").read_text(encoding="utf-8"))
    assert about["runs"] == sorted({run.id for run in some.values()})
    assert (
        about["caption"] == ""
        and about["study"]["profile"] == "smoke"
        and str(tmp_path) not in json.dumps(about)
    )
    assert len(pd.read_csv(png.with_suffix(".csv"))) == len(frame)
    assert Image.open(png).info["dpi"][0] == pytest.approx(160, abs=0.1)
