"""Pictures and trees of them, as directories and zips, for the tests of the readers."""

import io
import zipfile

import numpy as np
from PIL import Image


def picture(seed=0, fmt="PNG", size=(12, 9), mode="RGB", **options):
    """The bytes of a random picture."""
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(out, fmt, **options)
    return out.getvalue()


def contents(files):
    """name -> bytes; of names alone, pictures by their place in the list."""
    return files if isinstance(files, dict) else {n: picture(k) for k, n in enumerate(files)}


def unpacked(path, files):
    """`files` (name -> bytes, or names) below the directory `path`."""
    path.mkdir(parents=True, exist_ok=True)
    for name, content in contents(files).items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def zipped(path, files, **info):
    """`files` in the zip `path`, with what else its entries say."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        for name, content in contents(files).items():
            member = zipfile.ZipInfo(name)
            for key, value in info.items():
                setattr(member, key, value)
            z.writestr(member, content)
    return path


def write(kind, path, files):
    """`files` as a "directory", a "zip" with its folders, or a "zip of Windows"; its path."""
    if kind == "directory":
        return unpacked(path, files)
    files, path = contents(files), path.with_suffix(".zip")
    if kind == "zip of Windows":
        return zipped(path, {name.replace("/", "\\"): data for name, data in files.items()})
    folders = sorted({n.rsplit("/", 1)[0] + "/" for n in files if "/" in n})
    return zipped(path, dict.fromkeys(folders, b"") | files)
