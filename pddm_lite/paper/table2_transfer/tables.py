"""Transfer to new classes as a table beside the paper's Table 2, and in words."""

from __future__ import annotations

import re

import pandas as pd

from ...training.study import Study
from ..judge import interval
from ..printed import TABLE_2
from ..table2 import PLAIN, pretrained
from ..wording import spread, with_interval
from . import transfers
from .classifiers import ALL
from .figures import IN_TABLE_2, LOOKS, decimals, paired
from .transfers import METRIC

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
