"""The given space: what a metric does where features are given, and what learning them takes of it.

The world's own numbers (latents.perfect_eye) are the features; only a similarity learns, with the
loss of the recipe `given`. Then the space learns too, rung by rung: a linear head, a network of two
layers. Five worlds, each drawn by the seed that its runs start from, at places of the knob
`heterogeneity`: 0, where all species are equally loose, to 1.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ...data.names import Synthetic
from ...measures.spread import classes
from ...methods import METHODS
from ...networks.latents import COORDINATES, NAME
from ...training import experiments
from ...training.experiments import Experiment
from ...training.runs import Run
from ...training.study import Study
from .. import questions
from ..judge import decide, interval
from ..wording import with_interval

# row of the tables -> the method that is trained for it; its `rank` says how it tells pairs apart
ROWS = {
    "Euclidean": "Euclidean+Quadruplet",
    "Mahalanobis": "Mahalanobis score",
    "LMDM": "LMDM score",
    "PDDM": "PDDM score",
}
ALONE, LINEAR, TWO_LAYERS = "similarity alone", "with a linear head", "with a two-layer network"
RUNGS = {  # what learns
    ALONE: dict(mode="metric", head_init="identity", embedding_size=COORDINATES),
    LINEAR: dict(mode="frozen", embedding_size=COORDINATES - 1),
    TWO_LAYERS: dict(mode="finetune", embedding_size=COORDINATES - 1, backbone_lr=1.0),
}
CLIMBED = ("Euclidean", "PDDM")  # the rows that climb the rungs
ENDS = (0.0, 1.0)  # of the knob: where the rungs are climbed
# by profile: scale alone
WORLDS = {"smoke": 2, "quick": 5, "paper": 5}
STEPS = {"smoke": 20, "quick": 1_000, "paper": 2_000}
MEASURES = {"overlap": -1, "auc": 1, "recall_1": 1}  # 1: the more the better
GROWTH = "growth of the lead from heterogeneity 0 to 1"
Key = tuple[float, int, str, str]  # heterogeneity, world, rung, row

# ------------------------------------------------------------------------------------- the runs


def experiment(
    study: Study, heterogeneity: float, world: int, rung: str, row: str, **changes
) -> Experiment:
    """One run's settings: the recipe `given`, and what it changes for this row (experiments.py)."""
    steps = STEPS[study.profile]
    own = dict(steps=steps, eval_every=max(steps // 5, 1), backbone=NAME) | RUNGS[rung]
    return experiments.make(
        "given",
        study.profile,
        data=str(Synthetic("given_birds", heterogeneity, world)),
        method=ROWS[row],
        seed=world,
        **{**own, **changes},
    )


def places(study: Study) -> tuple[float, ...]:
    """The knob's, that the study's variants name; none where it has no synthetic birds."""
    if "synthetic_birds" not in study.data:
        return ()
    named = experiments.GIVEN_SPACE
    return tuple(sorted(named[v] for v in study.variants if v in named))


def grid(study: Study) -> dict[Key, Experiment]:
    """(heterogeneity, world, rung, row) -> experiment: every run of the given space.

    The Euclidean row of the first rung has none, as nothing of it learns: it is measured with any
    run of that rung.
    """
    keys = [
        (h, w, rung, row)
        for h in places(study)
        for rung in (RUNGS if h in ENDS else [ALONE])
        for row in (CLIMBED if rung != ALONE else [r for r in ROWS if r != "Euclidean"])
        for w in range(WORLDS[study.profile])
        if ROWS[row] in study.methods
    ]
    return {key: experiment(study, *key) for key in keys}


def every(study: Study) -> list[Experiment]:
    """All that a batch has to make: the study's own grid, then the given space's."""
    return [*study.experiments(), *grid(study).values()]


def runs(study: Study) -> dict[Key, Run]:
    """The runs of `grid`, from the store or fitted with a progress bar."""
    return {key: study.run_of(e) for key, e in grid(study).items()}


# ---------------------------------------------------------------------------------- what they say


def measured(made: Mapping[Key, Run]) -> pd.DataFrame:
    """Test measures: heterogeneity, world, rung, row, run, overlap, auc, eer (0 to 1), recall_1
    (percent)."""
    rows, euclidean = [], set()
    for (h, w, rung, row), run in made.items():
        found = {row: run.metrics["test"][METHODS[ROWS[row]].rank]}
        if rung == ALONE and (h, w) not in euclidean:
            euclidean.add((h, w))
            found["Euclidean"] = run.metrics["test"]["distance"]
        for name, test in found.items():
            kept = {k: test[k] for k in ("overlap", "auc", "eer", "recall_1")}
            rows.append(dict(heterogeneity=h, world=w, rung=rung, row=name, run=run.id) | kept)
    columns = ["heterogeneity", "world", "rung", "row", "run", "overlap", "auc", "eer", "recall_1"]
    return pd.DataFrame(rows, columns=columns)


def evenness(f: np.ndarray, labels: np.ndarray) -> float:
    """Mean spread of the loosest quarter of classes over that of the tightest: 1 where all are
    alike. f [n, d], labels [n]; the quarters are those of this very space."""
    spread = np.sort(classes(f, labels)["spread"].to_numpy())
    quarter = max(len(spread) // 4, 1)
    return float(spread[-quarter:].mean() / spread[:quarter].mean())


def ratios(made: Mapping[Key, Run]) -> pd.DataFrame:
    """`evenness` of the unseen classes on each rung: heterogeneity, world, rung, row, ratio.

    On the first rung the space is the world itself, row "the world"; on the others it is f, by row.
    """
    rows, seen = [], set()
    for (h, w, rung, row), run in made.items():
        name = "the world" if rung == ALONE else row
        if (h, w, rung, name) not in seen:
            seen.add((h, w, rung, name))
            arrays = run.embeddings
            rows.append((h, w, rung, name, evenness(arrays["f"], arrays["labels"])))
    return pd.DataFrame(rows, columns=["heterogeneity", "world", "rung", "row", "ratio"])


def leads(table: pd.DataFrame, measure: str = "overlap", rival: str = "Euclidean") -> pd.DataFrame:
    """PDDM's lead over a rival in each world: index (heterogeneity, rung, world), column lead.

    Above 0 it is for PDDM, whichever way the measure runs.
    """
    wide = table.pivot_table(
        index=["heterogeneity", "rung", "world"], columns="row", values=measure, sort=False
    )
    if not {"PDDM", rival} <= set(wide.columns):
        return pd.DataFrame({"lead": []}, index=pd.MultiIndex.from_arrays([[], [], []]))
    lead = MEASURES[measure] * (wide["PDDM"] - wide[rival])
    return lead.dropna().to_frame("lead")


def differences(table: pd.DataFrame) -> pd.DataFrame:
    """What the claims in a given space are decided on, a row a question, measure and world.

    Columns: claim, question, heterogeneity (nan of a slope), measure, world, value. Worlds are
    paired: each gives one difference. Above 0 is for PDDM, or for the question as it is put.
    """
    rows = []

    def add(claim: str, question: str, h: float, measure: str, values: pd.Series) -> None:
        rows.extend((claim, question, h, measure, w, v) for w, v in values.items())

    for measure in MEASURES:
        lead = {r: leads(table, measure, r)["lead"] for r in ROWS if r != "PDDM"}
        for rival, x in lead.items():
            for (h, rung), own in x.groupby(level=[0, 1], sort=False):
                # Table 1 (C6) is about Recall@1, Fig. 1b (C1) about the overlap
                claim = "C6" if (rival, measure) == ("LMDM", "recall_1") else "C1"
                more = "" if rung == ALONE else f" {rung}"
                add(claim, f"PDDM's lead over {rival}{more}", h, measure, own.droplevel([0, 1]))
        x = lead["Euclidean"]
        if len(x) and ALONE in x.index.get_level_values(1):
            alone = x.xs(ALONE, level=1).unstack(0)
            if len(alone.columns) > 1:
                slopes = alone.apply(lambda own: np.polyfit(own.index, own, 1)[0], axis=1)
                add("C1", GROWTH, np.nan, measure, slopes)
            for (h, rung), own in x.groupby(level=[0, 1], sort=False):
                if rung != ALONE and h in alone:
                    taken = (alone[h] - own.droplevel([0, 1])).dropna()
                    add("C1", f"what of it is lost {rung}", h, measure, taken)
    columns = "claim question heterogeneity measure world value".split()
    return pd.DataFrame(rows, columns=columns)


def effects(found: pd.DataFrame) -> pd.DataFrame:
    """`differences` in one row a question and measure: mean, 95 % Student interval over worlds and
    the verdict on "above 0" (judge.decide, with the measure's margin of level).

    Columns: claim, question, heterogeneity, measure, effect, low, high, verdict, worlds.
    """
    rows = []
    by = ["claim", "question", "heterogeneity", "measure"]
    for key, own in found.groupby(by, sort=False, dropna=False):
        judged = decide(own["value"], margin=questions.MEASURES[key[-1]].margin)
        rows.append((*key, *judged, len(own)))
    return pd.DataFrame(rows, columns=[*by, "effect", "low", "high", "verdict", "worlds"])


def shares(table: pd.DataFrame) -> pd.DataFrame:
    """PDDM's overlap as a share of the Euclidean one, by place of the knob (similarity alone):
    heterogeneity, world, share."""
    t = table[table["rung"] == ALONE]
    wide = t.pivot_table(index=["heterogeneity", "world"], columns="row", values="overlap")
    if not {"PDDM", "Euclidean"} <= set(wide.columns):
        return pd.DataFrame(columns=["heterogeneity", "world", "share"])
    return (wide["PDDM"] / wide["Euclidean"]).rename("share").reset_index()


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """As a reader wants it: a row a place of the knob and rung, overlap of each row of ROWS, mean
    and 95 % interval over worlds."""
    cells = table.groupby(["heterogeneity", "rung", "row"], sort=False)["overlap"]
    shown = cells.agg(lambda v: with_interval(*interval(v), 3)).unstack()
    order = [(h, r) for h in sorted(table["heterogeneity"].unique()) for r in RUNGS]
    return (
        shown.reindex(index=[k for k in order if k in shown.index])
        .reindex(columns=[r for r in ROWS if r in shown.columns])
        .fillna("")
        .reset_index()
    )
