"""The typical size stands for a set, not its first image; what lies far below is told."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from pddm_lite import data
from pddm_lite.data.base import SAMPLE, spread
from pddm_lite.data.names import world_of
from pddm_lite.data.verify import verify
from pddm_lite.store.errors import UserError
from pddm_lite.training import inputs
from pddm_lite.training.experiments import make


def picture(size):
    out = io.BytesIO()
    Image.new("RGB", size, (9, 99, 200)).save(out, "PNG")
    return out.getvalue()


def names(layout):
    """16 files in the order in which they are read."""
    if layout == "folder:mine":
        return [f"mine/{c}/{n}.png" for c in "abcd" for n in range(4)]
    parts = (("background", 1), ("background", 2), ("evaluation", 3), ("evaluation", 4))
    return [f"omniglot/images_{p}/A/character{c}/{n}.png" for p, c in parts for n in range(4)]


LARGE, SMALL = (200, 144), (24, 40)
WHERE = {  # which images are thumbnails
    "the first": [0],
    "the last": [15],
    "the first of each class": [0, 4, 8, 12],
    "one class's": [4, 5, 6, 7],
    "one in the middle": [9],
}


@pytest.mark.parametrize("kind", ["directory", "zip"])
@pytest.mark.parametrize("layout", ["folder:mine", "omniglot"])
@pytest.mark.parametrize("where", WHERE)
def test_a_thumbnail_decides_nothing_wherever_it_lies(tmp_path, kind, layout, where):
    files = {
        n: picture(SMALL if k in WHERE[where] else LARGE if k % 2 else LARGE[::-1])
        for k, n in enumerate(names(layout))
    }
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / f"{names(layout)[0].split('/')[0]}.zip", "w") as z:
            for name, content in files.items():
                z.writestr(name, content)
    for name, content in files.items() if kind == "directory" else ():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    s = data.load(layout, tmp_path)
    assert s.side == 144
    (warning,) = verify(layout, tmp_path, partial=True, bar=False).warnings
    first = names(layout)[WHERE[where][0]].removeprefix("mine/" if kind == "directory" else "")
    assert warning.startswith(f"{len(WHERE[where])} images have less than half")
    assert "144 pixels" in warning and first.split("/", 1)[-1] in warning and "(24)" in warning
    e = make(profile="smoke", data=layout, backbone="mobilenet_v2", weights="none",
             mode="finetune", crop=0)  # fmt: skip
    net = inputs.backbones.load(e.backbone, e.weights, stored=s.side, crop=0)
    source, _ = inputs.inputs(e, s, tmp_path / "cache", "cpu", False)
    assert source.crop == net.input.crop > 100  # 33 where the thumbnail decided


def test_the_side_is_a_median_of_all_sizes(tmp_path):
    for n, side in enumerate((10, 20, 30, 500, 600)):
        for c in "ab":
            (tmp_path / c).mkdir(exist_ok=True)
            (tmp_path / c / f"{n}.png").write_bytes(picture((side, 700)))
    assert data.load("folder", tmp_path).side == 30


def test_images_that_cannot_be_read_say_nothing_about_size(tmp_path):
    for n in range(4):
        for c in "ab":
            (tmp_path / c).mkdir(exist_ok=True)
            (tmp_path / c / f"{n}.png").write_bytes(picture((50, 60)) if n else b"broken")
    assert data.load("folder", tmp_path).side == 50
    for f in tmp_path.rglob("*.png"):
        f.write_bytes(b"broken")
    with pytest.raises(UserError, match="cannot be read as an image"):
        _ = data.load("folder", tmp_path).side


def test_the_synthetic_world_knows_its_size_without_being_painted(monkeypatch):
    monkeypatch.setattr(data, "_world", lambda *_: pytest.fail("painted"))
    s = data._drawn.__wrapped__(world_of("synthetic_birds"), 200, 12)
    assert s.side == 64 and len(s.class_names) == 200


@pytest.mark.parametrize("n", [0, 1, 5, SAMPLE, SAMPLE + 1, 2400, 11788])
def test_the_sample_is_spread_over_the_set_and_meets_every_place_in_a_class(n):
    at = spread(n, SAMPLE)
    assert len(at) == min(n, SAMPLE) == len(set(at.tolist()))
    assert np.array_equal(at, spread(n, SAMPLE)) and np.all(np.diff(at) > 0)
    if n > SAMPLE:
        assert at[0] <= n / SAMPLE and at[-1] >= n - 1 - n / SAMPLE
        assert np.all(np.diff(at) <= 2 * n / SAMPLE + 1)
    if n == 2400:  # 200 classes of 12: equal steps would meet one place of each
        assert len(set((at % 12).tolist())) == 12
