"""One figure, table or notebook made again, and its numbers compared: `run_all.py reproduce`."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path

from ..store.errors import UserError
from ..training import ownership
from . import cli, compare, provenance
from . import options as pipeline_options

REFERENCE = provenance.ROOT / "results" / "reference"


def parser() -> pipeline_options.Parser:
    p = pipeline_options.Parser(
        prog="run_all.py reproduce",
        usage="%(prog)s PATH [any option of run_all.py, in place of the one that was used]",
        description="Make one figure, table or executed notebook again, by its notebook and the "
        "command that made it, and say whether its numbers came out the same. What lies in "
        "results/reference is left as it is: the new one goes to --results (default results).",
        epilog="exit code: 0 the same numbers; 1 others, or it failed; 2 wrong use",
    )
    p.add_argument("path", metavar="PATH", help="as in results/quick/figures/60_retrieval.png")
    return p


def main(argv: list[str]) -> int:
    args, options = parser().parse_known_args(argv)
    known = provenance.of(args.path)
    results = known.folder.parent
    if known.folder.is_relative_to(REFERENCE):
        results = provenance.ROOT / "results"
    words = [*known.command, "--results", str(results), *options, "--stage", "notebooks"]
    asked = pipeline_options.parser().parse_args(words)
    study = pipeline_options.study_of(asked)
    if study.folder == known.folder and known.folder.is_relative_to(REFERENCE):
        raise UserError(f"--results {asked.results} is the reference; name another folder.")
    _tell(known, words)
    if other := ownership.difference(study):
        raise UserError(
            f"{study.folder} holds another study's figures ({other}); give --name or --results, so "
            "that they stay."
        )
    with tempfile.TemporaryDirectory() as aside:
        before = {f: _kept(known.folder, f, Path(aside)) for f in known.files}
        code = cli.main(words)
        if code or asked.dry_run:
            return code
        return _judge(before, study.folder)


def _tell(known: provenance.Known, words: list[str]) -> None:
    print("reproduce   " + shlex.join(["python", "run_all.py", *words]))
    made = known.record
    machine = f"{made['gpu'] or made['cpu']}, Python {made['python']}, torch {made['torch']}"
    print(f"made of     {len(made['runs'].split())} runs, at commit {made['commit'] or 'unknown'}, "
          f"by {machine}", flush=True)  # fmt: skip


def _kept(folder: Path, file: str, aside: Path) -> Path | None:
    """A copy of the numbers as they are, before they are made again; None where there are none."""
    path = folder / f"{file}.csv"
    if not path.exists():
        return None
    copy = aside / file.replace("/", "-")
    copy.write_bytes(path.read_bytes())
    return copy


def _judge(before: dict[str, Path | None], folder: Path) -> int:
    """Say of each file how its numbers differ from those before; 1 if any does."""
    differ = False
    for file, old in before.items():
        new = folder / f"{file}.csv"
        if not new.exists():
            if not file.startswith("notebooks/"):
                print(f"{file}: was not made: the notebook writes it no more")
                differ = True
            continue
        if old is None:
            print(f"{file}: made; there were no numbers to compare with")
            continue
        found, times = compare.differences(old, new)
        said = "identical" if old.read_bytes() == new.read_bytes() else "the same to six digits"
        print(f"{file}: " + ("; ".join(found) if found else said)
              + (f"; times, not counted: {'; '.join(times)}" if times else ""))  # fmt: skip
        differ |= bool(found)
    return int(differ)
