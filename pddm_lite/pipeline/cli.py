"""The command line of run_all.py: what its words make happen."""

from __future__ import annotations

import argparse
import os
import sys
import time
from importlib import import_module
from pathlib import Path

from torch import distributed as dist

from .. import data as data_sets
from ..methods import METHODS
from ..networks.backbones import NETWORKS
from ..store import distributed
from ..store.errors import SHUT, UserError, escape_letters, shut
from ..training.experiments import CHANGES, GROUPS, PROFILES, RECIPES
from . import pack, processes
from .options import ENVIRONMENT, names_in, pack_size, parser, study_of

COMMANDS = ("audit", "check", "compare", "reproduce")  # modules beside this one


def _unpack(args: argparse.Namespace) -> int:
    default = parser().get_default
    for option, value in vars(args).items():
        if option not in ("unpack", "results") and value != default(option):
            odd = option.replace("_", "-")
            raise UserError(f"--unpack takes no option beside it but --results, not {odd}.")
    files = [Path(f).expanduser() for text in args.unpack for f in names_in(text)]
    return pack.take_packed(files, Path(args.results).expanduser().resolve())


def listing() -> str:
    from .notebooks import notebooks

    rows = [
        "data sets   " + ", ".join(data_sets.known()),
        "methods     " + ", ".join(METHODS),
        "networks    " + ", ".join([*NETWORKS, "timm:NAME"]),
        "profiles    " + ", ".join(PROFILES),
        "recipes     " + ", ".join(RECIPES),
        "variants    " + ", ".join(CHANGES),
        "  in groups " + ", ".join(GROUPS),
        "notebooks   " + ", ".join(notebooks()),
    ]
    return "\n".join(rows)


def _refused(err: UserError | OSError | UnicodeEncodeError) -> int:
    said = (isinstance(err, OSError) and shut(err)) or err
    if isinstance(err, UnicodeEncodeError):  # a path that the locale has no letters for
        said = f"{err.object!r} cannot be a path in this locale ({err.encoding}); set PYTHONUTF8=1."
    print(f"error: {said}", file=sys.stderr)
    return 2


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    escape_letters()
    try:
        if argv[:1] and argv[0] in COMMANDS:
            return import_module(f".{argv[0]}", __package__).main(argv[1:])
        args = parser().parse_args(argv)
        names = [name for name, _ in args.parameter]
        for name in names:
            if names.count(name) > 1:
                raise UserError(f"parameter {name} is given more than once (-p); give it once.")
    except (UserError, *SHUT, UnicodeEncodeError) as err:
        return _refused(err)
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        if args.list:
            print(listing())
            return 0
        if args.unpack:
            return _unpack(args)
        if not args.jobs.isdecimal() or not 1 <= int(args.jobs) <= 1024:
            raise UserError(f"--jobs must be 1 or more, to 1024, not '{args.jobs[:20]}'.")
        pack_size(args)
        if args.pack:
            args.pack = str(Path(args.pack).expanduser())
            pack.check_target(Path(args.pack))
        from . import runs, stages

        args.device = distributed.start(args.device)
        if distributed.world() > 1:
            args.settings.append(f"ranks={distributed.world()}")
            return runs.run_together(study_of(args), args)
        return stages.run(study_of(args), args, time.time())
    except (UserError, *SHUT, UnicodeEncodeError) as err:
        return _refused(err)
    except KeyboardInterrupt:
        print(processes.INTERRUPTED, file=sys.stderr)
        return 130
    finally:
        if dist.is_initialized():  # its threads may abort a process that ends without this
            dist.destroy_process_group()
