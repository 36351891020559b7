"""Images as tensors, and a frozen backbone's features, computed once a data set and kept."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..data.base import ImageSet, fingerprint
from ..store.cores import cores
from ..store.files import alone, write_atomic
from ..store.progress import progress
from . import latents
from .backbones import Backbone, Input

CHUNK = 1024  # images that are kept together while features are made: what a kill costs
BATCH = 64  # images at a time through the network
RESAMPLE = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def pixels(
    data: ImageSet, idx: np.ndarray, resize: int, interpolation: str = "bilinear"
) -> np.ndarray:
    """Images idx of `data`, warped to resize x resize: uint8 [n, resize, resize, 3]."""
    out = np.empty((len(idx), resize, resize, 3), dtype=np.uint8)
    for row, i in enumerate(idx):
        image = data.read(int(i))
        if image.size != (resize, resize):
            image = image.resize((resize, resize), RESAMPLE[interpolation])
        out[row] = np.asarray(image)
    return out


def stored_pixels(data: ImageSet, net_input: Input, cache: Path, bar: bool = True) -> np.ndarray:
    """All images of `data` warped to resize x resize: uint8 [N, resize, resize, 3], on disk.

    Decoded once, by all cores, into one file under `cache` that is mapped into memory: runs, seeds
    and processes share it, and a set larger than the memory is read from disk as it is needed.
    """
    size, how = net_input.resize, net_input.interpolation
    path = cache / _file_name("pixels", data.name, size, how, data.fingerprint)

    def write(f) -> None:
        header = {"descr": "|u1", "fortran_order": False, "shape": (len(data), size, size, 3)}
        np.lib.format.write_array_header_1_0(f, header)
        chunks = np.array_split(np.arange(len(data)), -(-len(data) // BATCH))
        with ThreadPoolExecutor(cores()) as pool:  # PIL decodes outside the GIL
            decoded = pool.map(lambda idx: pixels(data, idx, size, how), chunks)
            for part in progress(decoded, f"reading {data.title}", bar, total=len(chunks)):
                f.write(part)

    if not path.exists():
        with alone(path.parent / f".lock-{path.stem}"):  # another process may be at it
            if not path.exists():
                write_atomic(path, write)
    return np.load(path, mmap_mode="c", allow_pickle=False)  # "c": never written back


def normalise(images: Tensor, net_input: Input) -> Tensor:
    """uint8 [B, H, W, 3] -> the network's float32 [B, 3, H, W]."""
    x = images.permute(0, 3, 1, 2).float() / 255
    mean = x.new_tensor(net_input.mean)[:, None, None]
    return (x - mean) / x.new_tensor(net_input.std)[:, None, None]


def _file_name(*parts: object) -> str:
    return "-".join(str(p).replace(":", "-") for p in parts) + ".npy"


def centre_crop(images: Tensor, crop: int) -> Tensor:
    """The middle crop x crop of [B, H, W, 3]."""
    top = (images.shape[1] - crop) // 2
    return images[:, top : top + crop, top : top + crop]


def features_of(
    data: ImageSet, backbone: Backbone, cache: str | Path, device: str = "cpu", bar: bool = True
) -> np.ndarray:
    """The backbone's features of every image (centre crop): float32 [N, features], in memory.

    Computed once and kept under `cache` as one file in float16, rounded so the first time too: the
    same numbers twice. Until all are there, each CHUNK of images is a file of its own: what stops
    the work costs the chunk it was at, and any processes (of torchrun, of several batches) that
    ask at the same time share the chunks. Those of a mix are its parts' in turn: what was computed
    of a part serves every mix. Of the network `latents` see there.

    Raises:
        CannotWrite: the cache cannot be written, or its disk is full.
    """
    if backbone.name == latents.NAME:
        return latents.perfect_eye(data)
    if data.parts:
        return np.concatenate([features_of(p, backbone, cache, device, bar) for p in data.parts])
    state = backbone.net.state_dict()
    weights = (state[k].numpy().tobytes() for k in sorted(state))
    key = fingerprint(data.fingerprint, backbone.name, backbone.input, *weights)
    path = Path(cache) / _file_name(data.name, backbone.name, key)
    if not path.exists():
        _extract(data, backbone, path, device, bar)
    return np.load(path, allow_pickle=False).astype(np.float32)


def _extract(data: ImageSet, backbone: Backbone, path: Path, device: str, bar: bool) -> None:
    parts, n = path.with_suffix(".parts"), len(data)
    chunks = {parts / f"{a}.npy": range(a, min(a + CHUNK, n)) for a in range(0, n, CHUNK)}
    net, there = backbone.net.to(device), sum(len(chunks[c]) for c in chunks if c.exists())
    with (
        ThreadPoolExecutor(cores()) as pool,  # PIL decodes outside the GIL
        progress(range(n), f"features of {data.title}", bar, initial=there) as told,
        torch.no_grad(),
    ):

        def made(rows: range) -> Iterator[np.ndarray]:
            one = partial(_decode, data, backbone.input)
            with closing(pool.map(one, rows)) as images:  # stopped: the rest is not decoded
                while batch := list(islice(images, BATCH)):
                    x = centre_crop(torch.from_numpy(np.stack(batch)), backbone.input.crop)
                    x = normalise(x.to(device), backbone.input)
                    yield net(x).cpu().numpy().astype(np.float16)
                    told.update(len(batch))

        for wait in (False, True):  # first what nobody is at, then what another left undone
            for chunk, rows in chunks.items():
                if chunk.exists() or path.exists():
                    continue
                with alone(path.parent / f".lock-{path.stem}-{chunk.stem}", wait) as held:
                    if held and not chunk.exists() and not path.exists():
                        out = np.concatenate(list(made(rows)))
                        write_atomic(chunk, lambda f, out=out: np.save(f, out))
    backbone.net.cpu()
    with alone(path.parent / f".lock-{path.stem}"):
        if not path.exists():
            whole = np.concatenate([np.load(c, allow_pickle=False) for c in chunks])
            write_atomic(path, lambda f: np.save(f, whole))
            for left in parts.iterdir():  # and what a kill left half-written
                left.unlink(missing_ok=True)
            parts.rmdir()


def _decode(data: ImageSet, net_input: Input, i: int) -> np.ndarray:
    return pixels(data, np.array([i]), net_input.resize, net_input.interpolation)[0]
