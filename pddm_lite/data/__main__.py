"""python -m pddm_lite.data: list, verify, download and look at data sets."""

from __future__ import annotations

import argparse
import os
import sys

from ..store.arguments import Parser
from ..store.errors import UserError, escape_letters, shut
from . import GIVEN, GIVEN_WORLDS, HETEROGENEITY, SYNTHETIC
from .base import shown
from .download import Failed, download
from .real import REAL
from .verify import stats, verify

MOST = 20  # problems shown
EPILOG = """examples:
  python -m pddm_lite.data list
  python -m pddm_lite.data download cub200_2011 --data-root DIR
  python -m pddm_lite.data verify cub200_2011 --data-root DIR
  python -m pddm_lite.data stats folder --data-root MY_IMAGES
exit code: 0 all well; 1 problems in the data or the download, a line each; 2 wrong use"""


def parser() -> Parser:
    p = Parser(
        prog="python -m pddm_lite.data",
        description="Data sets: what there is, whether it is whole, how to get it, what is in it.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = p.add_subparsers(dest="command", required=True, metavar="COMMAND")
    texts = {
        "list": "names, titles, splits, terms and how to get each",
        "verify": "counts, checksum of the archive, every image decoded",
        "download": "fetch, check and unpack; goes on where it was stopped",
        "stats": "classes, images, sizes and modes",
    }
    for command, text in texts.items():
        c = commands.add_parser(command, help=text, description=text)
        if command == "list":
            continue
        c.add_argument("name", metavar="NAME", help="a data set, see list")
        c.add_argument("--data-root", default="", metavar="DIR", help="where real data lie")
        if command == "verify":
            c.add_argument("--partial", action="store_true", help="accept a subset's counts")
        if command == "stats":
            c.add_argument("--profile", default="quick", help="size of the synthetic world")
    return p


def listing() -> str:
    """All data sets, three lines each."""
    half, lines = "first half of the classes trains, the other half tests", []

    def tell(name: str, *texts: str) -> None:
        lines.extend(
            f"{head:<16} {text}" for head, text in zip((name, "", ""), texts, strict=False)
        )

    for name, s in REAL.items():
        split = half
        if s.classes:
            split = (
                f"train {s.train_classes:,} classes / {s.train_images:,} images, test "
                f"{s.classes - s.train_classes:,} / {s.images - s.train_images:,}"
            )
        tell(name, s.title, f"{split}; {s.licence}", s.get)
    for name, kind in SYNTHETIC.items():
        title = f"synthetic {kind}; {name}@H sets the heterogeneity (default {HETEROGENEITY:g})"
        tell(name, title, f"{half}; MIT", "made here, nothing to fetch")
    for name, kind in GIVEN.items():
        title = f"the {kind}' geometry without pictures; {name}@H@SEED is the world of that seed"
        split = f"{GIVEN_WORLDS['quick'][0]} species, two thirds train; MIT"
        tell(name, title, split, "for --backbone latents")
    tell("folder", "your images: the data root is a tree <class>/<image>", half)
    tell("folder:NAME", "the same in NAME/ or NAME.zip below the data root", half)
    lines.append("NAME@N of a real set: N of its classes, drawn at random, train")
    lines.append("mix:A,B,C joins sets; each keeps its split, and its negatives to itself")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    escape_letters()
    try:
        try:
            return _run(parser().parse_args(argv), bar=sys.stdout.isatty())
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # who reads has enough, as `head` has: no error, and no more to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as of any program that SIGPIPE ends
    except (UserError, OSError) as err:
        said = (isinstance(err, OSError) and shut(err)) or err
        print(f"error: {shown(said)}", file=sys.stderr)
        return 1 if isinstance(err, Failed | OSError) else 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        return 130


def _run(args: argparse.Namespace, bar: bool) -> int:
    if args.command == "list":
        print(listing())
    elif args.command == "stats":
        print("\n".join(stats(args.name, args.data_root, args.profile)))
    elif args.command == "download":
        download(args.name, args.data_root, bar=bar)
    else:
        report = verify(args.name, args.data_root, args.partial, bar=bar)
        lines = report.facts + [f"warning: {w}" for w in report.warnings]
        lines += [f"problem: {p}" for p in report.problems[:MOST]]
        if (more := len(report.problems) - MOST) > 0:
            lines.append(f"and {more:,} problems more")
        print("\n".join([*lines, *([] if report.problems else ["all well"])]))
        return 1 if report.problems else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
