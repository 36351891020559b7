"""What README.md, CONTRIBUTING.md, DIFFERENCES.md and docs/ name is there: paths, links, commands,
options, settings, modules."""

import ast
import importlib
import re
import shlex
from pathlib import Path

import pytest

from pddm_lite import data as data_sets
from pddm_lite.data.__main__ import parser as data_parser
from pddm_lite.methods import METHODS
from pddm_lite.networks.backbones import NETWORKS
from pddm_lite.pipeline import cli, options
from pddm_lite.pipeline.notebooks import notebooks
from pddm_lite.store.errors import UserError
from pddm_lite.training import experiments

ROOT = Path(__file__).resolve().parents[1]
AT_THE_TOP = ("README.md", "CONTRIBUTING.md", "DIFFERENCES.md")
TEXTS = [*(ROOT / name for name in AT_THE_TOP), *sorted(ROOT.glob("docs/*.md"))]
NOTEBOOKS = "".join(p.read_text(encoding="utf-8") for p in ROOT.glob("notebooks/*.ipynb"))
RUN = "python run_all.py"
OUTSIDE = "torchrun --nproc-per-node 4 "  # what stands before a command of ours
BENCH = {"--out", "--device", "--only", "--quick"}  # of benchmarks/run.py
FENCE = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)


def spans(text: str) -> list[str]:
    """Code of a text: what stands in backticks, and the lines of its fences without comments."""
    inline = re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
    shell = [body.replace("\\\n", " ") for kind, body in FENCE.findall(text) if not kind]
    lines = [re.split(r"\s+#|^#", line)[0].strip() for body in shell for line in body.splitlines()]
    return [*inline, *filter(None, lines)]


def there(path: str) -> bool:
    """Whether a path is in the repository, or a figure whose evidence is not made anew yet."""
    if (ROOT / path).exists():
        return True
    figure = re.fullmatch(r"results/reference/quick/figures/(\d\d)_(\w+)\.png", path)
    if not figure or f'"{figure[1]}_{figure[2]}"' not in NOTEBOOKS.replace("\\", ""):
        return False
    return not list(ROOT.glob(f"results/reference/quick/notebooks/{figure[1]}_*.ipynb"))


def anchors(path: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in heads}


def broken_links(text: str, folder: Path = ROOT) -> list[str]:
    found = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (folder / path).resolve()
        if not target.is_relative_to(ROOT) or not there(target.relative_to(ROOT).as_posix()):
            found.append(link)
        elif anchor and anchor not in anchors(target):
            found.append(link)
    return found


def missing_paths(text: str) -> list[str]:
    """Paths in code that begin with a folder of the repository, and files at its top."""
    tops = "pddm_lite|notebooks|tests|docs|benchmarks|results/reference"
    words = [w for span in spans(text) for w in re.split(r"[\s,()\"']+", span)]
    found = [w for w in words if re.match(rf"({tops})/", w)]
    found += [w for w in words if re.fullmatch(r"\w+\.(py|md|yml|toml|cff)", w) and w.count("_")]
    return [w for w in found if not there(w.rstrip("/."))]


def resolves(name: str) -> bool:
    """Whether "pddm_lite.a.b.C" is a module, or a name in one."""
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        try:
            here = importlib.import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[n:]:
            if not hasattr(here, attribute):
                return False
            here = getattr(here, attribute)
        return True
    return False


def missing_names(text: str) -> list[str]:
    """Dotted names of the package, in code and in the imports of Python blocks."""
    names = {n for span in spans(text) for n in re.findall(r"\bpddm_lite(?:\.\w+)+", span)}
    for kind, body in FENCE.findall(text):
        for node in ast.walk(ast.parse(body)) if kind == "python" else ():
            if isinstance(node, ast.ImportFrom) and node.module.startswith("pddm_lite"):
                names |= {f"{node.module}.{a.name}" for a in node.names}
    return sorted(n for n in names if not resolves(n))


def placeholder(value: str) -> bool:
    return bool(re.fullmatch(r"[A-Z][A-Z_]*", value))  # DIR, FILE, HOST, A


def unknown_values(args) -> list[str]:
    """Values of run_all.py's options that name nothing."""
    known = {
        "profile": [args.profile, experiments.PROFILES],
        "recipe": [args.recipe, experiments.RECIPES],
        "mode": [args.mode, ("frozen", "finetune", "metric", "")],
        "backbone": [args.backbone, (*NETWORKS, "timm:NAME", "")],
        "methods": [args.methods, METHODS],
        "variants": [args.variants, (*experiments.CHANGES, *experiments.GROUPS, "none")],
        "only": [args.only, notebooks()],
        "stage": [args.stage, options.STAGES],
    }
    wrong = []
    for name, (value, allowed) in known.items():
        several = name in ("methods", "variants", "only", "stage")
        for v in options.names_in(value) if several else [value]:
            wrong += [f"--{name} {v}"] * (v not in allowed)
    sets = [d for name in data_sets.listed(args.data) for d in name.removeprefix("mix:").split(",")]
    for d in sets:
        if not placeholder(d) and d.partition(":")[0].partition("@")[0] not in data_sets.known():
            wrong.append(f"--data {d}")
    for setting in args.settings:
        if setting.partition("=")[0] in experiments.RENAMED:
            wrong.append(f"--set {setting}")
        elif setting != "NAME=VALUE":
            experiments.parse_setting(setting)
    return wrong


def wrong_commands(text: str) -> list[str]:
    """Commands that the parsers refuse, or that name what is not there."""
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    found = []
    for span in spans(text):
        span = span.replace(OUTSIDE, "python ")
        words = shlex.split(span) if re.match(r"python |make |--|\.venv", span) else []
        try:
            if words[:1] == ["make"]:
                found += [span] * (words[1] not in targets)
                words = shlex.split(" ".join(words[2:]).removeprefix("ARGS="))
                words = words if span.startswith("make reproduce") else []
            elif span.startswith(f"{RUN} ") and words[2] in cli.COMMANDS:
                command = importlib.import_module(f"pddm_lite.pipeline.{words[2]}")
                _, rest = command.parser().parse_known_args(words[3:])  # reproduce takes all
                found += [span] * (words[2] != "reproduce" and rest != [])
                continue
            elif span.startswith(RUN):
                words = words[2:]
            elif span.startswith("python -m pddm_lite.data "):
                args = data_parser().parse_args(words[3:])
                found += [span] * (getattr(args, "name", "folder") not in data_sets.known())
                continue
            elif not words or not words[0].startswith("--"):
                continue
            elif {w for w in words if w.startswith("--")} <= BENCH:
                continue
            elif len(words) == 1:  # an option by its name alone
                found += [span] * (words[0] not in options.parser()._option_string_actions)
                continue
            elif words[0] == "--set" and "=" not in span:
                words[1] += "=1"
            found += unknown_values(options.parser().parse_args(words))
        except UserError as err:
            found.append(f"{span}: {err}")
    return found


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: p.name)
def test_what_the_text_names_is_there(path):
    text = path.read_text(encoding="utf-8")
    assert broken_links(text, path.parent) == []
    assert missing_paths(text) == []
    assert missing_names(text) == []
    assert wrong_commands(text) == []


@pytest.mark.parametrize(
    ("find", "good", "bad"),
    [
        (broken_links, "[a](docs/data.md#synthetic-data)", "[a](docs/data.md#no-such-heading)"),
        (broken_links, "[a](README.md)", "[a](READYOU.md)"),
        (broken_links, "![](results/reference/README.md)",
         "![](results/reference/quick/figures/15_nowhere.png)"),
        (missing_paths, "`pddm_lite/pddm.py`", "`pddm_lite/pdm.py`"),
        (missing_paths, "```\npython run_all.py\n```", "```\npython run_some.py\n```"),
        (missing_names, "`pddm_lite.layer.PDDMLoss`", "`pddm_lite.layer.PDMLoss`"),
        (missing_names, "```python\nfrom pddm_lite.pddm import PDDM\n```",
         "```python\nfrom pddm_lite.pddm import PDM\n```"),
        (wrong_commands, "`make audit`", "`make audits`"),
        (wrong_commands, f"```\n{RUN} --data folder \\\n --jobs 2  # x\n```",
         f"```\n{RUN} --data folder \\\n --job 2\n```"),
        (wrong_commands, "`--set ema_decay=0.9`", "`--set average=0.9`"),
        (wrong_commands, "`--set lr=1`", "`--set rate=1`"),
        (wrong_commands, "`--data mix:A,B`", "`--data mix:cub2010,omniglot`"),
        (wrong_commands, "`--variants given`", "`--variants taken`"),
        (wrong_commands, f"`{RUN} --only 60_retrieval`", f"`{RUN} --only 61_retrieval`"),
        (wrong_commands, f"`{RUN} check --data-root DIR`", f"`{RUN} check --root DIR`"),
        (wrong_commands, "`python -m pddm_lite.data verify sop`",
         "`python -m pddm_lite.data verify soup`"),
    ],
)  # fmt: skip
def test_a_wrong_name_is_seen(find, good, bad):
    assert find(good) == [] and find(bad) != []


def test_the_table_of_settings_names_settings():
    text = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")
    table = text.split("| setting |")[1].split("\n\n")[0]
    names = {n for row in table.splitlines() for n in re.findall(r"`(\w+)`", row.split(" | ")[0])}
    fields = experiments.Experiment.__dataclass_fields__
    assert names and names <= set(fields)
    assert {"classes_per_batch", "embedding_size", "ema_decay", "negatives"} <= names
    old = re.search(r"Names of version 0\.1 \((.+?)\)", text, re.DOTALL)[1]
    assert set(re.findall(r"`(\w+)`", old)) == set(experiments.RENAMED)


def test_each_version_stands_in_the_file_that_is_named_for_it():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    pairs = re.findall(r"`([A-Z_]+)(?:\[\.\.\.\])?` in\s+`([\w/]+\.py)`", text)
    assert {"FIT", "MEASURE", "TRANSFER", "ZERO_SHOT", "COST", "PAINTER", "VERSION", "LOSSES"} <= {
        name for name, _ in pairs
    }
    for name, path in pairs:
        lines = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^{name}(: .+)? = ", lines, re.MULTILINE), f"{name} is not in {path}"


def test_the_readme_is_two_screens_and_names_every_notebook_and_doc():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    assert [n for n in notebooks() if f"(notebooks/{n}.ipynb)" not in text] == []
    linked = text + (ROOT / "docs" / "running.md").read_text(encoding="utf-8")
    assert [p.name for p in ROOT.glob("docs/*.md") if f"docs/{p.name}" not in linked] == []
