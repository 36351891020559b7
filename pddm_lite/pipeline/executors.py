"""Where the work is done: a pool of processes here; cluster.py has the one on a cluster."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, resource_tracker
from pathlib import Path

import torch

from ..store.errors import escape_letters
from . import options, processes


def start_worker() -> None:
    """One thread, no bars, as everything that runs beside others."""
    for name, value in options.ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    escape_letters()
    os.environ["PDDM_BATCH"] = "1"  # bars of several processes would mix
    torch.set_num_threads(1)


def work(status: str, f: Callable, *args: object) -> tuple[object, float, int]:
    """f(*args) in a worker: (what it returns, seconds, peak memory in bytes).

    status: a file that exists, and says how far it is, as long as it runs; "" for none.
    """
    start_worker()
    os.environ["PDDM_STATUS"] = status  # for progress(), here and in a notebook's kernel
    began = time.time()
    if status:
        Path(status).touch()
    try:
        with processes.Peak() as peak:
            result = f(*args)
        return result, time.time() - began, peak.bytes
    finally:
        os.environ.pop("PDDM_STATUS")
        if status:
            Path(status).unlink(missing_ok=True)


def _start_local() -> None:
    # Ctrl-C reaches every process of a terminal: the first one alone answers, and ends the others
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _hold_sigint(False)
    processes.end_with_parent()
    start_worker()


def _hold_sigint(hold: bool) -> None:
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        how = signal.SIG_BLOCK if hold else signal.SIG_UNBLOCK
        signal.pthread_sigmask(how, {signal.SIGINT})


class _Pool(ProcessPoolExecutor):
    def submit(self, *args, **kwargs) -> Future:
        _hold_sigint(True)  # a worker starts here, and has yet to learn to ignore Ctrl-C
        try:
            return super().submit(*args, **kwargs)
        finally:
            _hold_sigint(False)


def _start_tracker() -> None:
    """Start Python's helper that frees what killed processes leave, told not to report that."""
    if os.name != "posix":
        return  # none is needed
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = "ignore:resource_tracker"
    resource_tracker.ensure_running()
    if before is None:
        del os.environ["PYTHONWARNINGS"]
    else:
        os.environ["PYTHONWARNINGS"] = before


@contextmanager
def pool(jobs: int) -> Iterator[Executor]:
    """Worker processes, started afresh (spawn), so that none inherits this process's state.

    They start with the first work; an error inside the body ends them at once.
    """
    _start_tracker()
    executor = _Pool(jobs, get_context("spawn"), initializer=_start_local)
    try:
        yield executor
    except BaseException:
        processes.end_children()
        raise
    finally:
        executor.shutdown()
