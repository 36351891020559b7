"""One way to open a picture: `open_image`, in RGB as a viewer shows it, whatever its file holds."""

from __future__ import annotations

import io
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from ..store.errors import UserError
from .base import shown

VERSION = 1  # of the pixels that a file's bytes become: raise it when they change
# What Pillow opens but cannot decode by itself (EPS calls Ghostscript, which runs what it reads)
NOT_DECODED = {"BUFR", "GRIB", "HDF5", "WMF", "MPEG", "EPS"}
PHOTOMETRIC, BITS, SAMPLES = 262, 258, 339  # tags of TIFF; photometric 0: white is zero


@lru_cache(maxsize=1)
def _kinds() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(formats, suffixes) that can be read here, HEIC and AVIF with their plugins."""
    Image.init()
    with suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    with suppress(ImportError):
        import pillow_avif  # noqa: F401  registers itself, for a Pillow without AVIF
    formats = tuple(f for f in Image.ID if f not in NOT_DECODED)
    known = Image.registered_extensions().items()
    return formats, tuple(sorted(s for s, f in known if f in formats))


def suffixes() -> tuple[str, ...]:
    """Suffixes, in lower case, of the files that can be read here: ".jpg", ".png", ..."""
    return _kinds()[1]


def open_image(source: str | Path | bytes | BinaryIO | Image.Image) -> Image.Image:
    """A picture in RGB, upright and with the pixels that a viewer shows.

    It is turned as its EXIF says. Palettes, CMYK and LAB become RGB; what is transparent lies over
    white; 16 bits are scaled to 8. Of 32 bits, whole or floating, the range of the values tells the
    scale: 0 to 1 (floating alone), 255 or 65,535, or all that whole numbers of the type reach.
    Colour profiles are not applied. Of several pages or frames the first is taken. A JPEG beyond
    Pillow's limit of pixels is decoded at 1/2 to 1/8 of its sides.

    Args:
        source: a path, the bytes of a file, an open binary file, or a picture of Pillow's.

    Raises:
        UserError: no such file, no picture, a broken one, or values that no viewer could show.
    """
    try:
        return to_rgb(source if isinstance(source, Image.Image) else lazy(source))
    except Exception as err:  # OSError, ValueError, zlib.error, ...: all mean that it is no picture
        name = source if isinstance(source, str | Path) else "picture"
        raise unreadable(name, err) from None


def unreadable(name: str | Path, err: Exception) -> UserError:
    """The one line about a picture called `name` that could not be read."""
    reason = err.strerror if isinstance(err, OSError) and err.strerror else str(err)
    reason = shown((reason or type(err).__name__).split("\n")[0])
    cure = "replace or remove that file"
    if isinstance(err, PermissionError):
        cure = "give yourself the right to read that file"
    return UserError(f"{shown(name)}: cannot be read as an image ({reason}); {cure}.")


def lazy(source: str | Path | bytes | BinaryIO) -> Image.Image:
    """The picture with its mode and size known and its pixels not yet decoded."""
    if isinstance(source, str | Path):
        source = Path(source).expanduser().read_bytes()
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        return Image.open(file, formats=_kinds()[0])
    except UnidentifiedImageError:  # its own message is the address of the buffer
        raise ValueError("its content is no image") from None
    except Image.DecompressionBombError:
        file.seek(0)
        if file.read(2) != b"\xff\xd8":
            raise ValueError("too many pixels; only JPEG is read at reduced scale") from None
        file.seek(0)
        return JpegImageFile(file)  # to_rgb decodes it at reduced scale


def to_rgb(image: Image.Image) -> Image.Image:
    """`image` in RGB as `open_image` promises; ValueError and others where it cannot be."""
    most = Image.MAX_IMAGE_PIXELS
    if most and image.width * image.height > 2 * most:
        image.draft("RGB", (1024, 1024))
    image.load()
    upright = image
    with suppress(Exception):  # a viewer shows a picture whose EXIF is broken as it lies
        upright = ImageOps.exif_transpose(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _grey(image, upright).convert("RGB")
    if image.mode == "La":
        upright = upright.convert("LA")
    if upright.has_transparency_data:  # the colour below full transparency is arbitrary
        white = Image.new("RGBA", upright.size, "white")
        return Image.alpha_composite(white, upright.convert("RGBA")).convert("RGB")
    return upright.convert("RGB")


def _grey(image: Image.Image, upright: Image.Image) -> Image.Image:
    """8 bits a pixel of `upright`, which has 16 or 32; `image` is the same as its file has it."""
    tags = getattr(image, "tag_v2", {})
    bits, kind = (tags.get(tag, (0,))[0] for tag in (BITS, SAMPLES))
    x = np.asarray(upright)
    if image.mode == "I" and bits == 32 and kind in (0, 1):  # Pillow has no unsigned 32 bits
        x = x.view(np.uint32)
    x = x.astype(np.float64)
    if not np.isfinite(x).all():
        raise ValueError("not all of its values are finite")
    if image.mode.startswith("I;16"):
        top = 2 ** (bits or 16) - 1
    elif image.mode == "I" and image.format in ("PNG", "PPM"):
        top = 65535
    else:
        most = 2 ** ((bits or 32) - (kind not in (0, 1) or not bits)) - 1
        tops = (
            [t for t in (255, 65535, most) if t <= most] if image.mode == "I" else [1, 255, 65535]
        )
        top = _top(x, tops, slack=0.0 if image.mode == "I" else 0.1)
    x = np.clip(x * (255 / top), 0, 255).round().astype(np.uint8)
    return Image.fromarray(255 - x if tags.get(PHOTOMETRIC) == 0 else x)


def _top(x: np.ndarray, tops: list[int], slack: float) -> int:
    """Which of `tops` is white: the least that no value exceeds, by more than a resampling does."""
    low, high = x.min(), x.max()
    for top in tops:
        # what would be all but black belongs to a scale that is not known
        if high <= top * (1 + slack) and (top == tops[0] or high >= top / 16):
            if low >= -slack * high:
                return top
    ranges = ", ".join(f"{t:,}" for t in tops)
    raise ValueError(f"its values go from {low:g} to {high:g}, but pictures from 0 to {ranges}")
