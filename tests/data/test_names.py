"""Names of synthetic sets are taken apart once; the given space is drawn and never painted."""

import numpy as np
import pytest

from pddm_lite import data as data_sets
from pddm_lite.data.names import Synthetic, listed, mixed, painted, world_of
from pddm_lite.data.synthetic import geometry
from pddm_lite.store.errors import UserError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("synthetic_birds", Synthetic("synthetic_birds", 0.7)),
        ("synthetic_cars@0.50", Synthetic("synthetic_cars", 0.5)),
        ("given_birds", Synthetic("given_birds", 0.7, 0)),
        ("given_birds@0", Synthetic("given_birds", 0.0, 0)),
        ("given_birds@1@4", Synthetic("given_birds", 1.0, 4)),
        ("given_birds@0.7@3", Synthetic("given_birds", 0.7, 3)),
        ("cub200_2010", None),
        ("tiny_imagenet@160", None),
        ("folder:given_birds", None),
    ],
)
def test_a_name_and_its_value(name, value):
    assert world_of(name) == value
    if value:
        assert world_of(str(value)) == value and len(str(value)) <= len(name)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("synthetic_birds@2", "number from 0 to 1"),
        ("given_birds@nan", "number from 0 to 1"),
        ("given_birds@much@1", "number from 0 to 1"),
        ("given_birds@1@-1", "whole number"),
        ("given_birds@1@", "whole number"),
        ("given_birds@1@2@3", "given_birds@H@SEED"),
        ("synthetic_birds@0.5@1", "written synthetic_birds@H,"),
    ],
)
def test_a_bad_name_is_one_line(name, says):
    with pytest.raises(UserError, match=says) as err:
        data_sets.load(name)
    assert "\n" not in str(err.value) and name in str(err.value)


def test_a_set_without_pictures_is_no_painted_one():
    assert painted("synthetic_cars@0.1").heterogeneity == 0.1
    with pytest.raises(UserError, match="unknown synthetic data set 'given_birds'"):
        painted("given_birds")


def test_a_mix_takes_all_names_after_it():
    assert listed(" a, b,,") == ["a", "b"] and listed("") == []
    assert listed("a,mix:b, c") == ["a", "mix:b,c"]
    assert mixed("mix:b,folder:c") == ["b", "folder:c"]


def test_the_given_space_is_a_world_without_pictures():
    data = data_sets.load("given_birds@1@3", profile="smoke")
    g = geometry("birds", 60, 8, 1.0, 3)
    assert np.array_equal(data.latents, g.latents) and np.array_equal(data.labels, g.labels)
    assert (data.train_classes, len(data.class_names)) == (40, 60)
    with pytest.raises(UserError, match="no pictures.*--backbone latents"):
        data.read(0)
    names = ("given_birds@1@3", "given_birds@1@2", "given_birds@0.5@3")
    assert len({data_sets.load(n, profile="smoke").fingerprint for n in names}) == 3
    quick = data_sets.load("given_birds@1@3")
    assert (quick.train_classes, len(quick.class_names)) == (300, 450)
    # a larger world contains the smaller one
    assert np.array_equal(quick.latents.reshape(450, 12, 16)[:60, :8].reshape(-1, 16), g.latents)


@pytest.mark.parametrize("name", ["synthetic_birds", "synthetic_cars@0.5"])
def test_painted_sets_know_their_latents(name):
    for profile in ("smoke", "quick"):  # quick: its fingerprints are known, it is not painted
        data, s = data_sets.load(name, profile=profile), world_of(name)
        g = geometry(s.kind, *data_sets.WORLDS[profile], s.heterogeneity)
        assert np.array_equal(data.latents, g.latents)
