"""--pack and --unpack: runs that travel to another machine."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..store.store import Store
from ..training.study import Study
from . import options, pack


def pack_runs(study: Study, args: argparse.Namespace) -> None:
    files, packed, total = pack.pack(study, Path(args.pack), options.pack_size(args))
    sizes = (f"{f} ({f.stat().st_size / 2**20:.1f} MiB)" for f in files)
    print(f"pack        {packed} of {total} runs in {', '.join(sizes)}")


def unpack(files: list[Path], results: Path) -> int:
    """Take packed runs into the store of `results`; 0 if all were sound, else 1."""
    found = pack.unpack(files, Store(results / "runs"))
    for i, problem in found.refused.items():
        print(f"unpack      run {i} was not taken: {problem}", file=sys.stderr)
    total = len(found.taken) + len(found.there)
    print(f"unpack      {len(found.taken)} runs taken, {len(found.there)} already there, "
          f"{len(found.refused)} refused")  # fmt: skip
    print(f"            {found.here} belong to this version of the code, {total - found.here} to "
          "another, whose runs it does not use")  # fmt: skip
    if found.draw:
        print(f"draw        {found.draw}")
    return 1 if found.refused else 0
