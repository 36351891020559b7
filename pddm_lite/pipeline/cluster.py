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
    """A worker would make other runs, or none."""


@cache  # of what this process has imported, whatever is written meanwhile
def code() -> str:
    """Hash of the whole package, and what else decides a run's numbers."""
    h = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        h.update(path.relative_to(PACKAGE).as_posix().encode() + path.read_bytes())
    python = ".".join(platform.python_version_tuple()[:2])
    return f"{h.hexdigest()[:16]}, Python {python}, torch {torch.__version__}"


def checked(expected: str, folder: str, f: Callable, *args: object) -> object:
    """f(*args) on a worker, whenever it joined, if it has the same code, sees `folder`, and is a
    process of one thread.

    Raises:
        WorkerDiffers: it is not.
    """
    from distributed import get_worker

    where = f"worker {platform.node()}"
    if (own := code()) != expected:
        raise WorkerDiffers(
            f"{where} has other code ({own}) than this machine ({expected}): install the same "
            "commit there and restart it."
        )
    if not Path(folder).is_dir():
        shared = "--results must be a folder that all machines share."
        raise WorkerDiffers(f"{where} does not see {Path(folder).parent}: {shared}")
    if get_worker().state.nthreads != 1:
        raise WorkerDiffers(f"{where} has several threads: start workers with --nthreads 1.")
    return f(*args)


class _Checked(Executor):
    """Dask's executor, each piece of work behind `checked`."""

    def __init__(self, inner: Executor, folder: Path):
        self.inner, self.folder = inner, str(folder)

    def submit(self, f: Callable, /, *args: object) -> Future:
        return self.inner.submit(checked, code(), self.folder, f, *args)

    def shutdown(self, wait: bool = True, **_: object) -> None:
        self.inner.shutdown(wait)


@contextmanager
def cluster(address: str, device: str, folder: Path) -> Iterator[Executor]:
    """The executor of the Dask scheduler at `address`, whose workers are checked at each work.

    Args:
        device: with "cuda" each piece of work takes one GPU slot: workers start with
            --resources GPU=1.
        folder: one below the results, which every worker must see.

    Raises:
        UserError: Dask is not installed; no scheduler answers; no worker has a GPU slot.
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
        for who, told in client.run(code, on_error="return").items():
            if isinstance(told, BaseException):
                raise UserError(
                    f"worker {who} cannot run pddm-lite ({type(told).__name__}: {told}); install "
                    "the same commit there and start it from that environment."
                )
        slots = {"resources": {"GPU": 1}} if device.startswith("cuda") else {}
        workers = client.scheduler_info()["workers"].values()
        if slots and not any(w["resources"].get("GPU") for w in workers):
            raise UserError("no worker has a GPU slot: start workers with --resources GPU=1.")
        executor = _Checked(client.get_executor(pure=False, **slots), folder)
        print(f"cluster     {len(client.nthreads())} workers at {address}", flush=True)
        try:
            yield executor
        except BaseException:
            executor.shutdown(wait=False)  # what waits is cancelled; what runs ends by itself
            raise
        executor.shutdown()
