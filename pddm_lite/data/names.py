"""Names of data sets, taken apart once: the synthetic worlds' into a value, a list's into names."""

from __future__ import annotations

from dataclasses import dataclass

from ..store.errors import UserError, unknown

SYNTHETIC = {"synthetic_birds": "birds", "synthetic_cars": "cars"}  # painted
GIVEN = {"given_birds": "birds"}  # worlds of which only the geometry is drawn: no pictures
HETEROGENEITY = 0.7
MIX = "mix:"


@dataclass(frozen=True)
class Synthetic:
    """What the name of a synthetic set says; str() gives the shortest name of the same set."""

    base: str  # a key of SYNTHETIC or GIVEN
    heterogeneity: float = HETEROGENEITY  # 0 to 1
    world: int = 0  # seed of the world; painted sets are of world 0

    @property
    def kind(self) -> str:
        """ "birds" or "cars": whose world it is."""
        return (SYNTHETIC | GIVEN)[self.base]

    @property
    def painted(self) -> bool:
        """Whether there are pictures of it."""
        return self.base in SYNTHETIC

    @property
    def title(self) -> str:
        """As figures and tables call it."""
        h = f"heterogeneity {self.heterogeneity:g}"
        if not self.painted:
            return f"given space, {h}, world {self.world}"
        own = "" if self.heterogeneity == HETEROGENEITY else f", {h}"
        return f"synthetic {self.kind}{own}"

    def __str__(self) -> str:
        turned = self.heterogeneity != HETEROGENEITY or self.world
        world = f"@{self.world}" if self.world else ""
        return self.base + (f"@{self.heterogeneity:g}" if turned else "") + world


def world_of(name: str) -> Synthetic | None:
    """The value of a synthetic set's name; None for every other name.

    "synthetic_birds@0.3" has a heterogeneity, "given_birds@0.3@4" also the seed of its world.

    Raises:
        UserError: no heterogeneity from 0 to 1, no seed of a world, or one of a painted set.
    """
    base, *knobs = name.split("@")
    if base not in SYNTHETIC | GIVEN:
        return None
    painted = base in SYNTHETIC
    if len(knobs) > (1 if painted else 2):
        form = f"{base}@H" if painted else f"{base}@H@SEED"
        raise UserError(f"data set '{name}': it is written {form}, as in {base}@0.5.")
    try:
        heterogeneity = float(knobs[0]) if knobs and knobs[0] else HETEROGENEITY
    except ValueError:
        heterogeneity = -1.0
    if not 0 <= heterogeneity <= 1:
        raise UserError(
            f"data set '{name}': the heterogeneity after @ must be a number from 0 to 1."
        )
    world = knobs[1] if len(knobs) == 2 else "0"
    if not (world.isascii() and world.isdecimal() and int(world) < 2**31):
        raise UserError(
            f"data set '{name}': the seed of its world after the second @ must be a whole number "
            "from 0 to 2147483647."
        )
    return Synthetic(base, heterogeneity, int(world))


def painted(name: str) -> Synthetic:
    """`world_of` of a set that has pictures.

    Raises:
        UserError: as `world_of`; no painted synthetic set.
    """
    s = world_of(name)
    if s is None or not s.painted:
        raise unknown("synthetic data set", name, SYNTHETIC)
    return s


def listed(text: str) -> list[str]:
    """The names in "A,B,C". A mix takes all names after it: "A,mix:B,C" are A and mix:B,C."""
    first, mix, rest = text.partition(MIX)
    names = [part.strip() for part in first.split(",") if part.strip()]
    return [*names, MIX + ",".join(mixed(MIX + rest))] if mix else names


def mixed(name: str) -> list[str]:
    """The parts of "mix:A,B,C"."""
    return [part.strip() for part in name.removeprefix(MIX).split(",") if part.strip()]
