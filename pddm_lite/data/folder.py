"""A class-per-folder tree of images, in a directory or in a zip file, read where it lies."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from ..errors import UserError
from .base import ImageSet, check_classes, fingerprint

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm")


def entries(path: Path) -> dict[str, int]:
    """Relative path -> size in bytes of every image file in a directory or a zip, litter left out.

    Raises:
        UserError: neither a directory nor a readable zip.
    """
    if path.is_dir():
        sizes = {}
        for folder, _, files in os.walk(path):  # pathlib takes minutes for a million images
            below = Path(folder).relative_to(path).as_posix()
            for file in files:
                name = file if below == "." else f"{below}/{file}"
                whole = os.path.join(folder, file)
                if _is_image(name) and os.path.isfile(whole):
                    sizes[name] = os.path.getsize(whole)
        return sizes
    try:
        with zipfile.ZipFile(path) as z:
            return {i.filename: i.file_size for i in z.infolist() if _is_image(i.filename)}
    except (zipfile.BadZipFile, OSError) as err:
        raise UserError(f"{path}: not a readable zip file ({err}); fetch it again.") from None


def _is_image(name: str) -> bool:
    parts = name.split("/")
    return not any(map(_is_litter, parts)) and parts[-1].lower().endswith(SUFFIXES)


def _is_litter(part: str) -> bool:
    return part.startswith(".") or part == "__MACOSX"  # ._x.jpg too


def _folders(path: Path, top: str) -> set[str]:
    """Names of the folders right below `top` ("" or "a/b/") in a directory or a zip."""
    if path.is_dir():
        with os.scandir(path / top) as found:
            names = {f.name for f in found if f.is_dir()}
    else:
        with zipfile.ZipFile(path) as z:
            inside = [n.removeprefix(top) for n in z.namelist() if n.startswith(top)]
        names = {n.partition("/")[0] for n in inside if "/" in n}
    return {n for n in names if not _is_litter(n)}


class Reader:
    """Image i in RGB from a directory or a zip; each process opens the zip for itself."""

    def __init__(self, path: Path, names: list[str]):
        self.path, self.names, self._zip, self._process = path, names, None, 0

    def __getstate__(self):
        return {"path": self.path, "names": self.names, "_zip": None, "_process": 0}

    def raw(self, name: str) -> bytes:
        """The file `name`; KeyError or OSError where there is none."""
        if self.path.is_dir():
            return (self.path / name).read_bytes()
        if self._process != os.getpid():  # a forked process shares the position in the open file
            self._zip, self._process = zipfile.ZipFile(self.path), os.getpid()
        return self._zip.read(name)

    def look(self, i: int) -> tuple[Image.Image, str, tuple[int, int]]:
        """Image i in RGB, with the mode and size (width, height) that its file has.

        Raises:
            UserError: no readable image; the message names the file.
        """
        name = self.names[i]
        try:
            image = _open(self.raw(name))
            mode, size = image.mode, image.size
            return to_rgb(image), mode, size
        except (
            Exception
        ) as err:  # zlib.error, BadZipFile, ValueError, EOFError, ...: all mean broken
            reason = (str(err) or type(err).__name__).replace(str(self.path), "").split("\n")[0]
            raise UserError(
                f"{self.path}/{name}: cannot be read as an image ({reason}); "
                "replace or remove that file."
            ) from None

    def __call__(self, i: int) -> Image.Image:
        return self.look(i)[0]


def _open(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data))
    except UnidentifiedImageError:  # its own message is the address of the buffer
        raise ValueError("its content is no image") from None
    except Image.DecompressionBombError:
        if not data.startswith(b"\xff\xd8"):
            raise ValueError(
                "too many pixels; only a JPEG this large can be read, at reduced scale"
            ) from None
        return JpegImageFile(io.BytesIO(data))  # not yet decoded; to_rgb does so at reduced scale


def to_rgb(image: Image.Image) -> Image.Image:
    """`image` in RGB, as a viewer shows it: 16 bits scaled to 8, transparency over white.

    A JPEG beyond Pillow's limit of pixels is decoded at 1/2 to 1/8 of its sides.
    """
    most = Image.MAX_IMAGE_PIXELS
    if most and image.width * image.height > 2 * most:
        image.draft("RGB", (1024, 1024))
    if image.mode == "I" or image.mode.startswith("I;16"):  # convert would clip them at 255
        grey = np.clip(np.asarray(image).astype(np.int64), 0, 65535) / 257
        return Image.fromarray(grey.round().astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:  # the colour below full transparency is arbitrary
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


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
        UserError: missing or empty path, one class only, none or too few images in a class, other
            counts than expected. Images are opened on reading, where a truncated one is named.
    """
    if not path.exists():
        raise UserError(f"{name}: {path} does not exist; give its folder with --data-root.")
    sizes = entries(path)
    if not sizes:
        raise UserError(
            f"{name}: no image below {path}; expected <class>/<image>.jpg (or .png ...)."
        )
    names = sorted(sizes)
    classes = [n.split("/")[:-1] for n in names]
    while all(c for c in classes) and len({c[0] for c in classes}) == 1 and len(classes[0]) > 1:
        classes = [c[1:] for c in classes]  # a common top folder is no class
    top = names[0][: names[0].rindex("/") - len("/".join(classes[0]))] if classes[0] else ""
    loose = next((n for n, c in zip(names, classes, strict=True) if not c), "")
    if loose and any(classes):
        raise UserError(f"{name}: {loose} lies beside the class folders; move it into one or away.")
    if empty := sorted(_folders(path, top) - {c[0] for c in classes if c}):
        raise UserError(
            f"{name}: class folder {top}{empty[0]} holds no image ({len(empty)} such); fill it or "
            "take it away."
        )
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
        read=Reader(path, names),
        fingerprint=fingerprint(*(f"{n}:{sizes[n]}" for n in names)),
        train_classes=train_classes or len(class_names) // 2,
    )
