"""The synthetic world: procedural birds and cars whose geometry is known and has a knob.

    latent  = order centre + family offset + species offset + morph offset + image offset
    picture = render(latent, nuisance)      nuisance: pose, shift, size, light, background

Everything that tells species apart lives in the latent (16 appearance parameters: colours,
proportions, markings); everything that does not is drawn separately and never enters it.

The knob `heterogeneity` h sets how much the scale of the world depends on where one stands:

    scale(family) = 7 ** (h * g / 2),   g in [-1, 1], linear in the family's centre, then clipped

and multiplies the species offsets AND the spread inside a species (which has up to 20 % of its own
besides, as h grows). So the relative margin is about the same everywhere, but at h = 1 the images
of one loose species lie farther apart than two whole species of a tight family do: no global
threshold serves both, and only the absolute position says which one to use. The geometric mean of
the scale is about 1, so the world does not get much harder in latent space as the knob turns.

The same seed gives the same bytes on every machine: random numbers are raw uniforms of PCG64, sums
have a fixed order, angles are rational, no log, sin or BLAS call stands between seed and pixel, and
the one power (the scale) is rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import numpy as np

from ..store.errors import UserError, unknown
from .painter import RENDER, SIZE

PAINTER = 1  # of what is painted: raise it with any change that a pixel shows
KINDS = ("birds", "cars")
LATENTS = 16  # appearance parameters of one image
ORDERS, FAMILIES = 5, 20  # families are dealt to the orders in turn: family f is in order f % 5

# Standard deviations per latent dimension, in latent units; the last two are times scale(family).
ORDER_SD, FAMILY_SD, SPECIES_SD, SPREAD_SD = 0.75, 0.4, 0.28, 0.3
MORPH_SHARE = 0.4  # share of the variance inside a species that lies between its morphs
SCALE_RATIO = 7.0  # loosest over tightest family at heterogeneity 1
OWN_SHARE = 0.2  # a species' own spread ranges over SCALE_RATIO ** OWN_SHARE, whatever its family
SCALE_AXES = (0, 3, 11, 12)  # the position that sets the scale: two colours, two proportions

_CHUNK = 24  # images painted at once: few enough for the cache, enough to hide the call overhead
_NUISANCE = 32  # uniform numbers an image has for all that is not its appearance
_ORDER, _FAMILY, _SPECIES, _IMAGE = range(4)  # last key of a stream but one: what it is for

_NAMES = {
    "birds": (
        "Solariformes Limniformes Silviformes Rupiformes Noctiformes",
        "Ardella Pirola Merulina Corvane Strixora Tringola Sittaca Falcuna Alcedra Passira "
        "Lanivo Oriolet Garrula Cygnara Tyranna Parusio Motacil Upupina Calidra Anserin",
    ),
    "cars": (
        "Saloons Coupes Hatchbacks Estates Offroaders",
        "Velora Kestan Brontis Marvane Ostrel Zephra Dorigo Halden Lumero Tarvos "
        "Corvello Pellar Ravion Solvik Quando Ferrano Astrid Bolide Nimbra Vectis",
    ),
}
_EPITHETS = "minor major alba nigra rufa aurea borealis australis pallida nobilis".split()


@dataclass(frozen=True)
class World:
    """Images of C species with the geometry they were drawn from; N = C * images, in blocks.

    images:      uint8 [N, 64, 64, 3], RGB
    labels:      int64 [N], 0..C-1 in the order of the species index
    latents:     float32 [N, 16], the appearance of each image: what a perfect embedding would know
    class_names: C names, unique, ending in the species index
    families, orders: C parent names; a family belongs to one order
    scales:      float64 [C], true spread of each species: standard deviation of its latents in one
                 dimension, morphs included; all equal at heterogeneity 0
    """

    images: np.ndarray
    labels: np.ndarray
    latents: np.ndarray
    class_names: tuple[str, ...]
    families: tuple[str, ...]
    orders: tuple[str, ...]
    scales: np.ndarray


@dataclass(frozen=True)
class Geometry:
    """A world without its pictures; N = C * images, in the order of `World`.

    labels:   int64 [N], 0..C-1
    latents:  float32 [N, 16], the appearance of each image
    morphs:   int64 [N], 0, 1 or 2: which morph of its species an image shows
    families: int64 [C], the family of each species
    scales:   float64 [C], true spread of each species, as World.scales
    """

    labels: np.ndarray
    latents: np.ndarray
    morphs: np.ndarray
    families: np.ndarray
    scales: np.ndarray


def world(
    kind: str,
    species: int = 100,
    images: int = 20,
    heterogeneity: float = 0.7,
    seed: int = 0,
    first: int = 0,
) -> World:
    """Draw species `first`..`first + species - 1` of one kind, `images` pictures of each.

    kind: "birds" or "cars"; species, images >= 1; heterogeneity in [0, 1]; seed, first >= 0.
    A species depends on (kind, seed, heterogeneity, its index) alone and image i of it on i as
    well, so any range can be drawn without the rest, and a larger world contains the smaller one.
    Every 20 consecutive species hold one of each family. Other values raise UserError, which is
    a ValueError.
    """
    g, code = geometry(kind, species, images, heterogeneity, seed, first), KINDS.index(kind)
    latents, index = g.latents, range(first, first + species)
    nuisance = np.concatenate([_species(seed, code, s, images)[3] for s in index])
    nuisance = nuisance.astype(np.float32)
    pixels = np.empty((len(latents), SIZE, SIZE, 3), np.uint8)
    for i in range(0, len(latents), _CHUNK):
        pixels[i : i + _CHUNK] = RENDER[kind](latents[i : i + _CHUNK], nuisance[i : i + _CHUNK])
    orders, families = (names.split() for names in _NAMES[kind])
    return World(
        images=pixels,
        labels=g.labels,
        latents=latents,
        class_names=species_names(kind, first, species),
        families=tuple(families[s % FAMILIES] for s in index),
        orders=tuple(orders[s % FAMILIES % ORDERS] for s in index),
        scales=g.scales,
    )


def species_names(kind: str, first: int, species: int) -> tuple[str, ...]:
    """Names of species `first`..`first + species - 1`: family, epithet and number; unique."""
    families = _NAMES[kind][1].split()
    return tuple(
        f"{families[s % FAMILIES]} {_EPITHETS[s // FAMILIES % 10]} {s:03d}"
        for s in range(first, first + species)
    )


def geometry(
    kind: str,
    species: int = 100,
    images: int = 20,
    heterogeneity: float = 0.7,
    seed: int = 0,
    first: int = 0,
) -> Geometry:
    """Where the images of `world`, called alike, lie: without painting them, so in no time."""
    _check(kind, species, images, heterogeneity, seed, first)
    code = KINDS.index(kind)
    centres, exponents = _families(seed, code)
    families = (first + np.arange(species)) % FAMILIES
    latents = np.empty((species, images, LATENTS), np.float32)
    scales, spreads = np.empty(species), np.empty(species)
    morphs = np.empty((species, images), np.int64)
    for i, family in enumerate(families):
        scales[i] = _power(SCALE_RATIO, heterogeneity * exponents[family])
        offset, own, within, _, number = _species(seed, code, first + i, images)
        spreads[i] = SPREAD_SD * _power(SCALE_RATIO, heterogeneity * OWN_SHARE * (own - 0.5))
        latents[i] = centres[family] + scales[i] * (offset + spreads[i] * within)
        morphs[i] = np.arange(images) % number
    labels = np.repeat(np.arange(species, dtype=np.int64), images)
    latents = latents.reshape(-1, LATENTS)
    return Geometry(labels, latents, morphs.reshape(-1), families, scales * spreads)


def _check(kind, species, images, heterogeneity, seed, first):
    if kind not in KINDS:
        raise unknown("kind of world", kind, KINDS)
    least = {"species": (species, 1), "images": (images, 1), "seed": (seed, 0), "first": (first, 0)}
    for name, (value, low) in least.items():
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not whole or value < low:
            raise UserError(f"{name} is {value!r}, but must be a whole number of at least {low}")
    real = isinstance(heterogeneity, Real) and not isinstance(heterogeneity, bool)
    if not real or not 0 <= heterogeneity <= 1:  # the double negative catches nan
        raise UserError(f"heterogeneity is {heterogeneity!r}, but must be a number from 0 to 1")


# ---------------------------------------------------------------------------- the latent world


def _stream(*key):
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([int(k) for k in key])))


def _normal(u):
    """Uniforms [..., 4 * n] -> about normal [..., n]: four summed, since the exact transform takes
    logarithms, whose last bit differs between machines. It is bounded, at 3.46 deviations."""
    a, b, c, d = np.split(u, 4, axis=-1)
    return (a + b + c + d - 2.0) * 1.7320508075688772


def _power(base, x):
    return round(float(base) ** float(x), 6)  # the rounding hides the machine's last bit


def _families(seed, kind):
    """Family centres [20, 16] and, for each, g / 2: half the position on the axis of scale."""
    base = np.stack([_stream(seed, kind, _ORDER, o).random(4 * LATENTS) for o in range(ORDERS)])
    order = ORDER_SD * _normal(base)
    # Orders take evenly spaced places on the axis of scale, so that each seed has the whole range.
    places = np.argsort(_stream(seed, kind, _ORDER, ORDERS).random(ORDERS))
    shift = (places - 2) * 0.45 - _place(order)
    order[:, SCALE_AXES] += 0.5 * shift[:, None]  # the unit vector along four axes is 1/2 on each
    centres = np.empty((FAMILIES, LATENTS))
    for f in range(FAMILIES):
        offset = _normal(_stream(seed, kind, _FAMILY, f).random(4 * LATENTS))
        centres[f] = order[f % ORDERS] + FAMILY_SD * offset
    return centres, np.clip(_place(centres), -1.0, 1.0) / 2


def _place(z):
    a, b, c, d = (z[:, k] for k in SCALE_AXES)
    return 0.5 * (a + b + c + d)


def _species(seed, kind, index, images):
    """Offset from the family [16] and place in the range of spreads, a uniform; then, an image a
    row, offsets within the species of deviation 1 [images, 16] and nuisance uniforms [images, 32];
    last the number of morphs: image i shows morph i % number.
    """
    draw = _stream(seed, kind, _SPECIES, index)
    offset = SPECIES_SD * _normal(draw.random(4 * LATENTS))
    place, morphs = draw.random(), 1 + int(3 * draw.random())
    away = _normal(draw.random((3, 4 * LATENTS)))[:morphs]
    # One row of the stream an image, so image i is the same however many are drawn.
    rows = _stream(seed, kind, _IMAGE, index).random((images, 4 * LATENTS + _NUISANCE))
    within = _normal(rows[:, : 4 * LATENTS])
    if morphs > 1:  # centre and scale the morphs, so that their number does not change the spread
        mean = away[0] + away[1] if morphs == 2 else away[0] + away[1] + away[2]
        away = (away - mean / morphs) * np.sqrt(MORPH_SHARE * morphs / (morphs - 1))
        within = np.sqrt(1 - MORPH_SHARE) * within + away[np.arange(images) % morphs]
    return offset, place, within, rows[:, 4 * LATENTS :], morphs
