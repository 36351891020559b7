"""Tables and generated words of notebook 30_hard_mining."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ...data.synthetic import Geometry
from ...methods import METHODS
from ..judge import interval
from ..questions import EUCLIDEAN
from ..wording import spread, with_interval
from .oracle import KINDS, RULERS, apart

Mined = Mapping[str, tuple[pd.DataFrame, pd.DataFrame]]  # method -> mined.quadruplet

SCORE = "PDDM score"  # what mines is PDDM's S
LEAD = "PDDM minus Euclidean [95 % interval]"


def why_table(picked: Mined, geometry: Geometry | None) -> pd.DataFrame:
    """The pairs of each hardest quadruplet: S, D, and what share of the batch is as hard.

    "as hard by X": the share of the batch's pairs of the kind (positive or negative) that are at
    least as hard by S, by D and, where the world's geometry is known, by the two rulers of
    oracle; then the distances by these rulers and whether the morphs differ.
    """
    frames = []
    for m, (own, every) in picked.items():
        classes = [" / ".join(dict.fromkeys(x)) for x in own[["class_a", "class_b"]].to_numpy()]
        t = pd.DataFrame({"method": m, "pair": own["pair"], "classes": classes})
        for x in "SD":
            t[x] = [f"{value + 0.0:.2f}" for value in own[x].round(2)]  # + 0.0: no minus zero
        t["as hard by S"], t["as hard by D"] = (
            own[x].map("{:.0%}".format) for x in ("by_S", "by_D")
        )
        for ruler in RULERS if geometry is not None else ():
            far = apart(geometry, every["a"].to_numpy(), every["b"].to_numpy(), ruler)
            here = apart(geometry, own["a"].to_numpy(), own["b"].to_numpy(), ruler)
            same = every["same"].to_numpy()
            shares = [
                (far[same] >= r - 1e-9).mean() if p == "ij" else (far[~same] <= r + 1e-9).mean()
                for p, r in zip(own["pair"], here, strict=True)
            ]
            t[ruler] = [f"{r:.1f}" for r in here]
            t[f"as hard by {ruler}"] = [f"{x:.0%}" for x in shares]
        if geometry is not None:
            morph = geometry.morphs[own["a"]] != geometry.morphs[own["b"]]
            alike = (own["pair"] == "ij").to_numpy()
            t["morphs"] = np.where(alike, np.where(morph, "differ", "same"), "")
        frames.append(t)
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def rates_table(rates: pd.DataFrame, titles: Mapping[str, str]) -> pd.DataFrame:
    """Genuinely hard picks in percent, mean ± spread over seeds: a column a miner.

    LEAD: PDDM's picks against the Euclidean distance's in points, paired over seeds.
    """
    rows = []
    for (d, ruler, kind, of), t in rates.groupby(["data", "ruler", "kind", "features"], sort=False):
        row = {"data": titles[d], "ruler": ruler, "pairs": KINDS[kind], "features": of}
        for m in [m for m in METHODS if m in set(rates["miner"])]:
            row[m] = spread(100 * t[t["miner"] == m]["picked"], 1)
        one = t[t["miner"] == t["miner"].iloc[0]]
        row |= {c: spread(100 * one[c], 1) for c in ("chance", "best")}
        by = t.pivot(index="seed", columns="miner", values="picked")
        both = {SCORE, EUCLIDEAN} <= set(by)
        lead = interval(100 * (by[SCORE] - by[EUCLIDEAN])) if both else ()
        rows.append(row | {LEAD: with_interval(*lead, 1, "+") if both else ""})
    return pd.DataFrame(rows)
