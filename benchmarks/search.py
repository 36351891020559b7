"""The search for the default recipe, on held-out training classes alone: no test number is made.

    python benchmarks/search.py frozen --data-root DIR --weights FILE
    python benchmarks/search.py end2end --data-root DIR --weights FILE --data cars196_half
    python benchmarks/search.py scratch --data-root DIR

    python benchmarks/search.py tables

A line a run goes to OUT/STAGE.csv: for each ranking the best held-out Recall@1 and its step. A
second call makes what is missing. `TRIED` says what was tried of PDDM+Quadruplet: changes of BASE,
and BASE with one of its changes from the paper's letter taken back; `RIVALS` of the others.
Results and what came of them: DIFFERENCES.md. Of the trials in results/reference/search two are
here no more, as they gained nothing: "semihard in E_e alone" and "easy positives".
"""

import argparse
import itertools
import time
from pathlib import Path

import pandas as pd
import torch

from pddm_lite import data
from pddm_lite.training import experiments, loop
from pddm_lite.training.inputs import inputs

PDDM = "PDDM+Quadruplet"
BASE = {}
TRIED = {
    "base": {},
    "hardest": dict(negatives="hardest"),
    "random head": dict(head_init="random"),
    "dropout .5": dict(dropout=0.5),
    "one quadruplet": dict(quadruplets=1),
    "SGD 1e-2": dict(optimizer="sgd", lr=1e-2),
    "PDDM, rate 1e-4": dict(lr=1e-4),
    "PDDM, rate 5e-4": dict(lr=5e-4),
    "beta .1": dict(beta=0.1),
    "beta .3": dict(beta=0.3),
    "lambda 4": dict(lam=4.0),
    "beta .3, lambda 4": dict(beta=0.3, lam=4.0),
    "unscaled": dict(scale_scores=False),
}
RATES = {"1e-4": 1e-4, "2e-4": 2e-4, "5e-4": 5e-4}


def grid(method: str, margin: str, values: tuple, short: str = "") -> dict:
    return {
        f"{short or method}, margin {v:g}, rate {r}": (method, {margin: v, "lr": RATES[r]})
        for v, r in itertools.product(values, RATES)
    }


RIVALS = (
    grid("Triplet", "triplet_margin", (0.05, 0.1, 0.2, 0.4))
    | grid("Euclidean+Quadruplet", "beta", (0.05, 0.1, 0.3, 0.5))
    | grid("LiftedStruct", "lifted_margin", (0.5, 1.0, 1.5, 2.0))
    | grid("Contrastive", "contrastive_margin", (0.3, 0.5, 0.7, 0.9))
    | grid("LMDM score", "beta", (0.1, 0.3))
    | grid("Contrastive (random pairs)", "contrastive_pairs_margin", (0.3, 0.5, 0.7, 1.0))
    | grid("Triplet (random)", "given_triplets_margin", (0.1, 0.2, 0.5, 1.0))
    | grid("LiftedStruct (random pairs)", "lifted_margin", (0.5, 1.0, 1.5, 2.0))
    | {f"Softmax, rate {r}": ("Softmax", {"lr": v}) for r, v in RATES.items()}
)
SETS = {
    "frozen": ("cub200_2010", "cars196_half", "synthetic_birds"),
    "scratch": ("omniglot",),
    "end2end": ("cars196_half", "cub200_2010"),
}
SETTINGS = {
    "frozen": dict(steps=1000, eval_every=100),
    "scratch": dict(weights="none", mode="finetune", batch_norm="train", backbone_lr=5.0)
    | dict(steps=1500, eval_every=250),
    "end2end": dict(mode="finetune", steps=150, eval_every=25),
}


def trials(stage: str) -> dict[str, tuple[str, dict]]:
    """Name -> (method, changes of BASE)."""
    if stage == "frozen":
        return {n: (PDDM, c) for n, c in TRIED.items()} | RIVALS
    if stage == "scratch":
        names = ("base", "hardest", "random head")
        rivals = ("Triplet", "Euclidean+Quadruplet")
        return {n: (PDDM, TRIED[n]) for n in names} | {n: (n, {}) for n in rivals}
    return {
        f"{name}, network {rate:g}": (method, dict(change, backbone_lr=rate))
        for rate in (1.0, 0.5)
        for name, method, change in (
            ("base", PDDM, {}),
            ("random head", PDDM, TRIED["random head"]),
            ("SGD 1e-2", PDDM, TRIED["SGD 1e-2"]),
            ("hardest", PDDM, TRIED["hardest"]),
            ("Triplet", "Triplet", {}),
            ("Euclidean+Quadruplet", "Euclidean+Quadruplet", {}),
            ("LMDM score", "LMDM score", {}),
        )
    }


def one(stage: str, name: str, trial: str, method: str, change: dict, seed: int, args, images):
    """A row: the best held-out Recall@1 of one run by each ranking, and the signs of a collapse."""
    began = time.time()
    network = dict(backbone="smallnet")
    if stage != "scratch" and "synthetic" not in name:
        network = dict(backbone="mobilenet_v2", crop=97, weights=args.weights)
    settings = {**network, **SETTINGS[stage], **BASE, **change}
    e = experiments.make(data=name, method=method, seed=seed, **settings)
    source, net = inputs(e, images, args.out.parent / "features", "cpu", False)
    fitted = loop.fit(e, images, source, net, bar=False)
    h = fitted.history.set_index("step")
    row = dict(stage=stage, data=name, trial=trial, method=method, settings=str(change), seed=seed)
    row["start"] = h["val_recall_1"].iloc[0]
    for ranking, column in (("distance", "val_recall_1"), ("score", "val_score_recall_1")):
        of = h.get(column)
        row[ranking] = of.max() if of is not None else None
        row[f"{ranking}_step"] = of.idxmax() if of is not None else None
    row["least_mean_distance"] = h["mean_distance"].min()
    return row | {"collapse": fitted.collapse, "seconds": round(time.time() - began, 1)}


def tables(out: Path) -> str:
    """What was found, in Markdown: PDDM's trials against the base, the rivals, and end to end."""
    found = {p.stem: pd.read_csv(p) for p in sorted(out.glob("*.csv"))}
    parts = []
    for stage, frame in found.items():
        own = frame[frame["method"] == PDDM]
        if stage != "end2end":
            parts.append(f"{stage}: held-out Recall@1 minus that of the base, PDDM+Quadruplet:\n")
            parts.append(_markdown(_against_base(own)))
            frame = frame[frame["method"] != PDDM]
        by = ["trial", "data"]
        best = frame.groupby(by, sort=False)[["start", "distance", "score"]].mean().round(1)
        best["least mean distance"] = frame.groupby(by)["least_mean_distance"].min().round(2)
        best["collapsed"] = frame.groupby(by)["collapse"].count()
        best["seeds"] = frame.groupby(by)["seed"].count()
        if len(best):
            what = "all rows" if stage == "end2end" else "rivals"
            parts.append(f"{stage}: {what}, best held-out Recall@1, mean over seeds:\n")
            parts.append(_markdown(best.reset_index().astype(object).fillna("")))
    return "\n".join(parts)


def _against_base(own: pd.DataFrame) -> pd.DataFrame:
    """A row a trial: by set and ranking the differences of the seeds, in points."""
    own = own.set_index(["data", "seed"])
    base = own[own["trial"] == "base"]
    rows = []
    for trial, t in own.groupby("trial", sort=False):
        row = {"trial": trial}
        for name in dict.fromkeys(own.index.get_level_values("data")):
            for ranking in ("distance", "score"):
                gap = (t[ranking] - base[ranking].reindex(t.index)).dropna()
                gap = gap[gap.index.get_level_values("data") == name]
                row[f"{name}, {ranking}"] = ", ".join(f"{v:+.1f}" for v in gap)
        row["collapsed"] = int(t["collapse"].notna().sum())
        rows.append(row)
    return pd.DataFrame(rows)


def _markdown(frame: pd.DataFrame) -> str:
    rows = [list(frame.columns), ["---"] * len(frame.columns), *frame.astype(str).values.tolist()]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stage", choices=[*SETS, "tables"])
    parser.add_argument("--out", default=Path("results/search"), type=Path)
    parser.add_argument("--data-root", default="")
    parser.add_argument("--weights", default="", help="of mobilenet_v2")
    parser.add_argument("--data", nargs="*", default=[], help="of the stage's sets")
    parser.add_argument(
        "--only", nargs="*", default=[], help="trials whose names hold one of these"
    )
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    args = parser.parse_args()
    if args.stage == "tables":
        (args.out / "tables.md").write_text(tables(args.out), encoding="utf-8")
        return
    torch.set_num_threads(1)
    path = args.out / f"{args.stage}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    found = pd.read_csv(path) if path.exists() else pd.DataFrame()
    done = set(zip(found["data"], found["trial"], found["seed"], strict=True)) if len(found) else ()
    images = {n: data.load(n, args.data_root) for n in args.data or SETS[args.stage]}
    for (trial, (method, change)), seed in itertools.product(
        trials(args.stage).items(), args.seeds
    ):
        if args.only and not any(word in trial for word in args.only):
            continue
        for name in images:
            if (name, trial, seed) in done:
                continue
            row = one(args.stage, name, trial, method, change, seed, args, images[name])
            pd.DataFrame([row]).to_csv(path, mode="a", header=not path.exists(), index=False)
            print(name, trial, seed, *(f"{row[k]}" for k in ("start", "distance", "score")))


if __name__ == "__main__":
    main()
