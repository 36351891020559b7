"""The options of run_all.py: its parser, its constants, and the Study they ask for."""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import data as data_sets
from ..networks.backbones import NETWORKS
from ..store.arguments import Parser
from ..store.cores import cores
from ..store.errors import UserError
from ..training.experiments import PROFILES, RECIPES
from ..training.study import Study

STAGES = ("data", "runs", "notebooks", "report")
# before any worker or kernel starts: one thread each, the same cuBLAS kernels each time
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}
EPILOG = """examples:
  python run_all.py                                   synthetic data, quick: minutes on a CPU
  python run_all.py --profile smoke                   the same in seconds, for a look
  python run_all.py --data cub200_2010 --data-root DIR --backbone mobilenet_v2 --weights FILE
  python run_all.py --data folder --data-root MY_IMAGES --backbone resnet18
  python run_all.py --profile paper --data cub200_2010 --data-root DIR     a GPU's work
  python run_all.py --stage data,runs --pack FILE.zip  there; and here, to draw what was made there:
  python run_all.py --unpack FILE.zip
  python run_all.py --only 60_retrieval --force        that notebook again, with the runs there are
  python run_all.py --stage runs --force               the runs again
and four commands of their own (each with --help):
  python run_all.py audit                             are stored runs what the code computes now?
  python run_all.py check                             is everything there that a run needs?
  python run_all.py reproduce PATH                    one figure, table or notebook, again
  python run_all.py compare A B                       what differs between two results folders
Several batches may share one results folder, also from several machines: each run is made once.
exit code: 0 all done; 1 something failed, the rest was done; 2 wrong use, or the results cannot be
written; 130 interrupted; 143 terminated"""


def parser() -> Parser:
    p = Parser(
        prog="run_all.py",
        description="Every run, notebook, table and figure, and an HTML report with the verdicts.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = p.add_argument
    add("--profile", default="quick", help=f"scale: {', '.join(PROFILES)} (default quick)")
    add("--data", default="", metavar="A,B", help=f"data sets: {', '.join(data_sets.known())}")
    add("--data-root", default="", metavar="DIR", help="where real data sets lie")
    add("--backbone", default="", help=f"network: {', '.join(NETWORKS)}, timm:NAME")
    add("--weights", default="", help="a local weights file, 'imagenet', a torchvision name "
        "(IMAGENET1K_V1) or 'none'")  # fmt: skip
    add("--mode", default="", help="frozen (cached features) or finetune (end to end)")
    add("--recipe", default="default", help=f"{', '.join(RECIPES)}: see DIFFERENCES.md")
    add("--methods", default="", metavar="A,B", help="rows of Table 1 (see --list); default all")
    add("--seeds", default="", metavar="0,1,2", help="seeds, paired over methods")
    add("--set", action="append", default=[], metavar="NAME=VALUE", dest="settings",
        help="change a setting of all runs, as in --set alpha=0.2; repeatable")  # fmt: skip
    add("--variants", default="core", metavar="A,B", help="changes of the recipe to compare: "
        "names or groups (see --list), or none; default core")  # fmt: skip
    add("--results", default="results", metavar="DIR", help="where everything is written")
    add("--name", default="", metavar="TEXT", help="the study's own folder in there; default named "
        "after profile, data, mode, recipe and settings")  # fmt: skip
    add("--device", default="", help="cpu, cuda, cuda:1; default a GPU where there is one")
    add("--jobs", default=str(cores()), help="processes at a time (default: cores)")
    add("--scheduler", default="", metavar="ADDRESS", help="work on the workers of this Dask "
        "scheduler (tcp://HOST:8786), not in processes here; all share --results")  # fmt: skip
    add("--only", default="", metavar="A,B", help="just these notebooks and what they need")
    add("--stage", default="", metavar="A,B", help=f"just these stages: {', '.join(STAGES)}")
    add("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
        help="a parameter of the notebooks chosen by --only")  # fmt: skip
    add("--pack", default="", metavar="FILE", help="put the study's runs into this zip file, or "
        "several, for another machine")  # fmt: skip
    add("--pack-size", default="15", metavar="MIB", help="largest such file, in MiB; default 15")
    add("--unpack", nargs="+", action="extend", default=[], metavar="FILE",
        help="take packed runs into the store, and do nothing else")  # fmt: skip
    add("--force", action="store_true", help="make again what is there: runs and notebooks; with "
        "--only just these notebooks, unless --stage names runs too")  # fmt: skip
    add("--dry-run", action="store_true", help="say what would be done, and do nothing")
    add("--explain", action="store_true", help="say what is stale, and why")
    add("--list", action="store_true", help="list data sets, methods, networks and notebooks")
    return p


def names_in(text: str) -> list[str]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if text and not parts:
        raise UserError(f"{text!r} names nothing; give names with commas between, as in A,B.")
    return parts


def seeds_in(text: str) -> list[int]:
    try:
        return [int(part) for part in names_in(text)]
    except ValueError:
        raise UserError(f"--seeds takes integers, as in 0,1,2, not '{text}'.") from None


def study_of(args: argparse.Namespace) -> Study:
    """The Study that the command line asks for; paths made absolute, since notebooks move."""
    weights = args.weights
    if weights and Path(weights).expanduser().exists():
        weights = str(Path(weights).expanduser().resolve())
    return Study.of(
        profile=args.profile,
        data=names_in(args.data) and data_sets.listed(args.data),
        data_root=str(Path(args.data_root).expanduser().resolve()) if args.data_root else "",
        backbone=args.backbone,
        weights=weights,
        mode=args.mode,
        methods=names_in(args.methods),
        seeds=seeds_in(args.seeds),
        recipe=args.recipe,
        settings=args.settings,
        variants=[v for v in names_in(args.variants) if v != "none"],
        results=str(Path(args.results).expanduser().resolve()),
        name=args.name,
        device=args.device,
    )


def pack_size(args: argparse.Namespace) -> int:
    """--pack-size in bytes."""
    try:
        size = float(args.pack_size)
    except ValueError:
        size = 0
    if not 0 < size < 1e6:
        raise UserError(f"--pack-size is a number of MiB above 0, not '{args.pack_size}'.")
    return int(size * 2**20)
