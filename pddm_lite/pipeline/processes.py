"""The tree of processes under a batch: ended as a whole, and its memory. Imports nothing slow."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from contextlib import suppress

try:
    import psutil
except ImportError:  # a machine that only makes runs, not by pip: no memory is reported there
    psutil = None

INTERRUPTED = "interrupted; what was finished is kept, the same command goes on"


def _below() -> list:
    """All processes that this one started, and those that they did."""
    if psutil is None:
        return multiprocessing.active_children()
    return psutil.Process().children(recursive=True)


def end_children() -> None:
    """Kill every process below this one: workers and notebooks' kernels.

    They are stopped first, so that none starts another one meanwhile.
    """
    seen: set = set()
    while new := set(_below()) - seen:
        seen |= new
        for process in new:
            with suppress(Exception):  # it has just ended, or cannot be stopped here
                process.suspend()
    for process in seen:
        with suppress(Exception):
            # Python's own helper removes what the others leave, and then ends by itself
            if psutil and "resource_tracker" in " ".join(process.cmdline()):
                process.resume()
            else:
                process.kill()


def end_on_signals() -> None:
    """From now on Ctrl-C and SIGTERM end this process and all below it at once, with one line.

    Nothing is cleaned up on the way, as nothing could be after a SIGKILL: half-written files are
    not in use, and the next batch removes them.
    """

    def end(number: int, frame: object) -> None:
        with suppress(Exception):  # no print: the signal may have come in the middle of one
            os.write(2, f"{os.linesep if sys.stdout.isatty() else ''}{INTERRUPTED}\n".encode())
        end_children()
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)


def end_with_parent() -> None:
    """End this worker, and the kernels below it, as soon as the process that started it is gone."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        parent.join()  # returns however the parent ended
        end_children()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def memory() -> int:
    """Bytes of this process and all below it, what they share counted each time; 0: unknown."""
    total = 0
    if psutil is not None:
        for process in [psutil.Process(), *_below()]:
            with suppress(psutil.Error):  # it has just ended
                total += process.memory_info().rss
    return total


class Peak:
    """`with Peak() as peak: ...`: afterwards peak.bytes is the most that `memory` was.

    Looked at once in `every` seconds: a spike between two looks is not seen.
    """

    def __init__(self, every: float = 2.0):
        self.bytes, self.every, self._end = 0, every, threading.Event()

    def look(self) -> None:
        self.bytes = max(self.bytes, memory())

    def _watch(self) -> None:
        while not self._end.wait(self.every):
            self.look()

    def __enter__(self) -> Peak:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self.look()
