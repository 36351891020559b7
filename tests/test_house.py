"""The order of the house: imports go down and in no circle, packages say what they are."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "pddm_lite"
LONGEST = 350  # lines of a file
CORE = ("pddm", "mining", "losses")
SLICES = tuple(
    f"paper.{p.parent.name}"
    for p in PACKAGE.glob("paper/*/__init__.py")
    if p.parent.name != "verdict"
)
OLD_NAMES = ("own_metric", "pretrain", "reference")  # stubs for the imports of before
# from the ground up: a module may import those of its own floor's room and all floors below
FLOORS = (
    (*CORE, ""),
    ("store",),
    ("methods",),
    ("data",),
    ("networks", "measures"),
    ("training",),
    ("layer", "interop"),
    ("paper",),
    (*SLICES, "own_data"),
    ("paper.verdict",),
    ("pipeline",),
    OLD_NAMES,
)
# `interop` builds on `layer`; the unit's all_pairs takes the fast way where the kit is around it
ALSO = {("losses", "mining"), ("losses", "pddm"), ("mining", "pddm"), ("interop", "layer")}
FAST = ("pddm", "measures.tiles")


def name_of(path: Path, package: Path = PACKAGE) -> str:
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules(package: Path = PACKAGE) -> dict[str, Path]:
    return {name_of(p, package): p for p in sorted(package.rglob("*.py"))}


def imports(name: str, path: Path, known: dict[str, Path]) -> set[str]:
    """Modules of the package that one imports anywhere in its text, late or for types alone too."""
    inside = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {a.name.removeprefix("pddm_lite.") for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = (node.module or "").split(".")
            if node.level:
                base = [*inside[: len(inside) - node.level + 1], *filter(None, base)]
            elif base[0] == "pddm_lite":
                base = base[1:]
            else:
                continue
            for a in node.names:
                full = ".".join([*filter(None, base), a.name])
                found.add(full if full in known else ".".join(filter(None, base)))
    return found & known.keys() - {name}


def arrows(package: Path = PACKAGE) -> dict[str, set[str]]:
    known = modules(package)
    return {name: imports(name, path, known) for name, path in known.items()}


def room(name: str) -> str:
    """The longest entry of FLOORS that the module lies in."""
    rooms = [r for floor in FLOORS for r in floor if name == r or name.startswith(f"{r}.")]
    return max(rooms, key=len, default="?")


def floor(name: str) -> int:
    return next(n for n, rooms in enumerate(FLOORS) if room(name) in rooms)


def against_the_order(found: dict[str, set[str]]) -> list[str]:
    wrong = []
    for a, others in found.items():
        for b in others:
            own = room(a) == room(b) or (a, b) in ALSO or b == ""
            if not own and floor(b) >= floor(a) and (a, b) != FAST:
                wrong.append(f"{a} -> {b}")
    return sorted(wrong)


def circle(found: dict[str, set[str]]) -> list[str]:
    kept = {a: {b for b in others if (a, b) != FAST} for a, others in found.items()}
    try:
        TopologicalSorter(kept).prepare()
    except CycleError as err:
        return err.args[1]
    return []


def test_every_module_has_a_room():
    assert [name for name in modules() if room(name) == "?"] == []


def test_every_arrow_goes_down():
    assert against_the_order(arrows()) == []


def test_no_import_goes_in_a_circle():
    assert circle(arrows()) == []


@pytest.mark.parametrize(
    "a, b",
    [
        ("losses", "store.errors"),
        ("store.files", "methods"),
        ("methods", "layer"),
        ("data.base", "networks.features"),
        ("networks.backbones", "measures.ncm"),
        ("training.runs", "paper.judge"),
        ("paper.drawing", "paper.fig1a_spread.figures"),
        ("paper.fig1a_spread.figures", "paper.fig2_unit.position"),
        ("paper.fig1a_spread.figures", "paper.verdict.claims"),
        ("own_data.trial", "pipeline.cli"),
    ],
)
def test_an_arrow_against_the_order_is_seen(a, b):
    assert against_the_order({a: {b}}) == [f"{a} -> {b}"]
    assert against_the_order({b: {a}}) == [f"{b} -> {a}"] * (floor(a) == floor(b))


@pytest.mark.parametrize(
    "how", ["from . import b", "def f():\n    from .b import x", "import pddm_lite.b"]
)
def test_a_circle_is_seen_however_late_the_import(tmp_path, how):
    package = tmp_path / "pkg"
    package.mkdir()
    (package / "a.py").write_text(how, "utf-8")
    (package / "b.py").write_text("from .a import f\n", "utf-8")
    assert set(circle(arrows(package))) == {"a", "b"}


def test_the_unit_takes_the_fast_way_late_and_can_do_without():
    tree = ast.parse((PACKAGE / "pddm.py").read_text(encoding="utf-8"))
    assert not [n for n in tree.body if isinstance(n, ast.ImportFrom) and n.level]


def test_every_package_says_in_three_lines_what_it_is_and_who_may_import_it():
    for path in PACKAGE.rglob("*"):
        if path.is_dir() and any(path.glob("*.py")):
            text = ast.get_docstring(ast.parse((path / "__init__.py").read_text(encoding="utf-8")))
            lines = [line for line in (text or "").splitlines() if line.strip()]
            assert len(lines) >= 3 and "import" in text, f"{path}: three lines, and who imports it"


def test_no_file_is_longer_than_a_sitting():
    root = PACKAGE.parent
    files = [p for f in ("pddm_lite", "tests", "benchmarks") for p in (root / f).rglob("*.py")]
    lengths = {str(p): len(p.read_text(encoding="utf-8").splitlines()) for p in files}
    assert {n: k for n, k in lengths.items() if k > LONGEST} == {}
