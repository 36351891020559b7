"""The perfect eye: the world's own numbers on the sphere, and no other data."""

import numpy as np
import pytest
from PIL import Image

from pddm_lite import data as data_sets
from pddm_lite.data.base import ImageSet
from pddm_lite.networks import latents
from pddm_lite.store.errors import UserError


@pytest.mark.parametrize("name", ["given_birds@1@2", "synthetic_cars"])
def test_latents_and_a_constant_on_the_sphere(name):
    data = data_sets.load(name, profile="smoke")
    x = latents.perfect_eye(data)
    assert x.shape == (len(data), latents.COORDINATES) and x.dtype == np.float32
    assert np.allclose(np.linalg.norm(x, axis=1), 1, atol=1e-6)
    # dividing by the last coordinate gives the latents back, in units of the constant
    c = np.linalg.norm(data.latents[data.train], axis=1).mean()
    assert np.allclose(x[:, :-1] / x[:, -1:] * c, data.latents, atol=1e-4)


def test_real_data_have_no_latents():
    labels = np.arange(4) // 2
    real = ImageSet("mine", "Mine", labels, ("a", "b"), lambda i: Image.new("RGB", (8, 8)), "f", 1)
    with pytest.raises(UserError, match="'mine' is none") as err:
        latents.perfect_eye(real)
    assert "\n" not in str(err.value)
    for name in ("cub200_2010", "folder", "mix:synthetic_birds,cub200_2010"):
        with pytest.raises(UserError, match="is none; name"):
            latents.check("latents", name)


def test_a_world_without_pictures_wants_this_network():
    with pytest.raises(UserError, match="no pictures for smallnet.*--backbone latents"):
        latents.check("smallnet", "given_birds@1")
    for fit in (("latents", "given_birds@1"), ("latents", "synthetic_birds"), ("alexnet", "sop")):
        latents.check(*fit)
