"""Cached features are a plain loop's, whatever stopped or shared the work."""

import dataclasses
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from fakes import coloured
from PIL import Image
from torch import nn

from pddm_lite.data.base import ImageSet
from pddm_lite.data.mix import join
from pddm_lite.networks import features
from pddm_lite.networks.backbones import Backbone, Input
from pddm_lite.networks.features import features_of, stored_pixels

N, D, CHUNK = 300, 5, 64


def network(seed=0):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(3, D, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    return Backbone("tiny", "none", net, D, Input(8, 6, mean=(0.5,) * 3, std=(0.5,) * 3))


def picture(i):
    return np.random.default_rng(int(i)).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def images(read=None, fingerprint="f"):
    labels = np.arange(N) % 10
    read = read or (lambda i: Image.fromarray(picture(i)))
    return ImageSet("made", "Made", labels, tuple("abcdefghij"), read, fingerprint, 5)


def files(folder):
    return {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.rglob("*") if p.is_file()}


@torch.no_grad()
def by_hand():
    x = np.stack([picture(i)[1:7, 1:7] for i in range(N)]).transpose(0, 3, 1, 2)
    return network().net(torch.from_numpy(x).float() / 255 * 2 - 1).half().float().numpy()


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(features, "CHUNK", CHUNK)


def test_they_are_made_once_in_half_precision_and_kept_as_one_file(tmp_path):
    x = features_of(images(), network(), tmp_path, bar=False)
    assert x.shape == (N, D) and x.dtype == np.float32
    assert np.allclose(x, by_hand(), rtol=2e-3)
    (path,) = files(tmp_path)  # neither parts nor locks are left
    assert path.suffix == ".npy" and np.load(path).dtype == np.float16
    before = files(tmp_path)
    assert np.array_equal(features_of(images(), network(), tmp_path, bar=False), x)
    assert files(tmp_path) == before
    features_of(images(), network(seed=1), tmp_path, bar=False)  # other weights, apart
    features_of(images(fingerprint="g"), network(), tmp_path, bar=False)  # other pictures
    assert len(files(tmp_path)) == 3 and files(tmp_path).items() >= before.items()


def test_the_size_of_a_chunk_changes_nothing(tmp_path, monkeypatch):
    many = features_of(images(), network(), tmp_path / "many", bar=False)
    monkeypatch.setattr(features, "CHUNK", 1024)
    assert np.array_equal(features_of(images(), network(), tmp_path / "one", bar=False), many)


def _stopped(folder):
    """Extraction that is killed in the middle of the fourth chunk of five."""
    torch.set_num_threads(1)
    features.CHUNK = CHUNK

    def read(i):
        if i == 3 * CHUNK + 40:
            os.kill(os.getpid(), signal.SIGKILL)
        return Image.fromarray(picture(i))

    features_of(images(read), network(), folder, bar=False)


def test_killed_midway_it_goes_on_at_the_chunk(tmp_path):
    process = torch.multiprocessing.get_context("spawn").Process(target=_stopped, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    kept = sorted(p.name for p in tmp_path.glob("*.parts/*.npy"))
    assert kept == ["0.npy", "128.npy", "64.npy"]
    read = []
    data = images(lambda i: read.append(int(i)) or Image.fromarray(picture(i)))
    x = features_of(data, network(), tmp_path, bar=False)
    assert sorted(read) == list(range(3 * CHUNK, N))
    assert np.array_equal(x, features_of(images(), network(), tmp_path / "whole", bar=False))
    assert [p.suffix for p in tmp_path.glob("[!.]*.*")] == [".npy"]


def test_who_asks_at_the_same_time_shares_the_work(tmp_path):
    """Threads for processes: the lock is of an open file, so that it parts both alike."""
    together, read = threading.Barrier(2), [[], []]

    def ask(who):
        def slow(i):
            read[who].append(int(i))
            time.sleep(0.001)
            return Image.fromarray(picture(i))

        net, data = nets[who], images(slow)
        together.wait(60)
        return features_of(data, net, tmp_path, bar=False)

    nets = [network(), network()]
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(ask, range(2))
    assert np.allclose(one, by_hand(), rtol=2e-3) and np.array_equal(one, other)
    assert sorted([*read[0], *read[1]]) == list(range(N))  # each image decoded once
    assert min(map(len, read)) > N / 5
    assert [p.suffix for p in tmp_path.iterdir()] == [".npy"]


def test_a_mix_takes_the_features_of_its_parts(tmp_path):
    other = ImageSet("o", "O", np.arange(40) % 4, tuple("wxyz"), lambda i: Image.fromarray(
        picture(i + 900)), "g", 2)  # fmt: skip
    parts = [features_of(p, network(), tmp_path, bar=False) for p in (images(), other)]
    made = files(tmp_path)
    x = features_of(join([images(), other]), network(), tmp_path, bar=False)
    assert np.array_equal(x, np.concatenate(parts)) and files(tmp_path) == made


def test_pixels_are_decoded_once_and_equal_the_images(tmp_path):
    world, reads = coloured(), []
    data = dataclasses.replace(world, read=lambda i: reads.append(i) or world.read(i))
    first = stored_pixels(data, Input(20, 16), tmp_path, bar=False)
    again = stored_pixels(data, Input(20, 16), tmp_path, bar=False)
    assert sorted(reads) == list(range(len(data))) and np.array_equal(first, again)
    want = [np.asarray(world.read(i).resize((20, 20), 2)) for i in range(len(data))]
    assert np.array_equal(first, np.stack(want))
