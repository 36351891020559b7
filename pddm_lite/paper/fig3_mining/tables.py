"""Tables and generated words of notebook 30_hard_mining."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ...data.synthetic import Geometry
from ...methods import METHODS
from ..judge import interval
from ..questions import EUCLIDEAN, PDDM
from ..wording import spread, with_interval
from .oracle import RULERS, apart
from .toy import LOSSES

Mined = Mapping[str, tuple[pd.DataFrame, pd.DataFrame]]  # method -> mined.quadruplet


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


def quadruplet_sentences(picked: Mined) -> str:
    """Whether the similarities pick the same pairs, and how far apart each picks its positives."""
    lines = []
    for m, (own, _) in picked.items():
        q = own.set_index("pair")
        other = (
            "two other classes" if q["class_b"]["ik"] != q["class_b"]["jl"] else "one other class"
        )
        lines.append(
            f"{m} picks a pair of {q['class_a']['ij']} at D = {q['D']['ij']:.2f}, as far apart as "
            f"the farthest {q['by_D']['ij']:.0%} of the batch's positive pairs; its negatives, of "
            f"{other}, lie at {q['D']['ik']:.2f} and {q['D']['jl']:.2f}."
        )
    if len(picked) == 2:
        a, b = (set(own[["a", "b"]].iloc[0]) for own, _ in picked.values())
        lines.append(
            f"In this batch the two pick {'the same' if a == b else 'different'} positives."
        )
    return "\n".join(lines) or "Part 1 has no run to draw."


def toy_sentences(effort: pd.DataFrame, starts: Sequence[int]) -> str:
    """What share of its push each loss spends on the stray point, and where that is sent."""
    stray, turn = (effort.set_index("loss")[x] for x in ("stray point", "turn"))
    listed = ", ".join(f"{name} {share:.0%}" for name, share in stray.items())
    lines = [f"The toy: the stray point gets of the whole push, by loss: {listed}."]
    away = turn[turn > 90].index.tolist()
    lines.append(
        f"Sent away from its class by: {', '.join(away)}."
        if away
        else "No loss that moves it sends it away from its class: the toy has no red arrow as the "
        "paper's sketch has; the losses differ in how much of their push goes elsewhere."
    )
    moved = turn.dropna().sort_values()
    if len(moved) > 1:
        lines[-1] += (
            f" The directions differ: nearest to straight home is {moved.index[0]} "
            f"({moved.iloc[0]:.0f}° off), farthest from it {moved.index[-1]} "
            f"({moved.iloc[-1]:.0f}°)."
        )
    *_, euclidean, _ = LOSSES
    busy = effort.set_index("loss").loc[euclidean].filter(like="class ").astype(float)
    lines.append(f"{euclidean}: {busy.max():.0%} of the push goes to {busy.idxmax()}.")
    lines.append(
        f"PDDM's hardest positive pair is of class 4 for {starts.count(4)} of {len(starts)} "
        "random starts of the unit."
    )
    return "\n".join(lines)


def rates_table(rates: pd.DataFrame, titles: Mapping[str, str]) -> pd.DataFrame:
    """Genuinely hard picks in percent, mean ± spread over seeds: a column a miner."""
    rows = []
    for (d, ruler, kind, of), t in rates.groupby(["data", "ruler", "kind", "features"], sort=False):
        row = {"data": titles[d], "ruler": ruler, "pairs": kind, "features": of}
        for m in [m for m in METHODS if m in set(rates["miner"])]:
            row[m] = spread(100 * t[t["miner"] == m]["picked"], 1)
        one = t[t["miner"] == t["miner"].iloc[0]]
        rows.append(row | {c: spread(100 * one[c], 1) for c in ("chance", "best")})
    return pd.DataFrame(rows)


def oracle_sentences(rates: pd.DataFrame, titles: Mapping[str, str]) -> str:
    """Whether picks are genuinely hard, a line a data set; then PDDM's picks against the Euclidean
    distance's, paired over seeds, by ruler and kind."""
    if rates.empty:
        return "The oracle was not asked: no embedded data, or none of the four miners."
    lines = [_answer(title, rates[rates["data"] == d]) for d, title in titles.items()]
    lines = [line for line in lines if line]
    for (d, ruler, kind), t in rates.groupby(["data", "ruler", "kind"], sort=False):
        own = t[t["features"] == "own"].groupby("miner")["picked"].mean()
        most = f" to {own.max():.1%} ({own.idxmax()})" if len(own) > 1 else ""
        text = (
            f"{titles[d]}, {kind} pairs by the {ruler} ruler: genuinely hard are "
            f"{own.min():.1%} ({own.idxmin()}){most} of the picks, "
            f"by chance {t['chance'].mean():.1%}, at best {t['best'].mean():.1%}."
        )
        differences = []
        for of, x in t.groupby("features", sort=False):
            by = x.pivot(index="seed", columns="miner", values="picked")
            if {PDDM, EUCLIDEAN} <= set(by):
                effect = interval(100 * (by[PDDM] - by[EUCLIDEAN]))
                where = "each on its own features" if of == "own" else f"both on those of {of}"
                differences.append(f"{with_interval(*effect, 1, '+')} {where}")
        if differences:
            text += f" PDDM minus Euclidean in points: {'; '.join(differences)}."
        lines.append(text)
    return "\n".join(lines)


def _answer(title: str, rates: pd.DataFrame) -> str:
    """Are the picks of one data set genuinely hard? By the local ruler, the paper's idea of it."""
    local = rates[rates["ruler"] == "local"]
    if local.empty:
        return ""
    shares, reached, against = [], [], []
    for kind, t in local.groupby("kind", sort=False):
        own = t[t["features"] == "own"].groupby("miner")["picked"].mean()
        best = t["best"].mean()
        shares.append(f"{own.max():.1%} of {kind} picks (possible: {best:.1%})")
        if t.groupby(["features", "miner"])["picked"].mean().max() >= best - 1e-9:
            reached.append(kind)
        answers = []
        for of, x in t.groupby("features", sort=False):
            by = x.pivot(index="seed", columns="miner", values="picked")
            if {PDDM, EUCLIDEAN} <= set(by):
                effect, low, high = interval(100 * (by[PDDM] - by[EUCLIDEAN]))
                said = "yes" if low > 0 else "no, less often" if high < 0 else "not shown"
                where = "each on its own features" if of == "own" else f"both on those of {of}"
                answers.append(f"{said} {where} ({with_interval(effect, low, high, 1, '+')})")
        if answers:
            against.append(f"{kind} pairs, {'; '.join(answers)}")
    text = (
        f"{title}: are the picks genuinely hard? By the local ruler, the best miner's on its own "
    )
    text += f"features: {', '.join(shares)}. "
    text += (
        f"The best possible is reached for {' and '.join(reached)} pairs."
        if reached
        else "No miner reaches the best possible."
    )
    if against:
        text += (
            " PDDM's picks more often than Euclidean ones (difference in points, yes or no where "
        )
        text += f"its interval excludes 0)? {'. '.join(x[0].upper() + x[1:] for x in against)}."
    return text
