"""Work done by an executor: shown while it runs, its failures kept as cards, its time counted."""

from __future__ import annotations

import sys
import traceback
from concurrent.futures import BrokenExecutor, CancelledError, Executor, as_completed
from pathlib import Path

from ..store.errors import SHUT, UserError, shut
from ..store.files import CannotWrite
from ..training.faults import TrainingError
from . import executors, notebooks
from .cluster import WorkerDiffers
from .live import Live
from .summary import Summary, took


class Work:
    """What is done by the executor, shown while it runs and counted in the summary."""

    def __init__(self, executor: Executor, folder: Path, summary: Summary):
        self.executor, self.folder, self.summary = executor, folder, summary

    def collect(self, stage: str, tasks: dict[str, tuple]) -> tuple[list[str], list[str]]:
        """Do all tasks, name -> (function, arguments), with a line as each ends.

        Returns failure cards, and the names of tasks that returned None: to be done later.

        Raises:
            CannotWrite, WorkerDiffers: every further task would fail alike.
            UserError: a worker was killed, or the cluster's scheduler.
        """
        failures, later = [], []
        with self.summary.stage(Live(stage, list(tasks), self.folder)) as live:
            futures = {
                self.executor.submit(executors.work, live.status(name), *task): name
                for name, task in tasks.items()
            }
            for future in as_completed(futures):
                name = futures[future]
                live.done += 1
                at = f"{stage:<11} {live.done}/{len(futures)} {name}"
                try:
                    text, seconds, memory = future.result()
                except (CannotWrite, WorkerDiffers):
                    raise
                except notebooks.NotebookFailed as err:
                    failures.append(str(err))
                    live.print(f"{at}: FAILED\n{err}", sys.stderr)
                except (UserError, TrainingError, *SHUT) as err:
                    err = (isinstance(err, OSError) and shut(err)) or err
                    failures.append(f"{name}: {err}")
                    live.print(f"{at}: FAILED: {err}", sys.stderr)
                except CancelledError:
                    raise UserError(
                        f"the cluster's scheduler was lost during {stage}; what was finished is "
                        "kept, and with a scheduler the same command goes on."
                    ) from None
                except BrokenExecutor:
                    raise UserError(
                        f"a worker process was killed during {stage} (out of memory?); what was "
                        "finished is kept, and the same command goes on. Fewer --jobs need less."
                    ) from None
                except Exception as err:  # a mistake of ours: told in full, and the rest goes on
                    failures.append(f"{name}: {type(err).__name__}: {err}")
                    live.print(
                        f"{at}: FAILED\n{''.join(traceback.format_exception(err))}", sys.stderr
                    )
                else:
                    if text is None:
                        later.append(name)
                        continue
                    self.summary.add(stage, name, seconds, memory)
                    live.print(f"{at}: {text} [{took(seconds, memory)}]")
        return failures, later
