"""Files told apart by content: checksums, read once and remembered."""

from __future__ import annotations

import json
import os
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ..store.errors import UserError
from ..store.files import beside
from ..store.memory import cores
from ..store.progress import progress
from .base import fingerprint, shown

REMEMBERED = 0.5  # seconds that reading a tree must take for its checksums to be kept
UNREAD = -1  # of a file that cannot be read; who reads the image will say so


class File(NamedTuple):
    """A file of a tree. Its content is known by `crc` in a zip, and by `stamp` in a directory."""

    raw: str  # its name for the system, or in the zip
    size: int  # bytes
    stamp: str = ""  # size, inode, times of change of content and of anything, in ns
    crc: int = 0


def _crc(path: Path) -> int:
    crc = 0
    try:
        with open(path, "rb", buffering=0) as f:
            while block := f.read(1 << 20):
                crc = zlib.crc32(block, crc)
    except OSError:
        return UNREAD
    return crc


def checksums(path: Path, names: list[str], files: list[File]) -> list[int]:
    """CRC-32 of the files called `names` below the directory `path`; UNREAD of what cannot be read.

    Every file is read once. Where that took a while the checksums are kept in the user's cache, and
    hold for as long as a file's size, times and inode are as they were.
    """
    known, keep = {}, _cache(path)
    with suppress(OSError, ValueError, TypeError):  # none, or a broken one
        known = dict(json.loads(keep.read_text(encoding="utf-8")))
    crcs, missing = [UNREAD] * len(files), []
    for i, (name, file) in enumerate(zip(names, files, strict=True)):
        stamp, _, crc = str(known.get(name, "")).rpartition(" ")
        if stamp == file.stamp:
            crcs[i] = int(crc)
        else:
            missing.append(i)
    if not missing:
        return crcs
    begun, clock = time.time_ns(), time.monotonic()
    blocks = [missing[a : a + 256] for a in range(0, len(missing), 256)]

    def read(block: list[int]) -> list[int]:
        return [_crc(path / files[i].raw) for i in block]

    show = sys.stdout.isatty() or "PDDM_STATUS" in os.environ
    said = f"first look at {shown(path.name)}"
    pool = ThreadPoolExecutor(cores())
    try:
        parts = progress(pool.map(read, blocks), said, show, total=len(blocks), delay=2)
        for block, part in zip(blocks, parts, strict=True):
            for i, crc in zip(block, part, strict=True):
                crcs[i] = crc
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupt waits for no more than is begun
    if time.monotonic() - clock > REMEMBERED:
        # a file may change once more within one tick of its clock: the newest are read again
        old = begun - 2 * 10**9
        rows = zip(names, (f.stamp for f in files), crcs, strict=True)
        kept = {
            n: f"{stamp} {crc}"
            for n, stamp, crc in rows
            if crc != UNREAD and max(map(int, stamp.split()[2:])) < old
        }
        with suppress(OSError, UserError), beside(keep) as temporary:  # the next look is slow again
            temporary.write_text(json.dumps(kept), encoding="utf-8")
            os.replace(temporary, keep)
    return crcs


def _cache(path: Path) -> Path:
    """Where the checksums of the files below `path` are kept."""
    own = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(own, "pddm-lite", f"{fingerprint(shown(path.resolve()))}.json")
