"""The synthetic world: same bytes everywhere, a sane taxonomy, a knob that does what it says."""

import hashlib
import re

import numpy as np
import pytest

from pddm_lite import data
from pddm_lite.data import painter, synthetic
from pddm_lite.data.synthetic import KINDS, world

# sha256 of images and latents of world(kind, 4, 3). A change here is a change of the data set:
# the committed weights and every committed number then have to be made again.
DIGESTS = {
    "birds": "043e8c2e2e8c123ca5ad5142bc98913667899deefd69be1bbfb61fef74bc74bb",
    "cars": "3025dca5de52b2bc1f6c0040409948a31a28334d1fba51dcb00cb3854b476376",
}


def digest(w):
    """Little-endian bytes, so that the digest is the same on every machine."""
    return hashlib.sha256(w.images.tobytes() + w.latents.astype("<f4").tobytes()).hexdigest()


def distances(a, b):
    """Euclidean distances [len(a), len(b)]."""
    square = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T
    return np.sqrt(np.maximum(square, 0))


def spread_and_gap(w, images):
    """Mean intraclass distance [C] and distances between class means [C, C], in latents."""
    z = w.latents.reshape(-1, images, w.latents.shape[1]).astype(float)
    within = np.array([distances(c, c).sum() / (images * (images - 1)) for c in z])
    means = z.mean(1)
    between = distances(means, means)
    np.fill_diagonal(between, np.inf)
    return within, between


@pytest.mark.parametrize("kind", KINDS)
def test_the_bytes_are_those_of_every_other_machine(kind):
    assert digest(world(kind, species=4, images=3)) == DIGESTS[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_types_and_names(kind):
    w = world(kind, species=6, images=3)
    assert w.images.shape == (18, 64, 64, 3) and w.images.dtype == np.uint8
    assert w.labels.dtype == np.int64 and w.labels.tolist() == [c for c in range(6) for _ in "abc"]
    assert w.latents.shape == (18, synthetic.LATENTS) and w.latents.dtype == np.float32
    assert w.scales.shape == (6,)
    assert len(w.class_names) == len(set(w.class_names)) == len(w.families) == len(w.orders) == 6
    assert w.images.std(axis=(1, 2)).min() > 5  # no picture is empty
    assert len({i.tobytes() for i in w.images}) == 18


@pytest.mark.parametrize("kind", KINDS)
def test_a_species_depends_on_its_index_and_not_on_what_is_drawn_with_it(kind):
    whole, part = world(kind, species=15, images=3), world(kind, species=5, images=3, first=10)
    assert np.array_equal(part.images, whole.images[30:])
    assert np.array_equal(part.latents, whole.latents[30:])
    assert np.array_equal(part.scales, whole.scales[10:])
    assert part.class_names == whole.class_names[10:]
    assert part.families == whole.families[10:] and part.orders == whole.orders[10:]
    assert part.labels.tolist() == np.repeat(range(5), 3).tolist()
    fewer = world(kind, species=5, images=2, first=10)
    assert np.array_equal(
        fewer.images, part.images.reshape(5, 3, 64, 64, 3)[:, :2].reshape(-1, 64, 64, 3)
    )


def test_the_window_in_which_heads_are_painted_cuts_nothing_off(monkeypatch):
    w = world("birds", species=60, images=5, heterogeneity=1.0)
    monkeypatch.setattr(painter, "_FACE", np.s_[:, :, :])
    assert np.array_equal(world("birds", species=60, images=5, heterogeneity=1.0).images, w.images)


def test_kinds_seeds_and_species_differ():
    worlds = [world("birds", 4, 2), world("cars", 4, 2), world("birds", 4, 2, seed=1)]
    worlds += [world("birds", 4, 2, first=20_000), world("birds", 4, 2, heterogeneity=0.0)]
    assert len({digest(w) for w in worlds}) == len(worlds)


@pytest.mark.parametrize("kind", KINDS)
def test_taxonomy(kind):
    w = world(kind, species=100, images=1)
    order_of = {}
    for family, order in zip(w.families, w.orders, strict=True):
        assert order_of.setdefault(family, order) == order
    assert len(order_of) == synthetic.FAMILIES and len(set(w.orders)) == synthetic.ORDERS
    # Relatives on both sides of the class-disjoint split, and the same parents for the sources.
    assert set(w.families[:50]) == set(w.families[50:]) == set(order_of)
    assert world(kind, 20, 1, first=20_000).families == w.families[:20]
    for name, family in zip(w.class_names, w.families, strict=True):
        assert re.fullmatch(rf"{family} [a-z]+ \d{{3}}", name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_at_heterogeneity_0_every_class_is_equally_tight(kind, seed):
    w = world(kind, species=40, images=12, heterogeneity=0.0, seed=seed)
    assert np.ptp(w.scales) == 0
    within, _ = spread_and_gap(w, 12)
    assert within.max() / within.min() < 2  # what is left is sampling, morphs included


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_at_heterogeneity_1_no_global_threshold_serves(kind, seed):
    w = world(kind, species=60, images=12, heterogeneity=1.0, seed=seed)
    assert 5 <= w.scales.max() / w.scales.min() <= 11
    assert 0.6 < np.exp(np.log(w.scales / synthetic.SPREAD_SD).mean()) < 1.6
    within, between = spread_and_gap(w, 12)
    families = np.array(w.families)
    sisters = np.where(families[:, None] == families, between, np.inf).min(1)
    unit = w.scales / synthetic.SPREAD_SD
    loose, tight = unit > 2, unit < 0.5
    assert loose.any() and tight.any()
    # Two pictures of a typical loose class are farther apart than two whole tight classes ...
    assert within[loose].min() > sisters[tight].max()
    # ... yet relative to the scale of the place, the margin is the same everywhere.
    assert np.ptp(np.log(within / w.scales)) < np.log(2)
    margin = sisters / w.scales
    assert 0.5 < np.median(margin[loose]) / np.median(margin[tight]) < 2


@pytest.mark.parametrize("kind", KINDS)
def test_the_scale_is_a_function_of_the_position(kind):
    w = world(kind, species=60, images=12, heterogeneity=1.0)
    means = w.latents.reshape(60, 12, -1).mean(1)
    place = 0.5 * means[:, list(synthetic.SCALE_AXES)].sum(1)
    assert np.corrcoef(place, np.log(w.scales))[0, 1] > 0.6


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (dict(kind="fish"), "unknown kind of world 'fish'.* birds, cars"),
        (dict(species=0), "species is 0, but must be a whole number of at least 1"),
        (dict(images=2.5), "images is 2.5, but must be a whole number of at least 1"),
        (dict(seed=-1), "seed is -1, but must be a whole number of at least 0"),
        (dict(first=True), "first is True, but must be a whole number of at least 0"),
        (dict(heterogeneity=1.1), "heterogeneity is 1.1, but must be a number from 0 to 1"),
        (dict(heterogeneity=float("nan")), "heterogeneity is nan, but must be a number from 0"),
        (dict(heterogeneity="0.7"), "heterogeneity is '0.7', but must be a number from 0 to 1"),
        (dict(heterogeneity=None), "heterogeneity is None, but must be a number from 0 to 1"),
    ],
)
def test_bad_values_are_refused_in_one_line(bad, message):
    with pytest.raises(ValueError, match=message) as error:
        world(**{"kind": "birds", "species": 1, "images": 1, **bad})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_geometry_is_the_world_without_its_pictures(kind):
    w, g = (
        world(kind, 30, 6, heterogeneity=0.5, first=7),
        synthetic.geometry(kind, 30, 6, 0.5, 0, 7),
    )
    for name in ("labels", "latents", "scales"):
        assert np.array_equal(getattr(g, name), getattr(w, name))
    names = np.array(w.families)
    assert np.array_equal(
        g.families[:, None] == g.families[None, :], names[:, None] == names[None, :]
    )


@pytest.mark.parametrize("drawn", data.FINGERPRINTS)
def test_fingerprints_known_beforehand_are_those_of_the_painted_worlds(drawn):
    kind, heterogeneity, species, images = drawn
    assert (species, images) == data.WORLDS["quick"]
    w = world(kind, species=species, images=images, heterogeneity=heterogeneity)
    known = data.load(f"synthetic_{kind}@{heterogeneity}")
    assert known.fingerprint == data.fingerprint(w.images.tobytes(), w.labels.tobytes())
    assert known.labels.tobytes() == w.labels.tobytes() and known.class_names == w.class_names
    for i in (0, 776, 24 * 12):
        assert np.array_equal(np.asarray(known.read(i)), w.images[i])
