"""Images as tensors, and a frozen backbone's features, computed once a data set and kept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..data.base import ImageSet, fingerprint
from ..store.files import write_atomic
from ..store.memory import cores
from ..store.progress import progress
from .backbones import Backbone, Input

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
    resize, how = net_input.resize, net_input.interpolation
    path = cache / _file_name("pixels", data.name, resize, how, data.fingerprint)
    if not path.exists():
        chunks = np.array_split(np.arange(len(data)), -(-len(data) // 64))

        def write(f) -> None:
            shape = (len(data), resize, resize, 3)
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(f, header)
            with ThreadPoolExecutor(cores()) as pool:  # PIL decodes outside the GIL
                decoded = pool.map(lambda idx: pixels(data, idx, resize, how), chunks)
                for part in progress(decoded, f"reading {data.title}", bar, total=len(chunks)):
                    f.write(part)

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


def frozen_features(
    data: ImageSet, backbone: Backbone, cache: Path, device: str = "cpu", bar: bool = True
) -> np.ndarray:
    """The backbone's features of every image (centre crop): float32 [N, features].

    Kept under `cache` in float16 and rounded so the first time too: the same numbers twice.
    """
    state = backbone.net.state_dict()
    key = fingerprint(
        data.fingerprint,
        backbone.name,
        backbone.input,
        *(state[k].numpy().tobytes() for k in sorted(state)),
    )
    path = cache / _file_name(data.name, backbone.name, key)
    if not path.exists():
        net = backbone.net.to(device)
        size, n = 64, len(data)
        out = np.empty((n, backbone.features), dtype=np.float16)
        with torch.no_grad():
            for a in progress(range(0, n, size), f"features of {data.title}", bar):
                idx, how = np.arange(a, min(a + size, n)), backbone.input.interpolation
                images = pixels(data, idx, backbone.input.resize, how)
                x = centre_crop(torch.from_numpy(images).to(device), backbone.input.crop)
                out[a : a + size] = net(normalise(x, backbone.input)).cpu().numpy()
        backbone.net.cpu()
        write_atomic(path, lambda f: np.save(f, out))
    return np.load(path, allow_pickle=False).astype(np.float32)
