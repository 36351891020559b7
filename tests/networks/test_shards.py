"""Features in shards: those of the one-file cache, whatever stopped or shared their extraction."""

import json
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import distributed as dist
from torch import nn

from pddm_lite.data.base import ImageSet
from pddm_lite.data.mix import join
from pddm_lite.measures.ncm import accuracy, class_means
from pddm_lite.networks import shards
from pddm_lite.networks.backbones import Backbone, Input
from pddm_lite.networks.features import frozen_features
from pddm_lite.networks.shards import Shards, describe, extract
from pddm_lite.store.errors import UserError

N, D, SIZE = 300, 5, 64


def network(seed=0, name="tiny"):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(3, D, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    return Backbone(name, "none", net, D, Input(8, 6))


def picture(i):
    return np.random.default_rng(int(i)).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def images(read=None, fingerprint="f"):
    labels = np.arange(N) % 10
    read = read or (lambda i: Image.fromarray(picture(i)))
    return ImageSet("made", "Made", labels, tuple("abcdefghij"), read, fingerprint, 5)


def files(folder):
    return {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.iterdir()}


@pytest.fixture
def made(tmp_path):
    assert extract(images(), network(), tmp_path / "x", size=SIZE, bar=False) == 5
    return tmp_path / "x"


def test_they_are_the_features_of_the_one_file_cache(made, tmp_path):
    want = frozen_features(images(), network(), tmp_path / "one", bar=False)
    x = Shards(made, describe(images(), network(), SIZE))
    assert x.shape == want.shape == (N, D) and len(x) == N
    assert np.array_equal(x[:], want) and x[:].dtype == np.float32
    rows = np.random.default_rng(0).integers(0, N, 500)  # any order, repeated, over all shards
    assert np.array_equal(x[rows], want[rows])
    assert np.array_equal(x[60:130:3], want[60:130:3])
    assert x[np.array([], dtype=int)].shape == (0, D)
    streamed = list(x.batches(70))
    assert [rows.start for rows, _ in streamed] == [0, 70, 140, 210, 280]
    assert np.array_equal(np.concatenate([f for _, f in streamed]), want)
    with pytest.raises(IndexError):
        x[np.array([N])]


def test_an_array_and_its_shards_classify_alike(made):
    x, labels = Shards(made), images().labels
    whole = torch.from_numpy(x[:])
    mu = class_means(x, labels, 10, chunk=37)
    assert torch.allclose(mu, class_means(whole, labels, 10), rtol=1e-6)
    assert accuracy(x, labels, mu, chunk=53) == accuracy(whole, labels, mu)


def test_a_second_call_makes_nothing(made):
    before = files(made)
    assert extract(images(), network(), made, size=SIZE, bar=False) == 0
    assert files(made) == before


def _stopped(folder, number):
    """Extraction that a signal ends in the middle of the fourth shard of five."""
    torch.set_num_threads(1)

    def read(i):
        if i == 3 * SIZE + 40:
            os.kill(os.getpid(), number)
        return Image.fromarray(picture(i))

    extract(images(read), network(), folder, size=SIZE, bar=False)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_midway_it_goes_on_at_the_shard(number, made, tmp_path):
    folder = tmp_path / "y"
    process = torch.multiprocessing.get_context("spawn").Process(
        target=_stopped, args=(folder, number)
    )
    process.start()
    process.join()
    assert process.exitcode == -number
    kept = files(folder)
    assert sorted(n for n in kept if n.endswith("npy")) == [f"{s:05d}.npy" for s in range(3)]
    with pytest.raises(UserError, match="2 of 5 shards .* not made yet, from 00003 on;"):
        Shards(folder)
    (folder / ".tmp-left").write_bytes(b"half")  # as a kill would leave it
    assert extract(images(), network(), folder, size=SIZE, bar=False) == 2
    now = files(folder)
    assert {n: now[n] for n in kept} == kept and ".tmp-left" not in now
    assert np.array_equal(Shards(folder)[:], Shards(made)[:])


@pytest.mark.parametrize("harm", ["cut", "flip", "lost", "unsigned", "empty"])
def test_a_harmed_shard_is_told_and_made_again(made, harm):
    want, x = Shards(made)[:], Shards(made)
    path = made / "00002.npy"
    content = path.read_bytes()
    match harm:
        case "cut":
            path.write_bytes(content[:-100])
        case "flip":
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "lost":
            path.unlink()
        case "unsigned":  # killed between the shard and its checksum
            path.with_suffix(".sha256").unlink()
        case "empty":
            path.write_bytes(b"")
    assert np.array_equal(x[: 2 * SIZE], want[: 2 * SIZE])
    with pytest.raises(UserError, match="shard 00002 of the features .* extraction again"):
        x[2 * SIZE - 1 : 2 * SIZE + 1]
    assert extract(images(), network(), made, size=SIZE, bar=False) == 1
    assert path.read_bytes() == content
    assert np.array_equal(Shards(made)[:], want)


def test_processes_share_the_work(made, tmp_path):
    folder, read = tmp_path / "z", {0: set(), 1: set()}
    for rank in (1, 0):

        def noted(i, rank=rank):
            read[rank].add(int(i))
            return Image.fromarray(picture(i))

        made_here = extract(images(noted), network(), folder, "cpu", SIZE, rank, 2, bar=False)
        assert made_here == (3, 2)[rank]
    assert not read[0] & read[1] and len(read[0] | read[1]) == N
    assert {n: c for n, (_, c) in files(folder).items()} == {
        n: c for n, (_, c) in files(made).items()
    }


@pytest.mark.parametrize(
    ("key", "data", "net", "size"),
    [
        ("network", images(), network(name="other"), SIZE),
        ("weights_hash", images(), network(seed=1), SIZE),
        ("data_hash", images(fingerprint="g"), network(), SIZE),
        ("shard", images(), network(), 128),
    ],
)
def test_features_of_other_origin_are_refused(made, key, data, net, size):
    before = files(made)
    with pytest.raises(UserError, match=f"other origin: {key} is "):
        extract(data, net, made, size=size, bar=False)
    with pytest.raises(UserError, match=f"other origin: {key} is "):
        Shards(made, describe(data, net, size))
    assert files(made) == before


def test_the_manifest_names_what_they_are_of(made):
    said = json.loads((made / "manifest.json").read_text(encoding="utf-8"))
    assert said["network"] == "tiny" and said["weights"] == "none" and said["data"] == "made"
    assert said["input"]["crop"] == 6 and said["data_hash"] == "f"


def test_no_manifest_or_a_torn_one(tmp_path):
    with pytest.raises(UserError, match="holds no features"):
        Shards(tmp_path)
    (tmp_path / "manifest.json").write_text('{"images": 3', encoding="utf-8")
    with pytest.raises(UserError, match=re.escape("manifest.json cannot be read")):
        Shards(tmp_path)


def test_few_images_are_decoded_ahead(monkeypatch):
    begun = []
    monkeypatch.setattr(shards, "cores", lambda: 2)
    with shards.ThreadPoolExecutor(2) as pool:
        results = shards._ahead(pool, lambda i: begun.append(i) or i, range(100))
        assert next(results) == 0
        assert max(begun) <= 2
        assert list(results) == list(range(1, 100))


def _features(rank, folder):
    """One of two processes of torchrun, on a data set that counts as large."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    shards.LARGE, shards.SIZE = N - 1, SIZE
    read = []
    noted = images(lambda i: read.append(int(i)) or Image.fromarray(picture(i)))
    x = shards.features_of(noted, network(), Path(folder) / "cache", bar=False)
    np.savez(f"{folder}/{rank}.npz", x=x, read=read)
    dist.destroy_process_group()


def test_of_a_large_data_set_two_processes_make_the_shards_together(tmp_path):
    torch.multiprocessing.spawn(_features, (str(tmp_path),), nprocs=2)
    own = [np.load(tmp_path / f"{r}.npz") for r in range(2)]
    want = frozen_features(images(), network(), tmp_path / "one", bar=False)
    assert all(np.array_equal(o["x"], want) for o in own)
    assert sorted([*own[0]["read"], *own[1]["read"]]) == list(range(N))  # each image decoded once
    assert min(len(o["read"]) for o in own) > N / 3


def test_a_small_data_set_is_one_file_and_a_large_one_shards(tmp_path, monkeypatch):
    small = shards.features_of(images(), network(), tmp_path, bar=False)
    assert [p.suffix for p in tmp_path.iterdir()] == [".npy"]
    monkeypatch.setattr(shards, "LARGE", N - 1)
    large = shards.features_of(images(), network(), tmp_path, bar=False)
    (folder,) = (p for p in tmp_path.iterdir() if p.is_dir())
    assert np.array_equal(small, large) and small.dtype == large.dtype == np.float32
    before = files(folder)
    shards.features_of(images(), network(), tmp_path, bar=False)
    assert files(folder) == before
    shards.features_of(images(), network(seed=1), tmp_path, bar=False)  # other weights, apart
    assert len([p for p in tmp_path.iterdir() if p.is_dir()]) == 2


def test_a_mix_takes_the_features_of_its_parts(tmp_path):
    other = ImageSet("o", "O", np.arange(40) % 4, tuple("wxyz"), lambda i: Image.fromarray(
        picture(i + 900)), "g", 2)  # fmt: skip
    parts = [shards.features_of(p, network(), tmp_path, bar=False) for p in (images(), other)]
    made = files(tmp_path)
    x = shards.features_of(join([images(), other]), network(), tmp_path, bar=False)
    assert np.array_equal(x, np.concatenate(parts)) and files(tmp_path) == made
