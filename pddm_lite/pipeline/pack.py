"""Runs that come home: packed into zip files where they were made, taken into a store elsewhere.

A pack holds folders of runs as the store does, uncompressed, and once, in its first file, the
study they belong to (study.json). The same runs give the same bytes.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import zipfile
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from ..paper.given_space.given import every
from ..store.errors import UserError
from ..store.files import beside, write_atomic, write_flushed
from ..store.store import Store, source_hash
from ..training.experiments import GROUPS
from ..training.runs import SOURCES, run_id
from ..training.study import EMBEDDED, Study

STUDY = "study.json"
END = 22  # bytes that close a zip file
MEMBER = re.compile(r"[0-9a-f]{16}/[a-z_]+\.(csv|json|npz|pt)")  # run id/file: what stores write


def check_target(path: Path) -> None:
    """UserError if no pack can be written there; to be asked before hours of runs."""
    if path.is_dir():
        raise UserError(f"--pack {path} is a folder; give the name of a file in it.")
    if not path.parent.is_dir():
        raise UserError(f"--pack {path}: there is no folder {path.parent}; make it first.")


def pack(study: Study, path: Path, most: int) -> tuple[list[Path], int, int]:
    """Write the study's runs that are in its store into `path`, and say where they went.

    Args:
        path: the zip file; where the runs do not fit into one of `most` bytes, NAME-1.zip,
            NAME-2.zip and so on in its place. A run is never divided: one that is larger by itself
            has a file for itself.

    Returns:
        The files, the number of runs in them, and the number of runs of the study.

    Raises:
        UserError: none of the runs is in the store, or the files cannot be written.
    """
    store = Store(Path(study.results) / "runs")
    ids = sorted({run_id(e, study.load(e.data)) for e in every(study)})
    there = [i for i in ids if store.has(i)]
    if not there:
        raise UserError(f"none of the study's {len(ids)} runs is in {store.folder}: make them by "
                        "--stage data,runs.")  # fmt: skip
    about = json.dumps(_about(study), indent=1).encode()
    parts: list[dict[str, Path | bytes]] = [{STUDY: about}]
    full = _stored(STUDY, len(about))
    for i in there:
        names = ["manifest.json", *store.json(i, "manifest.json")["files"]]
        files = {f"{i}/{name}": store.path(i) / name for name in sorted(names)}
        size = sum(_stored(name, file.stat().st_size) for name, file in files.items())
        if full + size + END > most and any("/" in name for name in parts[-1]):
            parts.append({})
            full = 0
        parts[-1] |= files
        full += size
    several = len(parts) > 1
    written = []
    for k, part in enumerate(parts, 1):
        file = path.with_name(f"{path.stem}-{k}{path.suffix}") if several else path
        write_atomic(file, lambda f, part=part: _write(f, part))
        written.append(file)
    return written, len(there), len(ids)


def _about(study: Study) -> dict[str, object]:
    """The study's arguments without the places of this machine."""
    file = Path(study.weights).expanduser().is_file()
    return {**study.content(), "name": study.name, "weights": "FILE" if file else study.weights}


def _stored(name: str, size: int) -> int:
    """Bytes that a file of that size takes in a zip: itself, and its entries of 30 and 46."""
    return size + 30 + 46 + 2 * len(name)


def _write(f, part: dict[str, Path | bytes]) -> None:
    with zipfile.ZipFile(f, "w", zipfile.ZIP_STORED) as z:
        for name, content in part.items():
            # the time of 1980 that ZipInfo starts with, for the same bytes each time
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            z.writestr(info, content if isinstance(content, bytes) else content.read_bytes())


@dataclass(frozen=True)
class Unpacked:
    """What became of the runs of a pack."""

    taken: list[str]  # ids now in the store
    there: list[str]  # ids that were in the store, unharmed, and were left alone
    refused: dict[str, str]  # id -> why it was not taken
    here: int  # runs of `taken` and `there` that were made by the code that is here
    draw: str  # the command that draws the study, or why there is none; "" if no file tells


def unpack(files: list[Path], store: Store) -> Unpacked:
    """Take the runs of pack files into the store, each whole or not at all.

    Every file is looked through before anything is written; every run is checked against the
    checksums of its manifest before it is put in its place.

    Raises:
        UserError: a file that is missing, torn or no pack, a member that is no file of a run, or a
            store that cannot be written.
    """
    members = {file: _look_through(file) for file in files}
    taken, there, refused = [], [], {}
    for file, names in members.items():
        for i, of_run in groupby((n for n in names if n != STUDY), lambda n: n.partition("/")[0]):
            if store.has(i):
                there.append(i)
            elif problem := _take(i, file, list(of_run), store):
                refused[i] = problem
            else:
                taken.append(i)
    there = sorted({*there} - {*taken})  # two files may hold the same run
    source = source_hash(*SOURCES)
    here = sum(store.json(i, "manifest.json").get("source") == source for i in taken + there)
    told = next((_command(file) for file, names in members.items() if STUDY in names), "")
    return Unpacked(taken, there, refused, here, told)


def _look_through(file: Path) -> list[str]:
    """Names of a pack's members, all of them allowed; UserError otherwise."""
    try:
        with zipfile.ZipFile(file) as z:
            members = z.infolist()
    except FileNotFoundError:
        raise UserError(f"--unpack {file}: no such file.") from None
    except OSError as err:
        raise UserError(f"--unpack {file} cannot be read ({err.strerror}).") from None
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        raise UserError(
            f"--unpack {file} is torn or was not made by --pack; copy it again. Nothing was "
            "unpacked."
        ) from None
    seen: set[str] = set()
    for m in members:
        name = m.orig_filename  # as it stands in the file
        kind = stat.S_IFMT(m.external_attr >> 16)
        if name != STUDY and not MEMBER.fullmatch(name):
            problem = "is no file of a run (ID/NAME.csv, .json, .npz or .pt)"
        elif kind not in (0, stat.S_IFREG):
            problem = "is a link or no plain file"
        elif name in seen:
            problem = "is there twice"
        elif m.compress_type != zipfile.ZIP_STORED or m.flag_bits & 1:
            problem = "is compressed or encrypted, which --pack does not do"
        else:
            seen.add(name)
            continue
        raise UserError(f"--unpack {file}: {name!a} {problem}. Nothing was unpacked.")
    if not seen:
        raise UserError(f"--unpack {file} holds no run.")
    return sorted(seen)


def _read(file: Path, names: list[str]) -> dict[str, bytes]:
    """Contents of members, their zip checksums verified; zipfile.BadZipFile where one differs."""
    with zipfile.ZipFile(file) as z:
        return {name: z.read(name) for name in names}


def _take(i: str, file: Path, names: list[str], store: Store) -> str:
    """Put one run into the store; "" or, in a few words, why it was not."""
    try:
        contents = {name.partition("/")[2]: data for name, data in _read(file, names).items()}
        manifest = json.loads(contents["manifest.json"])
        whole = manifest["id"] == i and {*manifest["files"], "manifest.json"} == {*contents}
    except (zipfile.BadZipFile, EOFError):
        return "a file of it was changed or torn"
    except (KeyError, ValueError, TypeError):
        return "its manifest is missing or cannot be read"
    if not whole:
        return "its manifest names other files than there are"
    with beside(store.path(i), folder=True) as temporary:
        aside = Store(temporary)
        aside.path(i).mkdir()
        for name, data in contents.items():
            write_flushed(aside.path(i) / name, lambda f, data=data: f.write(data))
        if problem := aside.problem(i):
            return problem
        if store.path(i).exists():  # torn, or it would have been left alone
            os.rename(store.path(i), temporary / "old")
        os.rename(aside.path(i), store.path(i))
    return ""


def _command(file: Path) -> str:
    """The command that draws a packed study here; DIR and FILE stand for places of this machine."""
    try:
        study = Study.of(**json.loads(_read(file, [STUDY])[STUDY]))
        plain = Study.of(study.profile, study.data, backbone=study.backbone, weights=study.weights)
    except UserError as err:
        return f"not by this version of the code: {err}"
    except (zipfile.BadZipFile, ValueError, TypeError, AttributeError):
        return f"unknown: its {STUDY} cannot be read"
    real = any(d.partition("@")[0] not in EMBEDDED for d in study.data)
    words = ["python", "run_all.py"]
    if study.profile != "quick":
        words += ["--profile", study.profile]
    if study.data != EMBEDDED:
        words += ["--data", ",".join(study.data)]
    if real:
        words += ["--data-root", "DIR"]
    if real or study.backbone != "smallnet":
        words += ["--backbone", study.backbone]
    if study.weights:
        words += ["--weights", study.weights]
    for option in ("mode", "methods", "seeds", "recipe", "settings", "variants", "name"):
        value = getattr(study, option)
        if value == getattr(plain, option):
            continue
        if option == "settings":
            words += [word for text in value for word in ("--set", text)]
        else:
            group = next((g for g, names in GROUPS.items() if names == value), "")
            text = value if isinstance(value, str) else group or ",".join(map(str, value))
            words += [f"--{option}", text or "none"]
    text = shlex.join([*words, "--stage", "notebooks,report"])
    return text if text.isprintable() else f"unknown: its {STUDY} holds control characters"


__all__ = ["Unpacked", "check_target", "pack", "unpack"]
