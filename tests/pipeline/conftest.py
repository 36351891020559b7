"""What several tests of the pipeline need."""

from concurrent.futures import Executor, Future

import pytest

from pddm_lite.pipeline import executors


class Here(Executor):
    """Work in this process, so that what a test has changed is seen."""

    def submit(self, f, *args):
        future = Future()
        try:
            future.set_result(f(*args))
        except Exception as err:
            future.set_exception(err)
        return future


@pytest.fixture
def here(monkeypatch):
    """No pool of processes: all work is done by the test's own."""
    monkeypatch.setattr(executors, "pool", lambda jobs: Here())
    monkeypatch.setenv("PDDM_BATCH", "")  # set in a worker, which this process is now
