"""Why a claim does not hold: measured reasons, in sentences and one table, from committed files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from ..paper import judge, questions
from ..paper.given_space import features
from ..paper.judge import count
from ..paper.wording import with_interval
from . import found

# what a reading changes: its columns in readings/runs.csv
CHANGED = "data mode pixels steps lr backbone_lr beta lam detach_metric".split()


def on_fixed_features(measured: pd.DataFrame, world: Mapping[float, float]) -> list[str]:
    """One sentence, or none: what the position is worth on real features that nothing moves.

    measured: `features.measured`; world: heterogeneity -> evenness of the given space.
    """
    if measured.empty:
        return []
    mean = measured.groupby(["title", "row"])[["overlap", "evenness", "recall_1"]].mean().unstack()
    even = mean["evenness"]["Euclidean"]
    more = mean["overlap"]["PDDM"] - mean["overlap"]["Euclidean"]
    recall = mean["recall_1"]["PDDM"] - mean["recall_1"]["Euclidean"]
    loose = " to ".join(dict.fromkeys(f"{f(even):.1f}" for f in (min, max)))
    ends = ", ".join(f"{ratio:.1f} at heterogeneity {h:g}" for h, ratio in world.items())
    low, high = (f"{more[data]:.3f} ({data})" for data in (more.idxmin(), more.idxmax()))
    linear = mean["overlap"]["Mahalanobis"] - mean["overlap"]["Euclidean"]
    return [
        f"On a network's fixed features of real images ({_sets(mean.index)}) the loosest quarter "
        f"of classes is {loose} times as loose as the tightest (given space: {ends}). There PDDM "
        f"changes the overlap of the plain distance by {low} to {high}, its Recall@1 by "
        f"{recall.min():.1f} to {recall.max():.1f} points; a learned linear map, which sees no "
        f"position, changes the overlap by {linear.min():.3f} to {linear.max():.3f}."
    ]


def _sets(titles: pd.Index) -> str:
    """ "3 data sets and a mix of two"."""
    mixed = sum(title.startswith("mix of ") for title in titles)
    return count(len(titles) - mixed, "data set") + " and a mix of two" * bool(mixed)


def by_linear_map(measured: pd.DataFrame) -> str:
    """What a learned linear map takes from the overlap of the same fixed features, alone and with
    PDDM after it."""
    if measured.empty:
        return ""
    mean = measured.groupby(["title", "row"])["overlap"].mean().unstack()
    gain, more = (
        mean["Euclidean"] - mean["Mahalanobis"],
        mean[features.MAPPED] - mean["Mahalanobis"],
    )
    low, high = (f"{more[data]:.3f} ({data})" for data in (more.idxmin(), more.idxmax()))
    return (
        "On a network's fixed features of real images a learned linear map takes "
        f"{gain.min():.3f} to {gain.max():.3f} from the overlap ({_sets(mean.index)}). PDDM after "
        f"such a map changes the overlap of the map alone by {low} to {high}."
    )


def recall_too(effects: pd.DataFrame) -> list[str]:
    """A sentence on Recall@1 where the space is given, which no claim of the paper asks.

    effects: tables/given_space_effects.csv.
    """
    for x in effects.to_dict("records"):
        asked = x["question"], x["heterogeneity"], x["measure"]
        if asked == ("PDDM's lead over Euclidean", 1, "recall_1"):
            lead = with_interval(x["effect"], x["low"], x["high"], 1)
            return [
                "Recall@1 asks for the nearest image alone and for no common threshold: it changes "
                f"by {lead} points in the uneven world."
            ]
    return []


def in_reach(recall: Iterable[pd.DataFrame]) -> str:
    """C10 asks PDDM to lead by 8 points: what any training gains. Tables of Recall@K, as text."""
    gains = []
    for own in recall:
        columns = own[["R@1", "untrained R@1"]].replace("", pd.NA)
        means = columns.map(lambda x: float(str(x).split()[0]), "ignore")
        gains.append(means["R@1"].max() - means["untrained R@1"].min())
    if not gains:
        return ""
    less, sets = sum(gain < 8 for gain in gains), count(len(gains), "comparison")
    return f"In {less} of {sets} no method gains 8 points over the untrained start."


def softmax(recall: Iterable[pd.DataFrame]) -> str:
    """How far Softmax, no row of the paper's Table 1, ends from PDDM. Tables as of `in_reach`."""
    leads = []
    for own in recall:
        means = own.set_index("method")["R@1"].str.split().str[0].astype(float)
        if {"Softmax", questions.PDDM} <= set(means.index):
            leads.append(means["Softmax"] - means[questions.PDDM])
    if not leads:
        return ""
    return (
        "Softmax mines no pairs, so it is no rival of C10; it ends "
        f"{min(leads):.1f} to {max(leads):.1f} points of Recall@1 above PDDM+Quadruplet "
        f"({count(len(leads), 'comparison')})."
    )


def still_rising(chosen: pd.DataFrame) -> str:
    """The comparisons where most methods and seeds choose a step of the last tenth of training.

    chosen: evidence.chosen.
    """
    late = (chosen["chosen"] >= 0.9 * chosen["steps"]).groupby(chosen["title"])
    counts = late.agg(["sum", "size"]).itertuples()
    own = [f"{title} ({n} of {of})" for title, n, of in counts if 2 * n > of]
    if not own:
        return ""
    return (
        "Most of the chosen steps lie in the last tenth of training, so that longer training may "
        f"change the order, on {', '.join(own)}."
    )


def care(verdicts: Sequence[Mapping]) -> str:
    """What care is worth to the rivals of C10: the best of each kind, on each data set."""
    ends = []
    for part in (questions.PRINTED, questions.CARE):
        own = found.asked(verdicts, "C10", part)
        ends.append({v["data"]: v["value"] for v in own})
    worth = [ends[0][data] - ends[1][data] for data in ends[0].keys() & ends[1].keys()]
    if not worth:
        return ""
    return (
        "The best rival run with care minus the best as printed is "
        f"{min(worth):.1f} to {max(worth):.1f} points of Recall@1."
    )


def pull(runs: pd.DataFrame) -> str:
    """What E_m's gradient costs the network: the same run without it (detach_metric), by distance.

    runs: as of `readings`.
    """
    if runs.empty:
        return ""
    own = runs[runs["ranking"] == "distance"].astype({"recall_1": float})
    key = [c for c in (*CHANGED, "method", "seed") if c != "detach_metric"]
    both = own.pivot_table("recall_1", key, "detach_metric").dropna().reset_index()
    if both.empty:
        return ""
    more = (both["True"] - both["False"]).groupby(both["data"])
    gains = [
        f"{with_interval(*judge.interval(own), 1)} ({data}, {count(len(own), 'seed')})"
        for data, own in more
    ]
    return (
        "With E_m's gradient kept out of the network PDDM+Quadruplet ends "
        f"{', '.join(gains)} points of Recall@1 higher."
    )


def readings(runs: pd.DataFrame) -> pd.DataFrame:
    """A row a setting: Recall@1 of each seed, at the step that held-out classes chose.

    runs: readings/runs.csv, a row a run and ranking.
    """
    rows = []
    for key, own in runs.groupby([*CHANGED, "method", "ranking"], sort=False, dropna=False):
        row = dict(zip([*CHANGED, "method", "by"], key, strict=True))
        row |= {
            "seeds": ", ".join(own["seed"]),
            "start": f"{pd.to_numeric(own['start']).mean():.1f}",
            "R@1, by seed": ", ".join(f"{float(x):.1f}" for x in own["recall_1"]),
            "least mean distance": f"{pd.to_numeric(own['least_mean_distance']).min():.2f}",
        }
        rows.append(row)
    return pd.DataFrame(rows)
