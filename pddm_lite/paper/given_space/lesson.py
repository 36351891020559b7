"""lesson.html: a page for the classroom, the given space's trained runs to turn and point at.

Its text, looks and JavaScript are the template lesson.html beside this file; here is what it shows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import jinja2
import numpy as np
import torch

from ...measures.spread import classes
from ...methods import METHODS
from ...pddm import Euclidean, r
from ...training.runs import Run, problem
from ...training.study import Study
from ..drawing import COLOURS, NEGATIVE, POSITIVE, histogram_of
from ..judge import interval
from ..wording import with_interval
from .given import ALONE, ROWS, Key, differences, effects, grid, measured

DIGITS = 5  # of numbers in the page
NEIGHBOUR = 10  # of a species: the very nearest ones are hard for every metric


def page(study: Study) -> str:
    """The page; "" where the study has no given space, or its runs are not in the store."""
    wanted = {k: e for k, e in grid(study).items() if k[2] == ALONE}
    if not wanted or any(problem(e, study.load(e.data), study.results) for e in wanted.values()):
        return ""
    runs = {key: study.run_of(e) for key, e in wanted.items()}
    data = json.dumps(shown(runs)).replace("<", "\\u003c")  # no name ends the script
    template = jinja2.Environment(autoescape=True).from_string(
        Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
    )
    return template.render(
        data=data,
        positive=POSITIVE,
        negative=NEGATIVE,
        profile=study.profile,
        neighbour=NEIGHBOUR,
    )


def shown(runs: Mapping[Key, Run]) -> dict:
    """What the page holds: of each heterogeneity the first world, and means over all of them.

    {"count": worlds, "worlds": [{"h", "metrics": one a row of ROWS, "places": tight and loose}],
    "v": what PDDM's lead over LMDM is at the highest heterogeneity, in words}
    """
    table, found = measured(runs), []
    first = min(w for _, w, *_ in runs)
    for h in sorted({key[0] for key in runs}):
        own = {row: run for (at, w, _, row), run in runs.items() if (at, w) == (h, first)}
        own = {"Euclidean": next(iter(own.values())), **own}
        overlaps = table[table["heterogeneity"] == h].groupby("row")["overlap"]
        metrics = [
            metric(row, run) | {"over_all": with_interval(*interval(overlaps.get_group(row)), 3)}
            for row, run in own.items()
        ]
        found.append({"h": h, "metrics": metrics, "places": places(own)})
    e = effects(differences(table))
    e = e[(e["question"] == "PDDM's lead over LMDM") & (e["measure"] == "overlap")]
    v = [with_interval(x.effect, x.low, x.high, 3) + f", {x.verdict}" for x in e.itertuples()]
    return {"count": table["world"].nunique(), "worlds": found, "v": v[-1] if v else "not measured"}


def ranking(row: str) -> str:
    return "distance" if row == "Euclidean" else METHODS[ROWS[row]].rank


def metric(row: str, run: Run) -> dict:
    """One metric in one world: measures and the histogram of test pairs, as the store has them."""
    h, test = histogram_of(run, ranking(row)), run.metrics["test"][ranking(row)]
    edges = np.r_[h["left"], h["right"].iloc[-1]]
    bins = {"edges": edges, "positive": h["positive"], "negative": h["negative"]}
    return {
        "name": row,
        "colour": COLOURS[ROWS[row]],
        **{k: test[k] for k in ("overlap", "auc", "eer")},
        **{k: [round(float(x), DIGITS) for x in v] for k, v in bins.items()},
    }


def places(own: Mapping[str, Run]) -> list[dict]:
    """The tightest unseen species with the NEIGHBOUR-th nearest to it, then the loosest with its.

    Each {"species": images in the first, then those in the second, "x": [n][2] in a plane, "S": by
    metric the scores of pairs i < j, row by row}. The plane's first axis joins the means of the
    two species, the second is the longest axis of what is left.
    """
    arrays = own["Euclidean"].embeddings
    f, labels = r(torch.from_numpy(arrays["f"]).double()), arrays["labels"]
    spread = classes(f.numpy(), labels).set_index("class")["spread"]
    out = []
    for name in (spread.idxmin(), spread.idxmax()):
        squares = torch.cdist(f[labels == name], f).square().mean(dim=0)
        away = {c: squares[labels == c].mean().item() for c in spread.index.drop(name)}
        other = sorted(away, key=away.get)[:NEIGHBOUR][-1]
        idx = [np.flatnonzero(labels == c) for c in (name, other)]
        both = f[np.concatenate(idx)]
        n = len(idx[0])
        i, j = torch.triu_indices(len(both), len(both), 1)
        scores = []
        for row, run in own.items():
            s = Euclidean() if row == "Euclidean" else run.similarity().double()
            with torch.no_grad():
                S = s(both[i], both[j])
            S = -(-S).sqrt() if row == "Euclidean" else S
            scores.append([round(x, DIGITS) for x in S.tolist()])
        x = both.numpy()
        along = x[n:].mean(axis=0) - x[:n].mean(axis=0)
        along /= np.linalg.norm(along)
        rest = np.concatenate([x[:n] - x[:n].mean(axis=0), x[n:] - x[n:].mean(axis=0)])
        rest -= np.outer(rest @ along, along)
        across = np.linalg.svd(rest, full_matrices=False)[2][0]
        x = (x - x.mean(axis=0)) @ np.stack([along, across], axis=1)
        out.append({"first": n, "x": x.round(DIGITS).tolist(), "S": scores})
    return out
