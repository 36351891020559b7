"""Whether a data set is whole and readable, and what is in it."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..store.errors import UserError
from ..store.files import digest
from ..store.progress import progress
from . import SYNTHETIC, data_root, load
from .base import ImageSet, spread
from .real import REAL

SMALL, LARGE = 8, 10_000  # pixels a side below and above which an image deserves a look
DARK = 16  # of 255: what 12 bits in a file of 16 come to
SAMPLE = 200  # images that `stats` looks at
FAR_BELOW = 0.5  # of the typical shorter side: such an image is enlarged to more than twice it


@dataclass
class Report:
    """What `verify` found, a line each; the set is well if there are no problems."""

    facts: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def verify(name: str, root: str | Path = "", partial: bool = False, bar: bool = True) -> Report:
    """Check the counts, the archive's checksum and, by decoding it, every image of a data set.

    Args:
        name, root: as for `load`.
        partial: accept other counts and checksums than the official ones, for subsets.

    Raises:
        UserError: unknown name or no such root. All that is wrong with the data themselves is a
            problem in the Report.
    """
    report = Report()
    if name.partition("@")[0] not in SYNTHETIC:
        root = data_root(name, root)
        if not partial:  # a subset's lists are its own
            _check_archives(report, name, root)
    try:
        data = load(name, root, complete=False)
    except UserError as err:
        report.problems.append(str(err))
        return report
    report.facts.append(
        f"{data.title}: {len(data.class_names):,} classes, {len(data):,} images, "
        f"{len(data.train):,} train and {len(data.test):,} test"
    )
    report.warnings += data.notes
    if not partial:
        _check_counts(report, name, data)
    _check_images(report, data, bar)
    return report


def _check_archives(report: Report, name: str, root: Path) -> None:
    for archive in REAL[name].archives if name in REAL else ():
        found = [p for p in (root / archive.file, root.parent / archive.file) if p.is_file()]
        for path in found[:1]:
            if (right := digest(path, "md5")) == archive.md5:
                report.facts.append(f"{path}: md5 is right")
            else:
                wrong = f"{path}: md5 is {right}, but {archive.md5} is right; fetch it again."
                report.problems.append(wrong)


def _check_counts(report: Report, name: str, data: ImageSet) -> None:
    spec = REAL.get(name)
    if not (spec and spec.classes):
        report.facts.append("no official counts to compare with")
        return
    pairs = {
        "classes": (len(data.class_names), spec.classes),
        "images": (len(data), spec.images),
        "training images": (len(data.train), spec.train_images),
        "test images": (len(data.test), spec.images - spec.train_images),
    }
    for what, (found, right) in pairs.items():
        if found != right:
            report.problems.append(
                f"{found:,} {what}, but {right:,} belong there; --partial accepts a subset."
            )


def _check_images(report: Report, data: ImageSet, bar: bool) -> None:
    looked = {}  # image -> mode, size, largest value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, on odd but readable metadata and large sizes
        for i in progress(range(len(data)), f"verify {data.name}", bar, unit="image"):
            try:
                looked[i] = _look(data, i)
            except UserError as err:
                report.problems.append(str(err))
    report.facts.append(f"{len(looked):,} images decoded")
    modes = Counter(mode for mode, _, _ in looked.values())
    others = ", ".join(f"{k:,} of mode {m}" for m, k in modes.most_common() if m != "RGB")
    if others:
        report.facts.append(f"converted to RGB: {others}")
    sizes = {i: size for i, (_, size, _) in looked.items()}
    small = [i for i in sizes if min(sizes[i]) < SMALL]
    large = [i for i in sizes if max(sizes[i]) > LARGE]
    for odd, than in ((small, f"smaller than {SMALL}"), (large, f"larger than {LARGE:,}")):
        if odd:
            first = f"{_name(data, odd[0])} ({sizes[odd[0]][0]} x {sizes[odd[0]][1]})"
            report.warnings.append(f"{len(odd):,} images {than} pixels a side, as {first}")
    if dark := [i for i, (_, _, top) in looked.items() if top <= DARK]:
        report.warnings.append(
            f"{len(dark):,} images are all but black, with no value above {DARK} of 255, as "
            f"{_name(data, dark[0])}; of 16 bits, such a file may hold 12: scale it to all 16"
        )
    sides = {i: min(size) for i, size in sizes.items() if min(size) >= SMALL}
    if far := [i for i in sides if sides[i] < FAR_BELOW * data.side]:
        least = min(far, key=sides.get)
        report.warnings.append(
            f"{len(far):,} images have less than half of the typical shorter side, {data.side} "
            f"pixels, as {_name(data, least)} ({sides[least]}){_whole_classes(data, far)}"
        )


def _whole_classes(data: ImageSet, idx: list[int]) -> str:
    """Of which classes all images are among `idx`: a network knows those by their blur."""
    counts = np.bincount(data.labels[idx], minlength=len(data.class_names))
    whole = np.flatnonzero((counts > 0) & (counts == np.bincount(data.labels)))
    if not len(whole):
        return ""
    more = f" and of {len(whole) - 1:,} classes more" if len(whole) > 1 else ""
    return f"; all images of class '{data.class_names[whole[0]]}'{more}, which blur gives away"


def _name(data: ImageSet, i: int) -> str:
    """What to call image i: its file, where it lies in one."""
    return data.read.names[i] if hasattr(data.read, "names") else f"image {i}"


def _look(data: ImageSet, i: int) -> tuple[str, tuple[int, int], int]:
    """Mode, size (width, height) and largest value, 0 to 255, of image i, which is decoded."""
    if hasattr(data.read, "look"):
        image, mode, size = data.read.look(i)
    else:
        image = data.read(i)  # the synthetic world, whose images lie in no file
        mode, size = image.mode, image.size
    return mode, size, max(top for _, top in image.getextrema())


def stats(name: str, root: str | Path = "", profile: str = "quick") -> list[str]:
    """What is in a data set, as lines of text; sizes and modes are those of SAMPLE images.

    Raises:
        UserError: as `load`; a broken image in the sample.
    """
    data = load(name, root, profile)
    looked = [_look(data, int(i)) for i in spread(len(data), SAMPLE)]
    sizes = np.array([size for _, size, _ in looked])
    modes = Counter(mode for mode, _, _ in looked).most_common()
    first = data.train_classes
    return [
        f"{data.title} ({data.name}), fingerprint {data.fingerprint}",
        f"classes      {len(data.class_names):,}: {first:,} train, "
        f"{len(data.class_names) - first:,} test",
        f"images       {len(data):,}: {len(data.train):,} train, {len(data.test):,} test",
        f"a class has  {_three(np.bincount(data.labels))} images",
        f"width        {_three(sizes[:, 0])} pixels",
        f"height       {_three(sizes[:, 1])} pixels",
        f"typical      {data.side} pixels, the shorter side that the crop goes by",
        f"modes        {', '.join(f'{m} {k}' for m, k in modes)}",
        f"(min / median / max; widths, heights and modes of {len(looked)} images)",
        *data.notes,
    ]


def _three(values: np.ndarray) -> str:
    return f"{values.min():g} / {np.median(values):g} / {values.max():g}"
