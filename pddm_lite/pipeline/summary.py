"""What a batch took: time and peak memory of each stage and notebook, printed and kept."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd

from ..store.files import write_text
from ..training.study import Study
from .live import Live, clock, gib


class Summary:
    """Filled stage by stage.

    Time is on the clock; work is the sum over tasks, which ran beside each other. Memory is the
    peak of all processes of the batch on this machine; a task's is of its own processes.
    """

    def __init__(self, study: Study, args: argparse.Namespace):
        self.study = study
        self.jobs = "cluster" if args.scheduler else int(args.jobs)
        self.rows: list[tuple[str, str, float, int]] = []  # stage, task ("" of all), seconds, bytes

    @contextmanager
    def stage(self, live: Live) -> Iterator[Live]:
        """A stage, or a further part of it, from its beginning to its end."""
        with live:
            yield live
        self.add(live.stage, "", live.seconds, live.bytes)

    def add(self, stage: str, task: str, seconds: float, peak: int) -> None:
        """One finished task."""
        self.rows.append((stage, task, seconds, peak))

    def table(self) -> pd.DataFrame:
        """stage, task, seconds, bytes: a row a task, and one of "" a stage."""
        t = pd.DataFrame(self.rows, columns=["stage", "task", "seconds", "bytes"])
        by = t.groupby(["stage", "task"], sort=False, as_index=False)
        return by.agg({"seconds": "sum", "bytes": "max"})

    def lines(self) -> list[str]:
        """A table for the terminal: stages, and each notebook that was executed."""
        rows = [f"{'summary':<28}{'time':>9}{'peak memory':>14}"]
        for x in self.table().sort_values("task", kind="stable").itertuples():
            if x.task == "" or x.stage == "notebooks":
                what = f"  {x.task}" if x.task else x.stage
                rows.append(f"{what:<28}{clock(x.seconds):>9}{gib(x.bytes):>14}")
        return rows

    def keep(self) -> None:
        """Write summary.json: of the last batch that made runs, and of the last without."""
        path = self.study.folder / "summary.json"
        try:
            kept = dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # none yet, or torn
            kept = {}
        t = self.table().assign(peak_gib=lambda t: (t["bytes"] / 2**30).round(2))
        whole, tasks = t[t["task"] == ""].set_index("stage"), t[t["task"] != ""]
        notebooks = tasks[tasks["stage"] == "notebooks"].set_index("task").round({"seconds": 1})
        runs = int((tasks["stage"] == "runs").sum())
        kept["made" if runs else "from_the_store"] = {
            "runs_made": runs,
            "jobs": self.jobs,
            "seconds": whole["seconds"].round(1).to_dict(),
            "total_seconds": round(whole["seconds"].sum()),
            "work_seconds": tasks.groupby("stage")["seconds"].sum().round(1).to_dict(),
            "peak_gib": whole["peak_gib"].to_dict(),
            "notebooks": notebooks[["seconds", "peak_gib"]].to_dict("index"),
        }
        write_text(path, json.dumps(kept, indent=1))


def took(seconds: float, memory: int) -> str:
    """Seconds and memory of a task, for the log."""
    return ", ".join(x for x in (f"{seconds:.0f} s", gib(memory)) if x)
