"""Checksums of cached features and decoded pictures, which training reads without asking."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ..store.files import digest, write_text


def _of(folder: Path, names: Iterable[str]) -> Iterator[tuple[Path, Path]]:
    """(file, its checksum's file) of everything cached of these data sets."""
    names = [name.replace(":", "-") for name in names]
    # "+" begins the name of further classes of the same world
    starts = tuple(f"{a}{name}{b}" for name in names for a in ("", "pixels-") for b in "-+")
    for path in sorted(folder.glob("*.npy")):
        if path.name.startswith(starts):
            yield path, path.with_suffix(".sha256")


def seal(folder: Path, names: Iterable[str]) -> None:
    """Write the checksum beside every file of these data sets that has none."""
    for path, seal in _of(folder, names):
        if not seal.exists():
            write_text(seal, digest(path))


def drop_harmed(folder: Path, names: Iterable[str]) -> list[str]:
    """Remove the files that are not what their checksum says; their names."""
    harmed = []
    for path, seal in _of(folder, names):
        if seal.exists() and seal.read_text(encoding="utf-8") != digest(path):
            path.unlink(missing_ok=True)
            seal.unlink(missing_ok=True)
            harmed.append(path.name)
    return harmed
