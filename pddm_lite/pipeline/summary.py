"""What a batch took: time and peak memory of each stage and notebook, printed and kept."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager

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
        self.stages: dict[str, tuple[float, int]] = {}  # name -> (seconds, bytes)
        self.tasks: dict[str, dict[str, tuple[float, int]]] = {}  # stage -> task -> the same

    @contextmanager
    def stage(self, live: Live) -> Iterator[Live]:
        """A stage, or a further part of it, from its beginning to its end."""
        with live:
            yield live
        seconds, peak = self.stages.get(live.stage, (0.0, 0))
        self.stages[live.stage] = (seconds + live.seconds, max(peak, live.peak))

    def add(self, stage: str, task: str, seconds: float, peak: int) -> None:
        """One finished task."""
        self.tasks.setdefault(stage, {})[task] = (seconds, peak)

    def lines(self) -> list[str]:
        """A table for the terminal: stages, and each notebook that was executed."""
        rows = [f"{'summary':<28}{'time':>9}{'work':>9}{'peak memory':>14}"]
        for stage, (seconds, peak) in self.stages.items():
            tasks = self.tasks.get(stage, {})
            work = clock(sum(s for s, _ in tasks.values())) if tasks else ""
            rows.append(f"{stage:<28}{clock(seconds):>9}{work:>9}{gib(peak):>14}")
            if stage == "notebooks":
                rows += [f"  {n:<26}{clock(s):>9}{'':9}{gib(b):>14}" for n, (s, b) in tasks.items()]
        return rows

    def keep(self) -> None:
        """Write summary.json: of the last batch that made runs, and of the last without."""
        path = self.study.folder / "summary.json"
        try:
            kept = dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # none yet, or torn
            kept = {}
        runs = len(self.tasks.get("runs", {}))
        seconds = {name: round(s, 1) for name, (s, _) in self.stages.items()}
        kept["made" if runs else "from_the_store"] = {
            "runs_made": runs,
            "jobs": self.jobs,
            "seconds": seconds,
            "total_seconds": round(sum(seconds.values())),
            "work_seconds": {
                stage: round(sum(s for s, _ in tasks.values()), 1)
                for stage, tasks in self.tasks.items()
            },
            "peak_gib": {name: round(b / 2**30, 2) for name, (_, b) in self.stages.items()},
            "notebooks": {
                name: {"seconds": round(s, 1), "peak_gib": round(b / 2**30, 2)}
                for name, (s, b) in self.tasks.get("notebooks", {}).items()
            },
        }
        write_text(path, json.dumps(kept, indent=1))


def took(seconds: float, memory: int) -> str:
    """Seconds and memory of a task, for the log."""
    return ", ".join(x for x in (f"{seconds:.0f} s", gib(memory)) if x)
