"""All benchmarks in one run: a table each, one figure, and the targets, met or missed.

    python benchmarks/run.py [--out results/bench] [--device cpu] [--only step,losses] [--quick]

    step       a training step of PDDM against the full matrix
    losses     our losses against pytorch-metric-learning's
    loop       epochs a second of the whole loop, and where the time goes
    ncm        nearest class means against the matrix product
    allpairs   scores of all pairs against the plain way and the matrix product
    retrieval  Recall@K against FAISS and pytorch-metric-learning

One thread. What is not installed is left out (pip install -e '.[bench]' brings it). --quick: sizes
of seconds, to see that everything runs. Writes NAME.csv with NAME.json (command, commit, hardware,
versions), targets.csv and benchmarks.png.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import inspect
import io
import shlex
import sys
import time
from pathlib import Path

import figure
import pandas as pd
import targets
import torch
from common import NOT_RUN, Target, made, save

from pddm_lite.store.errors import UserError, escape_letters, unknown
from pddm_lite.store.files import write_atomic

TITLES = {
    "step": "A training step of PDDM without the network (ms)",
    "losses": "Mine, loss, backward on features [m, 128] (ms)",
    "loop": "The whole loop on synthetic birds, one thread",
    "ncm": "Nearest class means",
    "allpairs": "Scores of all pairs",
    "retrieval": "Recall@K",
}
# arguments of table() with --quick
QUICK = {
    "step": dict(sizes=(16, 32), d=16, repeats=1),
    "losses": dict(sizes=(16, 32), d=16, repeats=1),
    "loop": dict(steps=4, profile="smoke"),
    "ncm": dict(queries=32, classes=50, d=16, repeats=1),
    "allpairs": dict(sizes=(64, 128), d=16, repeats=1),
    "retrieval": dict(sizes=(300, 600), d=16, repeats=1),
}
# arguments of table() where its own are not those of this report, by device
FULL = {
    ("allpairs", "cpu"): dict(sizes=(256, 512, 1024)),
    ("allpairs", "cuda"): dict(sizes=(1024, 5924, 60_502)),
}
S_MB, AT = 36, 3072  # the matrix of scores of so many items is the result


def run(name: str, args: argparse.Namespace) -> pd.DataFrame:
    """A benchmark's table; how far memory grew, on a CPU, in its attrs."""
    module = importlib.import_module(name)
    results = args.out if args.quick else "results"
    offered = {"device": args.device, "results": results}
    kind = args.device.partition(":")[0]
    offered |= QUICK[name] if args.quick else FULL.get((name, kind), {})
    takes = inspect.signature(module.table).parameters
    table = module.table(**{k: v for k, v in offered.items() if k in takes})
    if not args.quick and kind == "cpu":
        if name == "allpairs":
            table.attrs["MB"] = round(module.growth(AT) - S_MB, 1)
        if name == "ncm":
            table.attrs["GB"] = round(module.growth() / 1024, 2)
    return table


def readable(name: str, table: pd.DataFrame) -> str:
    module = importlib.import_module(name)
    wide = module.wide(table) if hasattr(module, "wide") else table
    return wide.to_string(index=False, na_rep=NOT_RUN)


def verdicts(asked: list[Target]) -> pd.DataFrame:
    """target, wanted, measured, verdict: a row a target."""
    rows = [
        (t.what, f"{'at least' if t.least else 'at most'} {t.wanted:g}", t.measured, t.verdict)
        for t in asked
    ]
    return pd.DataFrame(rows, columns=["target", "wanted", "measured", "verdict"])


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    escape_letters()
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--out", default="results/bench")
    p.add_argument("--device", default="cpu")
    p.add_argument("--only", default="", help="benchmarks, separated by commas")
    p.add_argument("--quick", action="store_true")
    args = p.parse_args(argv)
    torch.set_num_threads(1)
    here = Path(__file__).parent
    names = [n for n in TITLES if (here / f"{n}.py").exists()]
    chosen = args.only.split(",") if args.only else names
    making = made(shlex.join(["python", "benchmarks/run.py", *argv]), args.device)
    tables = {}
    try:
        for name in chosen:
            if name not in names:
                raise unknown("benchmark", name, names)
        for name in chosen:
            began = time.monotonic()
            tables[name] = run(name, args)
            print(f"\n{TITLES[name]}, {time.monotonic() - began:.0f} s\n")
            print(readable(name, tables[name]), flush=True)
            save(tables[name], Path(args.out) / f"{name}.csv", making)
        asked = targets.targets(tables)
        save(verdicts(asked), Path(args.out) / "targets.csv", making)
        if set(tables) & set(figure.PANELS):
            drawn = io.BytesIO()
            figure.draw(tables, args.device).savefig(drawn, format="png", dpi=80)
            write_atomic(Path(args.out) / "benchmarks.png", lambda f: f.write(drawn.getvalue()))
    except UserError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    print(f"\nTargets\n\n{verdicts(asked).to_string(index=False, na_rep='')}")
    print(f"\nwritten to {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
