"""Files that are whole or absent, locks that no kill leaves behind, and what a kill did leave.

The locks are our own: filelock's do not say who holds them, and leave a file for every run.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import UserError

# what a disk says that takes no more, or takes nothing
DISK = {errno.ENOSPC, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
DISK |= {getattr(errno, "EDQUOT", errno.ENOSPC)}  # not on Windows
HOST = re.sub(r"\W", "_", socket.gethostname())


class CannotWrite(UserError):
    """The disk is full or cannot be written: nothing that follows could be kept."""


def cannot_write(folder: Path, err: BaseException) -> CannotWrite | None:
    """The error for the user, where `err` is a disk's; None where it is something else."""
    # torch.save hides the disk's error in one of its own
    cause = err if isinstance(err, OSError) else err.__context__
    if not isinstance(cause, OSError) or cause.errno not in DISK:
        return None
    return _refused(folder, cause)


def _refused(folder: Path, err: OSError) -> CannotWrite:
    return CannotWrite(
        f"folder {folder} cannot be written ({err.strerror}); make room there or choose another "
        "(--results, --pack), and the same command goes on."
    )


def temporary_prefix() -> str:
    """How the temporary files of this process begin, so that `sweep` knows whose they are."""
    return f".tmp-{HOST}-{os.getpid()}-"


@contextmanager
def beside(path: Path, folder: bool = False) -> Iterator[Path]:
    """An empty temporary file (or folder) in `path`'s folder, gone at the end if still there.

    Raises:
        CannotWrite: the folder cannot be made or written, or its disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if folder:
            temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=temporary_prefix()))
        else:
            handle, name = tempfile.mkstemp(path.suffix, temporary_prefix(), path.parent)
            os.close(handle)
            temporary = Path(name)
    except OSError as err:
        raise _refused(path.parent, err) from None
    try:
        yield temporary
    except BaseException as err:
        if refused := cannot_write(path.parent, err):
            raise refused from None
        raise
    finally:
        if folder:
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def write_flushed(path: Path, write: Callable) -> None:
    """Call write(file) on a new file `path`; on return its bytes are on the disk."""
    with open(path, "wb") as f:
        write(f)
        f.flush()
        os.fsync(f.fileno())


def write_atomic(path: Path, write: Callable) -> None:
    """Call write(file) on a temporary file beside `path`, flush, rename: whole or not at all.

    Raises:
        CannotWrite: the folder cannot be written, or its disk is full.
        UserError: `path` is a folder.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder, where a file belongs; move it away.")
    with beside(path) as temporary:
        write_flushed(temporary, write)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    note(path)


def write_text(path: Path, text: str) -> None:
    """`text` to `path` in UTF-8, atomically; a name that is no text has its odd bytes escaped."""
    write_atomic(path, lambda f: f.write(text.encode("utf-8", "backslashreplace")))


def digest(path: Path, algorithm: str = "sha256") -> str:
    """Checksum of a file in hex."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, algorithm).hexdigest()


def note(path: Path) -> None:
    """Tell the pipeline, where it asks, that a notebook made or used this file."""
    if log := os.environ.get("PDDM_WRITES"):
        with open(log, "a", encoding="utf-8", errors="surrogateescape") as f:
            f.write(f"{path.resolve()}\n")


def sweep(folders: Iterable[Path]) -> None:
    """Remove what killed processes left in these folders: their locks, half-written files (of this
    machine's processes alone)."""
    for folder in folders:
        for left in folder.glob(f".tmp-{HOST}-*"):
            pid = left.name.removeprefix(f".tmp-{HOST}-").partition("-")[0]
            if pid.isdigit() and not _alive(int(pid)):
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink(missing_ok=True)
        for lock in folder.glob(".lock-*"):
            with alone(lock, wait=False):  # nobody has it any more: it goes
                pass


def _alive(pid: int) -> bool:
    if os.name != "posix":  # there the call below would end the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


@contextmanager
def alone(path: Path, wait: bool = True) -> Iterator[bool]:
    """Hold the lock file `path`, waiting for whoever has it; gives whether it is held.

    With wait = False it gives False at once where another process, here or on another machine of
    a shared file system, has it. The system frees a lock when its process ends, however it ends.
    Where there are no locks (Windows, some file systems, a read-only folder) it gives True.
    """
    held, handle = True, None
    try:
        handle = _locked(path, wait)
    except BlockingIOError:
        held = False
    except (ImportError, OSError):  # no locks here; who writes there will say what is wrong
        pass
    try:
        yield held
    finally:
        if handle:
            path.unlink(missing_ok=True)
            handle.close()


def _locked(path: Path, wait: bool):
    """The locked file; BlockingIOError if another process has it, ImportError on Windows."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        handle = open(path, "a+", encoding="utf-8")  # noqa: SIM115
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if os.fstat(handle.fileno()).st_ino == path.stat().st_ino:
                handle.truncate(0)
                handle.write(f"process {os.getpid()} on {socket.gethostname()}")
                handle.flush()
                return handle
        except FileNotFoundError:
            pass  # who held it has removed it meanwhile: this is the lock of no file any more
        except OSError:
            handle.close()
            raise
        handle.close()


def holder(path: Path) -> str:
    """Who holds the lock `path`, as "process 123 on host"."""
    try:
        return path.read_text(encoding="utf-8").strip() or "another process"
    except OSError:
        return "another process"
