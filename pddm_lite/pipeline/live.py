"""What a long stage shows while it runs: one live line on a terminal, a line a minute in a log.

Own code: tqdm and rich draw what their own process counts, and a log with them has no lines.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from .processes import Peak

LOG_SECONDS = 60.0  # between two such lines in a log file


class Live(Peak):
    """`with Live("runs", ["a", "b"], folder) as live:` shows how far tasks are until the end.

    Each running task keeps a file in `folder` (see `status` and progress.tell). After the end,
    `seconds` and `bytes` (at most, of this process and all it started) are the stage's.
    """

    def __init__(self, stage: str, tasks: list[str], folder: Path, out: TextIO | None = None):
        super().__init__(every=1.0)
        self.stage, self.tasks, self.folder = stage, tasks, folder
        self.out = out or sys.stdout
        self.done, self.seconds = 0, 0.0
        self._shown, self._said = "", time.monotonic()
        self._lock = threading.Lock()

    def status(self, task: str) -> str:
        """The file that the task keeps while it runs."""
        return str(self.folder / f"{self.stage}-{self.tasks.index(task):05d}")

    def line(self) -> str:
        """Stage, done of all, elapsed, remaining, and where each running task is."""
        running, shares = [], float(self.done)
        for path in sorted(self.folder.glob(f"{self.stage}-*")):
            task = self.tasks[int(path.name.rpartition("-")[2])]
            try:
                text = path.read_text(encoding="utf-8")
            except OSError:
                continue  # just finished
            what, _, counts = text.partition("\t")
            n, _, total = counts.partition("\t")
            if not (n.isdigit() and total.isdigit() and int(total)):
                running.append(f"{task}: {what}" if what else task)
                continue
            shares += min(int(n) / int(total), 1)
            # a run's bar has the run's name, which `task` is already
            what = "" if task.startswith(what.partition(",")[0]) else f"{what} "
            running.append(f"{task}: {what}{n}/{total}")
        elapsed = time.monotonic() - self._began
        share = shares / max(len(self.tasks), 1)
        left = f", {clock(elapsed * (1 - share) / share)} left" if 0.02 < share < 1 else ""
        at = f"{self.stage:<11} {self.done}/{len(self.tasks)}, {clock(elapsed)} so far{left}"
        return "; ".join([at, *running])

    def print(self, text: str, file: TextIO | None = None) -> None:
        """Print lines that stay, above the live one."""
        with self._lock:
            self._clear()
            print(text, file=file or self.out, flush=True)
            self._said = time.monotonic()

    def _clear(self) -> None:
        if self._shown:
            self.out.write("\r" + " " * len(self._shown) + "\r")
            self._shown = ""

    def _tick(self) -> None:
        line = self.line()
        with self._lock:
            if self.out.isatty():
                self._clear()
                self._shown = line[: shutil.get_terminal_size().columns - 1]
                self.out.write(self._shown)
                self.out.flush()
            elif time.monotonic() - self._said >= LOG_SECONDS:
                print(line, file=self.out, flush=True)
                self._said = time.monotonic()

    def look(self) -> None:
        super().look()
        self._tick()

    def __enter__(self) -> Live:
        self._began = time.monotonic()
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.seconds = time.monotonic() - self._began
        self._clear()
        self.out.flush()


def clock(seconds: float) -> str:
    """Seconds as 00:05, 12:34 or 3:02:01."""
    return tqdm.format_interval(round(seconds))


def gib(size: int) -> str:
    """Bytes in GiB; "" for 0, which stands for unknown."""
    return f"{size / 2**30:.1f} GiB" if size else ""
