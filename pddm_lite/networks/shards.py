"""A frozen backbone's features at ImageNet's size: in shards on disk, made once, read as a stream.

What data.features keeps in one file for 10,000 images this keeps in many, so that extraction can
stop at any moment, go on where it was, and be shared by several processes. A folder holds

    manifest.json    what the features are of: network, weights, input, data, shape, shard size
    00000.npy ...    rows of float16, shard by shard; row i is image i of the data set
    00000.sha256 ... the checksum of each, written after it: a shard without one is made again

    extract(data, backbone, folder);  x = Shards(folder);  x.shape, x[rows]

`features_of` is what the rest of the kit calls: one file or shards, as the data set's size asks.
Under torchrun, or any launcher that sets rank and world, process r makes shards r, r + world, ...
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from ..data.base import ImageSet, fingerprint
from ..store import distributed
from ..store.errors import UserError
from ..store.files import write_atomic, write_text
from ..store.memory import cores
from ..store.progress import progress
from . import latents
from .backbones import Backbone
from .features import centre_crop, frozen_features, normalise, pixels

LARGE = 100_000  # more images than this are kept in shards
SIZE = 8192  # images a shard: 64 MB at 4,096 numbers an image
BATCH = 64  # images at a time through the network, as in data.features


def describe(data: ImageSet, backbone: Backbone, size: int = SIZE) -> dict:
    """The manifest of `data`'s features; all of it but the weights' name decides the numbers."""
    state = backbone.net.state_dict()
    weights = (state[k].detach().cpu().numpy().tobytes() for k in sorted(state))
    manifest = {
        "network": backbone.name,
        "weights": backbone.weights,
        "weights_hash": fingerprint(*weights),
        "input": asdict(backbone.input),  # resize, crop, mean, std, interpolation
        "data": data.name,
        "data_hash": data.fingerprint,
        "images": len(data),
        "features": backbone.features,
        "shard": size,
    }
    return json.loads(json.dumps(manifest))  # tuples as lists: as it will be read


def extract(
    data: ImageSet,
    backbone: Backbone,
    folder: str | Path,
    device: str = "cpu",
    size: int = SIZE,
    rank: int | None = None,
    world: int | None = None,
    bar: bool = True,
) -> int:
    """Make this process's shards of the features of `data` that are not there yet.

    Whatever stops it, nothing that was finished is lost: the next call makes the missing shards,
    and any that was cut short or changed since. Memory: one shard and a few batches of images.

    Args:
        folder: one for each network and data set.
        size: images a shard.
        rank, world: this process of how many; those of torchrun if left out.

    Returns:
        How many shards this call made.

    Raises:
        UserError: the folder holds other features (another network, other weights or data), or
            cannot be written.
    """
    folder, manifest = Path(folder), describe(data, backbone, size)
    rank = distributed.rank() if rank is None else rank
    world = distributed.world() if world is None else world
    if (folder / "manifest.json").exists():
        _check_same(folder, _manifest(folder), manifest)
    else:
        write_text(folder / "manifest.json", json.dumps(manifest, indent=1) + "\n")
    mine = range(rank, _shards(manifest), world)
    missing = [s for s in mine if _problem(folder, s, manifest)]
    if not missing:
        return 0
    net = backbone.net.to(device)
    with ThreadPoolExecutor(cores()) as pool:  # PIL decodes outside the GIL
        for s in progress(missing, f"features of {data.title}", bar):
            out = np.empty(_shape(s, manifest), dtype=np.float16)
            first, row = s * size, 0
            batches = np.split(np.arange(first, first + len(out)), range(BATCH, len(out), BATCH))
            for images in _ahead(pool, lambda i: _decode(data, i, backbone), batches):
                x = centre_crop(torch.from_numpy(images).to(device), backbone.input.crop)
                with torch.no_grad():
                    f = net(normalise(x, backbone.input)).cpu().numpy()
                out[row : row + len(f)] = f
                row += len(f)
            (folder / f"{s:05d}.sha256").unlink(missing_ok=True)  # of what it replaces
            write_atomic(folder / f"{s:05d}.npy", lambda f, out=out: np.save(f, out))
            write_text(folder / f"{s:05d}.sha256", _digest(folder / f"{s:05d}.npy"))
    backbone.net.cpu()
    if not _unfinished(folder, manifest):  # nobody is writing: what a kill left half-written goes
        for left in folder.glob(".tmp-*"):
            left.unlink(missing_ok=True)
    return len(missing)


def features_of(
    data: ImageSet, backbone: Backbone, cache: Path, device: str = "cpu", bar: bool = True
) -> np.ndarray:
    """The backbone's features of every image (centre crop): float32 [N, features], in memory.

    Computed once and kept under `cache`: in one file, or, of more than LARGE images, in shards that
    all processes of torchrun make together and of which a kill loses the one in work. Those of a
    mix are its parts' in turn: what was computed of a part serves every mix.
    """
    if backbone.name == latents.NAME:
        return latents.perfect_eye(data)
    if data.parts:
        parts = [features_of(p, backbone, cache, device, bar) for p in data.parts]
        return np.concatenate(parts)
    if len(data) <= LARGE:
        with distributed.main_first():  # the others find what it cached
            return frozen_features(data, backbone, cache, device, bar)
    manifest = describe(data, backbone, SIZE)
    own = [manifest[k] for k in manifest if k != "weights"]  # a file of weights may be renamed
    folder = Path(cache) / f"{data.name}-{backbone.name}-{fingerprint(*own)}".replace(":", "-")
    extract(data, backbone, folder, device, SIZE, bar=bar)
    distributed.wait()
    return Shards(folder, manifest)[:]


def _decode(data: ImageSet, idx: np.ndarray, backbone: Backbone) -> np.ndarray:
    return pixels(data, idx, backbone.input.resize, backbone.input.interpolation)


def _ahead(pool: ThreadPoolExecutor, call, items: Iterable) -> Iterator:
    """call(item) in order, at most one a thread in advance: pool.map would decode a whole shard."""
    waiting: deque = deque()
    try:
        for item in items:
            waiting.append(pool.submit(call, item))
            if len(waiting) > cores():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:  # stopped or failed: what was not begun need not be
        for future in waiting:
            future.cancel()


class Shards:
    """Features [N, d] in a folder made by `extract`, read where they are asked for.

    x.shape is (N, d); x[rows], for a slice or an array of indices, are float32 [n, d]. Only the
    rows asked for take memory; sorted indices read the disk in order. A shard is checked against
    its checksum when it is first touched.

    Args:
        folder: of `extract`.
        manifest: `describe(data, backbone, size)`, to be sure whose features these are.

    Raises:
        UserError: no manifest; other features than `manifest` says; a shard missing, or (on
            reading) changed.
    """

    def __init__(self, folder: str | Path, manifest: dict | None = None):
        self.folder = Path(folder)
        self.manifest = _manifest(self.folder)
        if manifest is not None:
            _check_same(self.folder, self.manifest, manifest)
        self.shape = (self.manifest["images"], self.manifest["features"])
        missing = _unfinished(self.folder, self.manifest)
        if missing:
            raise UserError(
                f"{self.folder}: {len(missing)} of {_shards(self.manifest)} shards of features are "
                f"not made yet, from {missing[0]:05d} on; run the extraction again, it goes on."
            )
        self._whole: set[int] = set()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        rows = np.asarray(rows)
        if len(rows) and not (0 <= rows.min() and rows.max() < len(self)):
            raise IndexError(f"rows of 0..{len(self) - 1}, not {rows.min()}..{rows.max()}")
        out = np.empty((len(rows), self.shape[1]), dtype=np.float32)
        shard = rows // self.manifest["shard"]
        for s in np.unique(shard).tolist():
            here = shard == s
            out[here] = self._open(s)[rows[here] - s * self.manifest["shard"]]
        return out

    def batches(self, size: int = 1024) -> Iterator[tuple[slice, np.ndarray]]:
        """(rows, their features [<= size, d]) from the first image to the last."""
        for a in range(0, len(self), size):
            rows = slice(a, min(a + size, len(self)))
            yield rows, self[rows]

    def _open(self, s: int) -> np.ndarray:
        if s not in self._whole:
            if problem := _problem(self.folder, s, self.manifest):
                raise UserError(
                    f"{self.folder}: shard {s:05d} of the features {problem}; "
                    "run the extraction again: it makes that one anew."
                )
            self._whole.add(s)
        return np.load(self.folder / f"{s:05d}.npy", mmap_mode="r", allow_pickle=False)


def _shards(manifest: dict) -> int:
    return -(-manifest["images"] // manifest["shard"])


def _unfinished(folder: Path, manifest: dict) -> list[int]:
    return [s for s in range(_shards(manifest)) if not (folder / f"{s:05d}.sha256").exists()]


def _shape(s: int, manifest: dict) -> tuple[int, int]:
    n = min(manifest["shard"], manifest["images"] - s * manifest["shard"])
    return n, manifest["features"]


def _digest(path: Path) -> str:
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _problem(folder: Path, s: int, manifest: dict) -> str:
    """Why shard s cannot be used; "" if it can."""
    path = folder / f"{s:05d}.npy"
    try:
        if _digest(path) != path.with_suffix(".sha256").read_text(encoding="utf-8").strip():
            return "was changed or cut short"
        if np.load(path, mmap_mode="r", allow_pickle=False).shape != _shape(s, manifest):
            return "has another shape than the manifest says"
    except (OSError, ValueError):
        return "is missing or cannot be read"
    return ""


def _manifest(folder: Path) -> dict:
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        if _shards(manifest) < 1:
            raise ValueError
    except FileNotFoundError:
        raise UserError(f"{folder} holds no features: manifest.json is not there.") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"{folder}/manifest.json cannot be read; remove the folder and extract again."
        ) from None
    return manifest


def _check_same(folder: Path, there: dict, wanted: dict) -> None:
    for key, value in wanted.items():
        if key != "weights" and there.get(key) != value:  # a file of weights may be renamed
            raise UserError(
                f"{folder} holds features of other origin: {key} is {there.get(key)}, "
                f"not {value}; use another folder, or remove that one."
            )
