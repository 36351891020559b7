"""Some runs of the store fitted again, and compared with what is stored: `run_all.py audit`.

A run is named by versions and not by how the code reads, so a change of the numbers that nobody
noticed would leave old runs where new ones belong. The golden numbers (tests/test_golden.py) are to
tell of it; this looks at real runs.
"""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pandas as pd
from torch.testing import assert_close

from .. import data as data_sets
from ..store.errors import UserError
from ..store.store import Store
from ..training.experiments import Experiment
from ..training.runs import fit_or_load, run_id
from . import executors, options

CLOSE = 1e-6  # relative; on another machine sums may be rounded otherwise


def parser() -> options.Parser:
    p = options.Parser(
        prog="run_all.py audit",
        description="Fit some runs of the store again, drawn at random, and compare their history "
        "and weights with what is stored. The store is left as it is.",
        epilog="exit code: 0 all the same; 1 some differ; 2 wrong use",
    )
    p.add_argument("--results", default="results", metavar="DIR", help="the store's folder")
    p.add_argument("--data-root", default="", metavar="DIR", help="where real data sets lie")
    p.add_argument("--profile", default="quick", help="of synthetic data (default quick)")
    p.add_argument("--number", type=int, default=3, help="of runs (default 3)")
    p.add_argument("--seed", type=int, default=0, help="of the draw (default 0)")
    p.add_argument("--device", default="cpu", help="cpu or cuda (default cpu)")
    return p


def main(argv: list[str]) -> int:
    args = parser().parse_args(argv)
    store = Store(Path(args.results) / "runs")
    found = [i for i in store.ids() if store.has(i)]
    if not found:
        raise UserError(f"no runs in {store.folder}; make some by python run_all.py.")
    if args.number < 1:
        raise UserError(f"--number must be at least 1, not {args.number}.")
    executors.start_worker()  # one thread, as the runs were made: sums are rounded alike
    drawn = random.Random(args.seed).sample(found, min(args.number, len(found)))
    apart = sum(not _same(store, identity, args) for identity in drawn)
    print(f"audit       {len(drawn)} of {len(found)} runs fitted again, {apart} differ")
    return 1 if apart else 0


def _same(store: Store, identity: str, args) -> bool:
    e = Experiment(**store.json(identity, "config.json"))
    name = f"{identity} ({e.method}, {e.data}, seed {e.seed})"
    try:
        images = data_sets.load(e.data, args.data_root, args.profile)
    except UserError as err:
        print(f"run         {name}: its data are not there ({err})")
        return False
    if run_id(e, images) != identity:
        print(f"run         {name}: another run today: data, profile, weights or a version changed")
        return False
    with tempfile.TemporaryDirectory() as folder:
        # features are not made again: they are read from the store's own folder
        (Path(folder) / "features").symlink_to((Path(args.results) / "features").resolve())
        again = fit_or_load(e, images, folder, args.device)
        try:
            pd.testing.assert_frame_equal(
                store.csv(identity, "history.csv"),
                again.store.csv(identity, "history.csv"),
                rtol=CLOSE,
                obj="history",
            )
            for file in store.json(identity, "manifest.json")["files"]:
                if file.endswith(".pt"):
                    assert_close(
                        again.store.state(identity, file),
                        store.state(identity, file),
                        rtol=CLOSE,
                        atol=1e-8,
                        msg=lambda text, file=file: f"{file}: {text}",
                    )
        except AssertionError as err:
            print(f"run         {name}: differs: {' '.join(str(err).split())[:200]}")
            return False
    print(f"run         {name}: the same to {CLOSE:g}")
    return True
