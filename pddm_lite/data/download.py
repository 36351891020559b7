"""Fetch a data set's archives, check and unpack them; a download goes on where it was stopped.

torchvision.datasets.utils and torch.hub fetch, too, but begin anew after every break, which at a
data set's size is what breaks; so the transfer is our own.
"""

from __future__ import annotations

import gzip
import http.client
import os
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from ..store.errors import UserError, unknown
from ..store.files import digest
from ..store.progress import progress
from .real import REAL, Archive, locate

MB = 1 << 20


class Failed(UserError):
    """A fetch, a checksum or an archive went wrong; the message says what to do by hand."""


def download(
    name: str, root: str | Path, say: Callable[[str], None] = print, bar: bool = True
) -> Path:
    """Bring a set of REAL to `root`/`name`/ and return where it lies; nothing if it is there.

    An archive that lies in `root` already (fetched by hand, say) is checked and unpacked; a half
    one, with .part to its name, is gone on with. Archives are kept.

    Raises:
        UserError: unknown name, no root, a set that is to be had by hand only.
        Failed: see there.
    """
    if name not in REAL:
        raise unknown("data set to download", name, REAL)
    if not str(root):
        raise UserError(f"say where to put {name} by --data-root.")
    spec, root = REAL[name], Path(root).expanduser()
    try:
        path, _ = locate(name, root)
        if path.is_dir():
            say(f"{name} is there already, in {path}; verify tells whether it is whole")
            return path
    except UserError:
        pass
    if not spec.archives:
        raise UserError(f"{name} cannot be downloaded. To get it: {spec.get}; put it in {root}.")
    target = root / name
    if target.exists():
        raise Failed(f"{target} is in the way and does not hold {name}; move it away.")
    try:
        root.mkdir(parents=True, exist_ok=True)
        by_hand = [a for a in spec.archives if not a.url and not (root / a.file).is_file()]
        if by_hand:
            what = "; ".join(f"{a.file} (md5 {a.md5}) as {root / a.file}" for a in by_hand)
            raise Failed(f"{name} has no working link; fetch by hand {what}, then run this again.")
        for archive in spec.archives:
            fetch(archive, root, say, bar)
        unpack([root / a.file for a in spec.archives], target, bar)
    except OSError as err:  # disk full, no right to write
        raise Failed(f"{name}: {root} cannot be written ({err.strerror or err}).") from None
    say(f"{name} is in {target}; the archive beside it is no longer needed")
    return target


def fetch(
    archive: Archive, root: Path, say: Callable[[str], None] = print, bar: bool = True
) -> None:
    """Bring an archive into `root`, going on with a .part, and hold it to its md5.

    Raises:
        Failed: no answer, a transfer that broke off (the .part stays), a wrong md5 (a file that was
            there stays, a fetched one is kept as .part.bad).
    """
    final, part = root / archive.file, root / f"{archive.file}.part"
    hand = f"or fetch {archive.file} (md5 {archive.md5}) by hand and put it at {final}"
    if final.is_file():
        if (found := digest(final, "md5")) != archive.md5:
            raise Failed(
                f"{final} has md5 {found}, but {archive.md5} is right; move it away, then run this "
                "again."
            )
        say(f"{final}: md5 is right")
        return
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "pddm-lite"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        total = _transfer(urllib.request.Request(archive.url, headers=headers), part, have, bar)
    except (OSError, http.client.HTTPException) as err:  # URLError and timeouts are OSErrors
        reason = str(err).split("\n")[0] or type(err).__name__
        raise Failed(f"{archive.url} cannot be fetched ({reason}); try again, {hand}.") from None
    if total and (have := part.stat().st_size) < total:
        raise Failed(
            f"{archive.url} broke off after {have:,} of {total:,} bytes; run this again to go on, "
            f"{hand}."
        )
    if (found := digest(part, "md5")) != archive.md5:
        bad = part.with_name(part.name + ".bad")
        os.replace(part, bad)
        raise Failed(
            f"{archive.url} has md5 {found}, but {archive.md5} is right; kept as {bad}; try again, "
            f"{hand}."
        )
    os.replace(part, final)
    say(f"{final}: fetched, md5 is right")


def _transfer(request: urllib.request.Request, part: Path, have: int, bar: bool) -> int:
    """Append what is missing to `part`; returns the whole's size in bytes, 0 where not told."""
    try:
        response = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as err:
        if err.code == 416 and have:  # nothing beyond what is there: its md5 decides
            return 0
        raise
    with response:
        if response.status != 206:
            have = 0  # the server (or ftp) starts from the beginning, so we do too
        length = int(response.headers.get("Content-Length") or 0)
        chunks = iter(lambda: response.read(MB), b"")
        what = part.name.removesuffix(".part")
        with open(part, "ab" if have else "wb") as f:
            for chunk in progress(chunks, what, bar, total=length // MB + 1, unit="MB"):
                f.write(chunk)
        return have + length if length else 0


# ------------------------------------------------------------------------------- unpacking


def unpack(archives: list[Path], target: Path, bar: bool = True) -> None:
    """Unpack zips and tars, and copy other files, into the new folder `target`: all or nothing.

    Nothing lands outside: zipfile keeps a member inside the folder whatever its name is; of tars,
    whose module does so from Python 3.11.4 only (filter="data"), no other member is taken, and no
    link or device.

    Raises:
        Failed: a broken archive, or a tar with such a member.
    """
    beside = {"dir": target.parent, "prefix": ".tmp-", "ignore_cleanup_errors": True}
    with tempfile.TemporaryDirectory(**beside) as temporary:
        for path in archives:
            try:
                _unpack(path, Path(temporary), bar)
            except (
                *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError),
                RuntimeError,  # encrypted, or compressed in a way that zipfile does not know
            ) as err:
                reason = str(err).split("\n")[0]
                raise Failed(f"{path} cannot be unpacked ({reason}); fetch it again.") from None
        os.chmod(temporary, 0o755)
        os.rename(temporary, target)


def _unpack(path: Path, folder: Path, bar: bool) -> None:
    if path.suffix == ".zip":
        archive = zipfile.ZipFile(path)
        members = archive.infolist()
    elif path.suffix in (".tgz", ".tar") or path.name.endswith(".tar.gz"):
        archive = tarfile.open(path)
        members = archive.getmembers()
        for m in members:
            inside = Path(os.path.normpath(folder / m.name)).is_relative_to(folder)
            if not inside or not (m.isfile() or m.isdir()):
                raise Failed(f"{path}: member {m.name!r} is a link or outside; nothing unpacked.")
    else:
        shutil.copy2(path, folder / path.name)
        return
    with archive:
        filtered = isinstance(archive, tarfile.TarFile) and hasattr(tarfile, "data_filter")
        how = {"filter": "data"} if filtered else {}
        for member in progress(members, f"unpack {path.name}", bar):
            archive.extract(member, folder, **how)
