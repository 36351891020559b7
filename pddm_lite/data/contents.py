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

from ..store.cores import cores
from ..store.errors import UserError
from ..store.files import write_text
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
    crcs = {}
    for name, file in zip(names, files, strict=True):
        stamp, _, crc = str(known.get(name, "")).rpartition(" ")
        if stamp == file.stamp:
            crcs[name] = int(crc)
    missing = [k for k, name in enumerate(names) if name not in crcs]
    if not missing:
        return [crcs[name] for name in names]
    begun, clock = time.time_ns(), time.monotonic()
    show = sys.stdout.isatty() or "PDDM_STATUS" in os.environ
    said = f"first look at {shown(path.name)}"
    blocks = [missing[a : a + 256] for a in range(0, len(missing), 256)]
    pool = ThreadPoolExecutor(cores())
    try:
        read = pool.map(lambda block: [_crc(path / files[k].raw) for k in block], blocks)
        for block, part in zip(
            blocks, progress(read, said, show, total=len(blocks), delay=2), strict=True
        ):
            crcs |= {names[k]: crc for k, crc in zip(block, part, strict=True)}
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupt waits for no more than is begun
    if time.monotonic() - clock > REMEMBERED:
        # a file may change once more within one tick of its clock: the newest are read again
        stamps = {n: f.stamp for n, f in zip(names, files, strict=True) if crcs[n] != UNREAD}
        old = {n: s for n, s in stamps.items() if max(map(int, s.split()[2:])) < begun - 2 * 10**9}
        text = json.dumps({n: f"{s} {crcs[n]}" for n, s in old.items()})
        with suppress(OSError, UserError):  # the next look is slow again
            write_text(keep, text)
    return [crcs[name] for name in names]


def _cache(path: Path) -> Path:
    """Where the checksums of the files below `path` are kept."""
    own = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(own, "pddm-lite", f"{fingerprint(shown(path.resolve()))}.json")
