"""New species: of the same world, unseen by training, painted as they are read."""

import numpy as np
import pytest

from pddm_lite import data as data_sets
from pddm_lite.data import WORLDS
from pddm_lite.data.new_species import IMAGES, SPECIES, new_species
from pddm_lite.data.synthetic import FAMILIES, world
from pddm_lite.paper.table2_transfer.classifiers import check_disjoint
from pddm_lite.training import pretrain


@pytest.mark.parametrize("name", ["synthetic_birds", "synthetic_cars@0.3"])
def test_they_are_the_worlds_next_species(name):
    new, seen = new_species(name, "smoke"), data_sets.load(name, profile="smoke")
    assert len(new) == SPECIES["smoke"] * IMAGES == len(new.test) and new.train_classes == 0
    check_disjoint(seen.class_names, new.class_names)
    drawn = data_sets.world_of(name)
    w = world(drawn.kind, SPECIES["smoke"], IMAGES, drawn.heterogeneity, first=WORLDS["smoke"][0])
    assert new.class_names == w.class_names and np.array_equal(new.labels, w.labels)
    for i in (0, 5, 47, 48, 100, len(new) - 1, 1):  # in any order, and in the last, short block
        assert np.array_equal(np.asarray(new.read(i)), w.images[i])


def test_the_fingerprint_knows_kind_knob_and_size():
    prints = {
        new_species(n, p).fingerprint
        for n in ("synthetic_birds", "synthetic_cars", "synthetic_birds@0.3")
        for p in ("smoke", "quick")
    }
    assert len(prints) == 6
    assert new_species("synthetic_birds").fingerprint in prints


def test_no_profile_reaches_the_species_of_smallnets_pretraining():
    for profile, (species, _) in WORLDS.items():
        assert species + SPECIES[profile] <= pretrain.SOURCE
        assert species % FAMILIES == 0  # as many new species of each family
    assert SPECIES["paper"] == 10_000 and WORLDS["paper"][0] // 2 == 1_000
