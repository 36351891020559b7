"""The search for the default recipe, on held-out training classes alone: no test number is made.

    python benchmarks/search.py frozen --out results/search --data-root DIR
    python benchmarks/search.py scratch|end2end ...

One line a run goes to OUT/STAGE.csv: for each ranking (distance, score) the best held-out Recall@1
and the step it came at; a second call makes only what is missing. TRIALS says what is tried: a
name and the settings on top of the default recipe.
"""

import argparse
import csv
import itertools
import sys
import time
from pathlib import Path

import torch

from pddm_lite import data, experiments, training
from pddm_lite.inputs import inputs

PDDM = "PDDM+Quadruplet"
BASE = dict(negatives="semihard", beta=0.1)
# PDDM: changes of BASE, then BASE with one of its changes from the letter taken back
TRIED = {
    "base": {},
    "hardest": dict(negatives="hardest"),
    "hardest, beta .3": dict(negatives="hardest", beta=0.3),
    "semihard in E_e alone": dict(negatives="semihard E_e"),
    "beta .05": dict(beta=0.05),
    "beta .2": dict(beta=0.2),
    "beta .3": dict(beta=0.3),
    "lambda 1": dict(lam=1.0),
    "lambda 16": dict(lam=16.0),
    "unscaled, random 1": dict(scale_scores=False, easy=1.0),
    "unscaled": dict(scale_scores=False),
    "random 1": dict(easy=1.0),
    "E_m detached": dict(detach_metric=True),
    "unit 5 times": dict(metric_lr=5.0),
    "easy positives": dict(positives="easy"),
    "rate 1e-4": dict(lr=1e-4),
    "rate 5e-4": dict(lr=5e-4),
    "letter: no random": dict(easy=0.0),
    "letter: no averaging": dict(average=0.0),
    "letter: random head": dict(head_init="random"),
    "letter: dropout .5": dict(dropout=0.5),
    "letter: lambda .5": dict(lam=0.5),
    "letter: beta 1": dict(beta=1.0),
    "letter: one quadruplet": dict(quadruplets=1),
    "letter: SGD 1e-2": dict(optimizer="sgd", lr=1e-2),
    "letter: beta, lambda": dict(beta=1.0, lam=0.5),
    "letter: SGD 1e-4": dict(optimizer="sgd", lr=1e-4),
    "lean": dict(easy=0.0, average=0.0),
    "lean, beta .3": dict(easy=0.0, average=0.0, beta=0.3),
    "lean, beta 1, lambda .5": dict(easy=0.0, average=0.0, beta=1.0, lam=0.5),
}
RATES = {"1e-4": 1e-4, "2e-4": 2e-4, "5e-4": 5e-4}


def margins(method, name, values, **more):
    return {
        f"{method}, {name} {v:g}, rate {r}": (method, {name: v, "lr": RATES[r], "average": 0.0, **more})
        for v, r in itertools.product(values, RATES)
    }


RIVALS = (
    margins("Triplet", "triplet_margin", (0.05, 0.1, 0.2, 0.4))
    | margins("Euclidean+Quadruplet", "beta", (0.1, 0.3, 0.5, 1.0))
    | margins("LiftedStruct", "lifted_margin", (0.5, 1.0, 1.5, 2.0))
    | margins("Contrastive", "contrastive_margin", (0.3, 0.5, 0.7, 0.9))
    | margins("LMDM score", "beta", (0.1, 1.0), easy=0.0, average=0.0)
    | margins("Softmax", "triplet_margin", (0.1,))
)
MOBILENET = dict(backbone="mobilenet_v2", crop=97)
SETS = {
    "frozen": ("cub200_2010", "cars196_half", "synthetic_birds"),
    "scratch": ("omniglot",),
    "end2end": ("cars196_half", "cub200_2010"),
}
SETTINGS = {
    "frozen": dict(steps=1000, eval_every=100),
    "scratch": dict(
        backbone="smallnet", weights="none", mode="finetune", batch_norm="train",
        backbone_lr=5.0, steps=1500, eval_every=250,
    ),
    "end2end": dict(mode="finetune", **MOBILENET),
}  # fmt: skip


def trials(stage, only):
    if stage == "frozen":
        found = {n: (PDDM, c) for n, c in TRIED.items()} | RIVALS
    elif stage == "scratch":
        names = ("base", "hardest", "unscaled, random 1", "lambda 1", "letter: beta 1", "random 1",
                 "easy positives", "E_m detached", "beta .3")  # fmt: skip
        found = {n: (PDDM, TRIED[n]) for n in names}
        found |= {f"Euclidean, beta {b:g}": ("Euclidean+Quadruplet", dict(beta=b)) for b in (.1, .3)}
        found |= {f"Triplet, margin {b:g}": ("Triplet", dict(triplet_margin=b)) for b in (.1, .2)}
    else:
        found = {}
        for rate in (0.1, 0.5, 1.0):
            found[f"base, network {rate:g}"] = (PDDM, dict(backbone_lr=rate))
            found[f"Triplet, network {rate:g}"] = ("Triplet", dict(backbone_lr=rate))
            found[f"hardest, network {rate:g}"] = (PDDM, dict(backbone_lr=rate, negatives="hardest"))
            found[f"lean, network {rate:g}"] = (PDDM, dict(backbone_lr=rate, easy=0.0, average=0.0))
            found[f"letter margins, random head, network {rate:g}"] = (PDDM, dict(backbone_lr=rate, easy=0.0, average=0.0, beta=1.0, lam=0.5, head_init="random"))
            found[f"plain Triplet, network {rate:g}"] = ("Triplet", dict(backbone_lr=rate, average=0.0))
            found[f"Euclidean letter margins, network {rate:g}"] = ("Euclidean+Quadruplet", dict(backbone_lr=rate, average=0.0, beta=1.0, lam=0.5))
            found[f"lean letter margins, network {rate:g}"] = (PDDM, dict(backbone_lr=rate, easy=0.0, average=0.0, beta=1.0, lam=0.5))
    return {n: t for n, t in found.items() if not only or any(o in n for o in only)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("stage", choices=SETS)
    parser.add_argument("--out", default="results/search", type=Path)
    parser.add_argument("--data-root", default="")
    parser.add_argument("--weights", default="")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--data", nargs="*", default=[])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / f"{args.stage}.csv"
    columns = "stage data trial method settings seed start distance distance_step score score_step"
    columns = [*columns.split(), "last_distance", "last_score", "least_mean_distance", "collapse", "seconds"]
    done = set()
    if path.exists():
        with open(path, encoding="utf-8") as f:
            done = {(r["data"], r["trial"], int(r["seed"])) for r in csv.DictReader(f)}
    loaded = {}
    for (trial, (method, change)), seed in itertools.product(
        trials(args.stage, args.only).items(), args.seeds
    ):
        for name in args.data or SETS[args.stage]:
            if (name, trial, seed) in done:
                continue
            began = time.time()
            own = dict(SETTINGS[args.stage])
            if args.stage == "end2end":
                own |= dict(steps=150 if name == "cars196_half" else 150, eval_every=25)
            if args.stage == "frozen":
                own |= dict(backbone="smallnet") if "synthetic" in name else MOBILENET
            if own["backbone"] == "mobilenet_v2":
                own["weights"] = args.weights
            settings = {**own, **BASE, **change}
            e = experiments.make(data=name, method=method, seed=seed, **settings)
            if name not in loaded:
                loaded[name] = data.load(name, args.data_root)
            source, net = inputs(e, loaded[name], args.out.parent / "features", "cpu", False)
            try:
                fitted = training.fit(e, loaded[name], source, net, bar=False)
            except training.TrainingError as err:
                print(trial, name, seed, err, file=sys.stderr, flush=True)
                continue
            h = fitted.history.set_index("step")
            row = {"stage": args.stage, "data": name, "trial": trial, "method": method, "seed": seed}
            row |= {"settings": change, "start": h["val_recall_1"].iloc[0]}
            for ranking, column in (("distance", "val_recall_1"), ("score", "val_score_recall_1")):
                if column in h:
                    row |= {ranking: h[column].max(), f"{ranking}_step": h[column].idxmax()}
                    row[f"last_{ranking}"] = h[column].iloc[-1]
            row |= {"least_mean_distance": h["mean_distance"].min(), "collapse": fitted.collapse}
            row["seconds"] = round(time.time() - began, 1)
            new = not path.exists()
            with open(path, "a", encoding="utf-8", newline="") as f:
                writer = csv.DictWriter(f, columns)
                if new:
                    writer.writeheader()
                writer.writerow(row)
            print(trial, name, seed, {k: row.get(k) for k in ("start", "distance", "score", "seconds")}, flush=True)


if __name__ == "__main__":
    main()
