"""--scheduler ADDRESS: the same work on the workers of a Dask cluster, over a shared folder."""

from __future__ import annotations

import hashlib
import logging
import platform
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

from ..store.errors import UserError

PACKAGE = Path(__file__).parents[1]
SECONDS = 10  # to wait for the scheduler's answer


class WorkerDiffers(UserError):
    """A worker has another version of the code, and would make other runs."""


@cache  # of what this process has imported, whatever is written meanwhile
def code() -> str:
    """Hash of the whole package, and what else decides a run's numbers."""
    h = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        h.update(path.relative_to(PACKAGE).as_posix().encode() + path.read_bytes())
    python = ".".join(platform.python_version_tuple()[:2])
    return f"{h.hexdigest()[:16]}, Python {python}, torch {torch.__version__}"


def about(folder: str, dask_worker) -> dict:
    """What a worker is: its code, whether it sees `folder`, its threads and its GPU slots."""
    return {
        "code": code(),
        "sees": Path(folder).is_dir(),
        "threads": dask_worker.state.nthreads,
        "gpus": dask_worker.state.total_resources.get("GPU", 0),
    }


def if_same(expected: str, f: Callable, *args: object) -> object:
    """f(*args) on a worker, if it has the same code; it may have joined after the first check."""
    if (own := code()) != expected:
        raise _differs(platform.node(), own, expected)
    return f(*args)


def _differs(who: str, own: str, expected: str) -> WorkerDiffers:
    return WorkerDiffers(
        f"worker {who} has other code ({own}) than this machine ({expected}): install the same "
        "commit there and restart it."
    )


class _Checked(Executor):
    """Dask's executor, each piece of work behind `if_same`."""

    def __init__(self, inner: Executor):
        self.inner, self.code = inner, code()

    def submit(self, f: Callable, /, *args: object) -> Future:
        return self.inner.submit(if_same, self.code, f, *args)

    def shutdown(self, wait: bool = True, **_: object) -> None:
        self.inner.shutdown(wait)


@contextmanager
def cluster(address: str, device: str, folder: Path) -> Iterator[Executor]:
    """The executor of the Dask scheduler at `address`, its workers checked.

    Args:
        device: with "cuda" each piece of work takes one GPU slot: workers start with
            --resources GPU=1.
        folder: one below the results, which every worker must see.

    Raises:
        UserError: Dask is not installed; no scheduler answers; a worker with other code, without
            the shared folder, with several threads, or none with a GPU slot.
    """
    try:
        from distributed import Client
        from distributed.comm.addressing import get_address_host_port
    except ImportError:
        raise UserError("--scheduler needs Dask: pip install -e '.[cluster]'.") from None
    for name in ("distributed", "distributed.client"):  # one line of ours says what happens
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        get_address_host_port(address)  # of a Client that refuses it a thread stays, and complains
        client = Client(address, timeout=SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as err:
        reason = str(err).splitlines()[0] if str(err) else type(err).__name__
        raise UserError(
            f"no Dask scheduler answers at '{address}' ({reason}); start one by `dask scheduler` "
            "and give the address that it prints, as in tcp://HOST:8786."
        ) from None
    with client:
        if not client.nthreads():
            print(f"cluster     {address} has no worker yet; waiting for the first", flush=True)
            client.wait_for_workers(1)
        _check(client.run(about, str(folder), on_error="return"), device, folder)
        slots = {"resources": {"GPU": 1}} if device.startswith("cuda") else {}
        executor = _Checked(client.get_executor(pure=False, **slots))
        print(f"cluster     {len(client.nthreads())} workers at {address}", flush=True)
        try:
            yield executor
        except BaseException:
            executor.shutdown(wait=False)  # what waits is cancelled; what runs ends by itself
            raise
        executor.shutdown()


def _check(workers: dict[str, object], device: str, folder: Path) -> None:
    expected = code()
    for who, told in workers.items():
        if isinstance(told, BaseException):
            raise UserError(
                f"worker {who} cannot run pddm-lite ({type(told).__name__}: {told}); install the "
                "same commit there and start it from that environment."
            )
        if told["code"] != expected:
            raise _differs(who, told["code"], expected)
        if not told["sees"]:
            raise UserError(
                f"worker {who} does not see {folder.parent}: --results must be a folder that all "
                "machines share."
            )
        if told["threads"] != 1:
            raise UserError(
                f"worker {who} has {told['threads']} threads, and notebooks need a process each: "
                "start workers with --nthreads 1."
            )
    if device.startswith("cuda") and not any(told["gpus"] for told in workers.values()):
        raise UserError("no worker has a GPU slot: start workers with --resources GPU=1.")
