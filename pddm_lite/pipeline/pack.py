"""Runs that come home (--pack, --unpack): packed into zip files where they were made, taken into a
store elsewhere.

A pack holds folders of runs as the store does, uncompressed, and once, in its first file, the
study they belong to (study.json). The same runs give the same bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import sys
import zipfile
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from ..paper.given_space.given import every
from ..store.errors import UserError
from ..store.files import beside, write_atomic, write_flushed
from ..store.store import Store, source_hash
from ..training.checks import STANDARD
from ..training.experiments import GROUPS
from ..training.runs import SOURCES, run_id
from ..training.study import Study
from . import options

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
        names = sorted(["manifest.json", *store.json(i, "manifest.json")["files"]])
        files = {f"{i}/{name}": store.path(i) / name for name in names}
        size = sum(_stored(name, file.stat().st_size) for name, file in files.items())
        if full + size + END > most and any("/" in name for name in parts[-1]):
            parts.append({})
            full = 0
        parts[-1] |= files
        full += size
    written = []
    for k, part in enumerate(parts, 1):
        file = path.with_name(f"{path.stem}-{k}{path.suffix}") if parts[1:] else path
        write_atomic(file, lambda f, part=part: _write(f, part))
        written.append(file)
    return written, len(there), len(ids)


def pack_runs(study: Study, args: argparse.Namespace) -> None:
    """--pack: a line for the log."""
    files, packed, total = pack(study, Path(args.pack), options.pack_size(args))
    sizes = (f"{f} ({f.stat().st_size / 2**20:.1f} MiB)" for f in files)
    print(f"pack        {packed} of {total} runs in {', '.join(sizes)}")


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
            info = zipfile.ZipInfo(name)  # starts with the time of 1980: the same bytes each time
            info.external_attr = 0o644 << 16
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
    except (zipfile.BadZipFile, RuntimeError, ValueError):  # RuntimeError: packed unlike ours
        why = "is torn or was not made by --pack; copy it again. Nothing was unpacked."
        raise UserError(f"--unpack {file} {why}") from None
    for m in members:
        name = m.orig_filename  # as it stands in the file
        if name != STUDY and not MEMBER.fullmatch(name):
            problem = "is no file of a run (ID/NAME.csv, .json, .npz or .pt)"
        elif m.compress_type != zipfile.ZIP_STORED or m.flag_bits & 1:
            problem = "is compressed or encrypted, which --pack does not do"
        else:
            continue
        raise UserError(f"--unpack {file}: {name!a} {problem}. Nothing was unpacked.")
    if not members:
        raise UserError(f"--unpack {file} holds no run.")
    return sorted({m.filename for m in members})


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
    words = ["python", "run_all.py"]
    if any(d.partition("@")[0] not in STANDARD for d in study.data):
        words += ["--data-root", "DIR"]
    for option in "profile data backbone weights mode methods seeds recipe variants name".split():
        value = getattr(study, option)
        asked = option in ("profile", "data", "backbone", "weights") and value
        if asked or value != getattr(plain, option):
            group = next((g for g, names in GROUPS.items() if names == value), "")
            text = value if isinstance(value, str) else group or ",".join(map(str, value))
            words += [f"--{option}", text or "none"]
    words += [word for text in study.settings for word in ("--set", text)]
    text = shlex.join([*words, "--stage", "notebooks,report"])
    return text if text.isprintable() else f"unknown: its {STUDY} holds control characters"


def take_packed(files: list[Path], results: Path) -> int:
    """--unpack: packed runs into the store of `results`; 0 if all were sound, else 1."""
    found = unpack(files, Store(results / "runs"))
    for i, problem in found.refused.items():
        print(f"unpack      run {i} was not taken: {problem}", file=sys.stderr)
    total = len(found.taken) + len(found.there)
    print(f"unpack      {len(found.taken)} runs taken, {len(found.there)} already there, "
          f"{len(found.refused)} refused")  # fmt: skip
    print(f"            {found.here} belong to this version of the code, {total - found.here} to "
          "another, whose runs it does not use")  # fmt: skip
    if found.draw:
        print(f"draw        {found.draw}")
    return 1 if found.refused else 0
