"""A class-per-folder tree of images, in a directory or in a zip file, read where it lies."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import UserError
from .base import ImageSet, check_classes, fingerprint

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm")


def _entries(path: Path) -> dict[str, int]:
    """Relative path -> size in bytes of every image file below `path`."""
    if path.is_dir():
        files = ((p.relative_to(path).as_posix(), p) for p in path.rglob("*"))
        return {n: p.stat().st_size for n, p in files if _is_image(n) and p.is_file()}
    try:
        with zipfile.ZipFile(path) as z:
            return {i.filename: i.file_size for i in z.infolist() if _is_image(i.filename)}
    except (zipfile.BadZipFile, OSError) as err:
        raise UserError(f"{path}: not a readable zip file ({err}); fetch it again.") from None


def _is_image(name: str) -> bool:
    parts = name.split("/")
    hidden = any(p.startswith(".") or p == "__MACOSX" for p in parts)  # ._x.jpg too
    return not hidden and parts[-1].lower().endswith(SUFFIXES)


class _Reader:
    """Image i in RGB from a directory or a zip; each process opens the zip for itself."""

    def __init__(self, path: Path, names: list[str]):
        self.path, self.names, self._zip = path, names, None

    def __getstate__(self):
        return {"path": self.path, "names": self.names, "_zip": None}

    def __call__(self, i: int) -> Image.Image:
        name = self.names[i]
        try:
            if self.path.is_dir():
                data = (self.path / name).read_bytes()
            else:
                self._zip = self._zip or zipfile.ZipFile(self.path)
                data = self._zip.read(name)
            return Image.open(io.BytesIO(data)).convert("RGB")
        except (
            Exception
        ) as err:  # zlib.error, BadZipFile, ValueError, EOFError, ...: all mean broken
            reason = (str(err) or type(err).__name__).replace(str(self.path), "").split("\n")[0]
            raise UserError(
                f"{self.path}/{name}: cannot be read as an image ({reason}); "
                "replace or remove that file."
            ) from None


def open_folder(
    path: Path,
    name: str,
    title: str = "",
    train_classes: int = 0,
    images: int = 4,
    expect: tuple[int, int] | None = None,
) -> ImageSet:
    """The ImageSet of a tree `<class>/<image>`, deeper levels counting to the class.

    Args:
        path: a directory or a .zip with the class folders at its top or below one common folder.
        title: how figures call it; the name where empty.
        train_classes: the first that many classes (sorted by name) train; 0: half of them.
        images: least images a class (the sampler's draw).
        expect: (classes, images) that must be found.

    Raises:
        UserError: missing or empty path, one class only, too few images in a class, other counts
            than expected. Images are opened on reading, where a truncated one is named.
    """
    if not path.exists():
        raise UserError(f"{name}: {path} does not exist; give its folder with --data-root.")
    entries = _entries(path)
    if not entries:
        raise UserError(
            f"{name}: no image below {path}; expected <class>/<image>.jpg (or .png ...)."
        )
    names = sorted(entries)
    classes = [n.split("/")[:-1] for n in names]
    while all(c for c in classes) and len({c[0] for c in classes}) == 1 and len(classes[0]) > 1:
        classes = [c[1:] for c in classes]  # a common top folder is no class
    loose = next((n for n, c in zip(names, classes, strict=True) if not c), "")
    if loose and any(classes):
        raise UserError(f"{name}: {loose} lies beside the class folders; move it into one or away.")
    class_of = ["/".join(c) for c in classes]
    class_names = tuple(sorted(set(class_of)))
    if expect and (len(class_names), len(names)) != expect:
        raise UserError(
            f"{name}: {path} holds {len(class_names)} classes and {len(names)} images, but "
            f"{expect[0]} and {expect[1]} belong there; fetch it again."
        )
    index = {c: k for k, c in enumerate(class_names)}
    labels = np.array([index[c] for c in class_of], dtype=np.int64)
    check_classes(name, labels, class_names, images)
    return ImageSet(
        name=name,
        title=title or name,
        labels=labels,
        class_names=class_names,
        read=_Reader(path, names),
        fingerprint=fingerprint(*(f"{n}:{entries[n]}" for n in names)),
        train_classes=train_classes or len(class_names) // 2,
    )
