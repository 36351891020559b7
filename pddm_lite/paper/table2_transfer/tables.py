"""Transfer to new classes as a table beside the paper's Table 2, and in words."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pandas as pd

from ...training.study import Study
from ..judge import count, interval
from ..printed import TABLE_2
from ..table2 import PDDM, PLAIN, pretrained
from ..wording import shown, spread, with_interval
from . import transfers
from .classifiers import ALL
from .figures import IN_TABLE_2, LOOKS, TRAINED, decimals, paired
from .transfers import METRIC, NCM, SCORE

AGAINST = "top-1 against [21] [95 % interval]"
PAPER = "paper top-1 (ImageNet-10K)"
# rows of Table 2 that are not run here: each is trained on the 10,000 classes themselves, so that
# of ours the linear classifier is nearest to them
OTHERS = ("[5]", "[26]", "[23]", "[18]")


def described(study: Study) -> str:
    """`transfers.protocol`, with "6 images each" where all classes have as many; `pretrained`."""
    said = re.sub(r"\b(\d+) to \1 images", r"\1 images", transfers.protocol(study))
    return "\n".join(filter(None, (said, pretrained(study))))


def transfer_table(frame: pd.DataFrame, data: str) -> pd.DataFrame:
    """One data set: a row a sort of features and classifier, over all new classes.

    Top-1 and top-5 in percent, "mean ± standard deviation" over seeds; top-1 minus that of the
    paper's rival [21] on the same draws, with its 95 % interval over seeds. The last column is the
    paper's own data and network, for the order of rows and not for the level; rows with nothing
    else are the paper's others.
    """
    frame = frame[frame["data"] == data]
    top = {k: transfers.at_all(frame, k) for k in (1, 5)}
    every, digits = _whole(frame), decimals(top[1])
    rows = []
    for key, (name, *_) in LOOKS.items():
        values = _values(top[1], key)
        if values.empty:
            continue
        row = {"features": name, "classes": f"{top[1]['classes'].iloc[0]:,}"}
        row["top-1"] = spread(values, digits)
        row["top-5"] = spread(_values(top[5], key), digits)
        row["seeds"] = str(len(values))
        both = paired(every, key, (PLAIN, METRIC))
        both = both[both.index.get_level_values("classes") == top[1]["classes"].iloc[0]]
        gain = both["own"] - both["base"]
        row[AGAINST] = ""
        if key != (PLAIN, METRIC) and len(gain):
            row[AGAINST] = with_interval(*interval(gain), digits, "+")
        row[PAPER] = f"{TABLE_2['transfer'][IN_TABLE_2[key]]:.1f}" if key in IN_TABLE_2 else ""
        rows.append(row)
    columns = ["features", "classes", "top-1", "top-5", "seeds", AGAINST, PAPER]
    table = pd.DataFrame(rows, columns=columns)
    printed = [(f"paper's {name}, trained on them", TABLE_2["transfer"][name]) for name in OTHERS]
    others = pd.DataFrame([{"features": n, PAPER: f"{x:.1f}"} for n, x in printed])
    return pd.concat([table, others]).fillna("").reset_index(drop=True)


def _whole(frame: pd.DataFrame) -> pd.DataFrame:
    """Top-1 with all images per mean, a row a draw."""
    return frame[(frame["per_mean"] == ALL) & (frame["k"] == 1)]


def _values(t: pd.DataFrame, key: tuple[str, str]) -> pd.Series:
    """seed -> accuracy of one row."""
    own = t[(t["features"] == key[0]) & (t["classifier"] == key[1])]
    return own.set_index("seed")["accuracy"]


def transfer_sentences(frame: pd.DataFrame, titles: Mapping[str, str]) -> str:
    """What was seen: best and worst features, the fall with the number of classes, ceilings."""
    lines = []
    for d in dict.fromkeys(frame["data"]):
        t = transfers.seeds_mean(frame[frame["data"] == d])
        top = transfers.at_all(frame[frame["data"] == d])
        ncm = top[~top["classifier"].isin([*TRAINED, SCORE])]
        mean = ncm.groupby(["features", "classifier"])["accuracy"].mean()
        best, worst = mean.idxmax(), mean.idxmin()
        classes, images, n = top["classes"].iloc[0], top["images"].iloc[0], decimals(top)
        lines.append(
            f"{titles[d]}: of all {classes:,} new classes, {images:.1f} images per mean, NCM finds "
            f"{shown(mean.max(), n)} % with {LOOKS[best][0]} (the most) and {shown(mean.min(), n)} "
            f"% with {LOOKS[worst][0]} (the least); chance is {shown(100 / classes, n)} %."
        )
        own = t[(t["features"] == PDDM) & (t["per_mean"] == ALL)]
        curve = own[own["classifier"] == NCM].groupby("classes")["accuracy"].mean()
        if len(curve) > 1:
            lines.append(
                f"  {PDDM} falls from {shown(curve.iloc[0], 1)} % of {curve.index[0]} classes to "
                f"{shown(curve.iloc[-1], n)} % of {curve.index[-1]:,}."
            )
        score = paired(_whole(frame[frame["data"] == d]), (PDDM, SCORE), (PDDM, NCM))
        if len(score):
            few, x = score.index[-1][0], score.groupby("classes").mean().iloc[-1]
            lines.append(
                f"  Of {few} classes, means ranked by the score give {shown(x['own'], 1)} %, by "
                f"distance {shown(x['base'], 1)} %."
            )
        for features in (PLAIN, PDDM):
            found = {c: _values(top, (features, c)) for c in TRAINED}
            parts = [
                f"{c} {shown(x.mean(), n)} % ({count(len(x), 'seed')})"
                for c, x in found.items()
                if len(x)
            ]
            if parts:
                lines.append(f"  Trained on the new classes, {features}: {', '.join(parts)}.")
    return "\n".join(lines)
