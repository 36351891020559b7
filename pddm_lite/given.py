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

from . import experiments
from .claims import count, interval
from .data.names import Synthetic, world_of
from .evaluation.spread import classes
from .experiments import Experiment
from .latents import COORDINATES, NAME
from .methods import METHODS
from .runs import Run
from .study import Study
from .tables import with_interval

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
        **{**own, **experiments.GIVEN_CHANGES.get(ROWS[row], {}), **changes},
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


def effects(table: pd.DataFrame) -> pd.DataFrame:
    """The claims in a given space: a row an effect, its mean and 95 % Student interval over worlds.

    Columns: claim, question, heterogeneity, measure, effect, low, high, worlds. Worlds are paired:
    each gives one difference.
    """
    rows = []

    def add(claim: str, question: str, h: float, measure: str, values) -> None:
        values = np.asarray(values, float)
        if len(values):
            rows.append((claim, question, h, measure, *interval(values), len(values)))

    for measure in MEASURES:
        lead = {r: leads(table, measure, r)["lead"] for r in ROWS if r != "PDDM"}
        alone = {r: x.xs(ALONE, level=1) for r, x in lead.items() if len(x)}
        for rival, x in alone.items():
            claim = {"Euclidean": "C1", "LMDM": "C6"}.get(rival, "")
            for h, own in x.groupby(level=0):
                add(claim, f"PDDM's lead over {rival}", h, measure, own)
        x = alone.get("Euclidean", pd.Series(dtype=float))
        if x.index.get_level_values(0).nunique() > 1:
            lines = x.reset_index(name="lead").groupby("world")
            slopes = [np.polyfit(t["heterogeneity"], t["lead"], 1)[0] for _, t in lines]
            add("C1", "growth of the lead from heterogeneity 0 to 1", np.nan, measure, slopes)
        for rung in (LINEAR, TWO_LAYERS):
            there = lead["Euclidean"]
            if rung not in there.index.get_level_values(1):
                continue
            left = there.xs(rung, level=1)
            for h, own in left.groupby(level=0):
                taken = (x.loc[h] - own.loc[h]).dropna()
                add("C1", f"PDDM's lead over Euclidean, {rung}", h, measure, own)
                add("C1", f"what it loses {rung}", h, measure, taken)
    columns = "claim question heterogeneity measure effect low high worlds".split()
    return pd.DataFrame(rows, columns=columns)


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


def words(table: pd.DataFrame, found: pd.DataFrame, spreads: pd.DataFrame) -> str:
    """What was seen, in sentences made of the numbers."""
    if table.empty:
        return "The given space is for studies of the synthetic birds with variants given or core."
    lines = []
    own = found[found["measure"] == "overlap"]
    share = shares(table).groupby("heterogeneity")["share"].mean()
    for x in own[own["question"] == "PDDM's lead over Euclidean"].itertuples():
        lines.append(
            f"Heterogeneity {x.heterogeneity:g}, {count(x.worlds, 'world')}: PDDM's overlap is "
            f"{share[x.heterogeneity]:.2f} of the Euclidean one, lower by "
            f"{with_interval(x.effect, x.low, x.high, 3)}."
        )
    for x in own[~own["question"].isin(["PDDM's lead over Euclidean"])].itertuples():
        where = "" if np.isnan(x.heterogeneity) else f", heterogeneity {x.heterogeneity:g}"
        value = with_interval(x.effect, x.low, x.high, 3, "+")
        lines.append(f"{x.question[0].upper()}{x.question[1:]}{where}, in overlap: {value}.")
    mean = spreads.groupby(["heterogeneity", "rung", "row"], sort=False)["ratio"].mean()
    for h in spreads["heterogeneity"].unique():
        listed = ", ".join(
            f"{row if rung == ALONE else f'{row}, {rung}'} {value:.2f}"
            for (rung, row), value in mean[h].items()
        )
        lines.append(f"Heterogeneity {h:g}, loosest over tightest quarter of classes: {listed}.")
    return "\n".join(lines)


def knob(run: Run) -> float:
    """The heterogeneity of the world that a run is of."""
    return world_of(run.experiment.data).heterogeneity
