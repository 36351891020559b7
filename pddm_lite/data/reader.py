"""Images out of a directory or a zip, one at a time."""

from __future__ import annotations

import os
import posixpath
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from ..store.errors import UserError, shut
from . import pictures
from .base import shown


def zip_members(z: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Name -> member of a zip; names with "/" and without "./", whatever made it; "a/" a folder.

    Windows' own tools write "\\", in which other systems see a letter of the name.
    """
    infos = z.infolist()
    back = not any("/" in i.filename for i in infos)
    found = {}
    for i in infos:
        name = i.filename.replace("\\", "/") if back or i.create_system == 0 else i.filename
        name = shown(posixpath.normpath(name).lstrip("/")) + "/" * name.endswith("/")
        found[name] = i
    return found


def open_zip(path: Path) -> zipfile.ZipFile:
    """The zip at `path`; UserError where there is none that can be read."""
    try:
        return zipfile.ZipFile(path)
    except PermissionError as err:
        raise shut(err) from None
    except (zipfile.BadZipFile, OSError) as err:
        reason = shown(str(err).split("\n")[0])
        why = f"not a readable zip file ({reason}); fetch it again."
        raise UserError(f"{shown(path)}: {why}") from None


class Reader:
    """Image i in RGB from a directory or a zip; each process opens the zip for itself.

    Args:
        path: the directory or zip.
        names: the images, as people read them.
        raw: name -> what the system calls it, where that differs in a directory.
    """

    def __init__(self, path: Path, names: list[str], raw: dict[str, str] | None = None):
        self.path, self.names, self.odd, self._process = path, names, raw or {}, 0
        self._zip, self._members = None, {}

    def __getstate__(self):
        return self.__dict__ | {"_zip": None, "_members": {}, "_process": 0}

    def open(self, name: str) -> BinaryIO:
        """The file `name`; KeyError or OSError where there is none."""
        if self.path.is_dir():
            return open(self.path / self.odd.get(name, name), "rb")
        if self._process != os.getpid():  # a forked process shares the position in the open file
            z = open_zip(self.path)
            self._zip, self._members = z, zip_members(z)
            self._process = os.getpid()  # last: other threads may go on from here
        return self._zip.open(self._members[name])

    def raw(self, name: str) -> bytes:
        """The bytes of the file `name`; KeyError or OSError where there is none."""
        with self.open(name) as f:
            return f.read()

    def size(self, i: int) -> tuple[int, int]:
        """(width, height) of image i as its file has it, in pixels, without decoding it."""
        with self._named(i), self.open(self.names[i]) as f:
            return pictures.lazy(f).size

    def look(self, i: int) -> tuple[Image.Image, str, tuple[int, int]]:
        """Image i in RGB, with the mode and size (width, height) that its file has.

        Raises:
            UserError: no readable image; the message names the file.
        """
        with self._named(i):
            image = pictures.lazy(self.raw(self.names[i]))
            mode, size = image.mode, image.size
            return pictures.to_rgb(image), mode, size

    @contextmanager
    def _named(self, i: int) -> Iterator[None]:
        try:
            yield
        except Exception as err:  # zlib.error, BadZipFile, ValueError, EOFError, ...: all broken
            raise pictures.unreadable(f"{self.path}/{self.names[i]}", err) from None

    def __call__(self, i: int) -> Image.Image:
        return self.look(i)[0]
