"""What the benchmarks share: timing in turns, what a table says about its making, and a target."""

from __future__ import annotations

import datetime
import json
import math
import statistics
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch

from pddm_lite.store.files import write_text
from pddm_lite.store.store import environment

RIVALS = ("pytorch-metric-learning", "faiss-cpu")
LEAST = 50.0  # milliseconds of one measurement: what is shorter is called several times
NOT_RUN = "not run"  # stands in a CSV for a time that was not measured


class Target(NamedTuple):
    """A number that was aimed at, beside the measured one (nan: not measured)."""

    what: str
    wanted: float
    measured: float
    least: bool = True  # `wanted` is the least that will do; False: the most

    @property
    def verdict(self) -> str:
        if math.isnan(self.measured):
            return "not measured"
        met = self.measured >= self.wanted if self.least else self.measured <= self.wanted
        return "met" if met else "missed"


def peak() -> float:
    """MB this process held at most so far (Linux; what getrusage says includes the parent's)."""
    line = Path("/proc/self/status").read_text(encoding="utf-8").split("VmHWM:")[1]
    return int(line.split()[0]) / 1024


def apart(module: str, *args: object) -> float:
    """`grown(*args)` of a benchmark, in MB, asked in a new process: a peak of memory only rises."""
    code = f"from {module} import grown; print(grown(*{args!r}))"
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=here,
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    )
    return float(done.stdout)


def interleaved(ways: dict, repeats: int = 5, device: str = "cpu") -> dict[str, float]:
    """Median milliseconds of one call of each way, one way after the other in every turn.

    The time of a CPU is the processor's, so that other programs on it count less; a GPU's is the
    clock's. A warm-up comes first, and decides how many calls a measurement needs.
    """
    on_gpu = device.startswith("cuda")
    clock = time.perf_counter if on_gpu else time.process_time

    def timed(way, calls: int) -> float:
        began = clock()
        for _ in range(calls):
            way()
        if on_gpu:
            torch.cuda.synchronize()
        return 1e3 * (clock() - began) / calls

    calls = {}
    for name, way in ways.items():
        timed(way, 1)  # memory and kernels of this size
        calls[name] = 1 if repeats < 2 else math.ceil(LEAST / max(timed(way, 1), LEAST / 100))
    times = [{name: timed(way, calls[name]) for name, way in ways.items()} for _ in range(repeats)]
    return {name: statistics.median(turn[name] for turn in times) for name in ways}


def made(command: str, device: str = "cpu") -> dict:
    """Command, commit, hardware, threads, date, and versions of torch and of the rivals."""
    here = environment(device)
    kept = {k: here[k] for k in ("commit", "changed", "python", "torch", "platform", "cpu", "gpu")}
    versions = {}
    for rival in RIVALS:
        try:
            versions[rival] = metadata.version(rival)
        except metadata.PackageNotFoundError:
            versions[rival] = "not installed"
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    return {"command": command, **kept, "threads": torch.get_num_threads(), **versions} | {
        "date": date
    }


def save(table: pd.DataFrame, path: Path, making: dict) -> None:
    """The table as CSV and, beside it, how it was made as JSON."""
    csv = table.to_csv(index=False, lineterminator="\n", na_rep=NOT_RUN)
    write_text(path, csv)
    write_text(path.with_suffix(".json"), json.dumps(making, indent=1) + "\n")
