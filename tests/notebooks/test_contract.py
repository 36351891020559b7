"""What every notebook promises: no outputs, parameters that papermill and `Study.of` understand."""

import ast
import inspect
import json
import re
from pathlib import Path

import nbformat
import papermill
import pytest

from pddm_lite.pipeline import notebooks
from pddm_lite.training.runs import SOURCES
from pddm_lite.training.study import Study

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
TYPES = ("str", "int", "float", "bool", "list[int]", "list[str]")
LINE = re.compile(
    rf"(?P<name>[a-z_]+): (?P<type>{'|'.join(map(re.escape, TYPES))}) = "
    r"(?P<value>[^=#]+)  # (?P<help>[^=]+)"
)
SIGNATURE = list(inspect.signature(Study.of).parameters)

every = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code(path):
    return [c for c in read(path).cells if c.cell_type == "code"]


def parameters(path):
    """name -> match of its line in the cell tagged `parameters`."""
    (cell,) = [c for c in code(path) if "parameters" in c.metadata.get("tags", [])]
    lines = [LINE.fullmatch(line) for line in cell.source.splitlines()]
    assert all(lines), [x for x, m in zip(cell.source.splitlines(), lines, strict=True) if not m]
    return {m["name"]: m for m in lines}


def test_the_notebooks_are_there():
    assert len(NOTEBOOKS) >= 6


@every
def test_output_free_valid_and_with_ids(path):
    nb = read(path)
    nbformat.validate(nb)
    assert (nb.nbformat, nb.nbformat_minor) == (4, 5)
    ids = [c["id"] for c in json.loads(path.read_text(encoding="utf-8"))["cells"]]
    assert len(set(ids)) == len(nb.cells)
    for cell in code(path):
        assert cell.outputs == [] and cell.execution_count is None
    assert nb.metadata.kernelspec == {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    assert nb.metadata.language_info.name == "python"
    assert "widgets" not in nb.metadata


@every
def test_starts_with_words_and_then_the_parameters(path):
    first, second = read(path).cells[:2]
    assert first.cell_type == "markdown" and first.source.startswith("# ")
    assert second.metadata.tags == ["parameters"]


@every
def test_parameters_are_the_arguments_of_a_study_with_types_that_hold(path):
    lines = parameters(path)
    assert list(lines) == SIGNATURE
    for m in lines.values():
        value, kind = ast.literal_eval(m["value"]), m["type"]
        assert type(value).__name__ == kind.partition("[")[0]
    calls = [
        node
        for cell in code(path)
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Study.of"
    ]
    assert len(calls) == 1 and calls[0].args == []
    assert {k.arg: ast.unparse(k.value) for k in calls[0].keywords} == {n: n for n in SIGNATURE}


@every
def test_papermill_sees_every_parameter_with_type_default_and_help(path):
    seen = papermill.inspect_notebook(str(path))
    lines = parameters(path)
    assert list(seen) == list(lines)
    for name, m in lines.items():
        assert seen[name]["inferred_type_name"] == m["type"]
        assert seen[name]["default"] == m["value"]
        assert seen[name]["help"] == m["help"]


@every
def test_defaults_are_those_of_a_study(path):
    for name, m in parameters(path).items():
        default = inspect.signature(Study.of).parameters[name].default
        value = ast.literal_eval(m["value"])
        assert value == (list(default) if isinstance(default, tuple) else default)


@every
def test_every_parameter_is_read_by_later_code(path):
    later = [c for c in code(path) if "parameters" not in c.metadata.get("tags", [])]
    read_names = {
        node.id
        for cell in later
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    assert set(parameters(path)) <= read_names


@every
def test_short_and_thin(path):
    cells = read(path).cells
    assert len(cells) <= 40
    for cell in code(path):
        lines = cell.source.splitlines()
        assert len(lines) <= 15, cell.source
        # whatever needs a function or a class belongs in the package, where it is tested
        assert not re.search(r"^(def|class) |^[!%]", cell.source, re.MULTILINE), cell.source


@every
def test_no_absolute_path_and_every_relative_link_leads_somewhere(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"""["'(\s](/(home|root|work|tmp|Users|mnt)\b|[A-Z]:\\\\)""", text)
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("http") or (path.parent / link).exists(), link


@every
def test_formulas_are_unicode(path):
    """The offline report has no TeX renderer."""
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            assert "$" not in cell.source and "\\" not in cell.source


@every
def test_no_result_is_typed_by_hand(path):
    """Numbers come from runs: no markdown cell after the first holds a decimal."""
    for cell in read(path).cells[1:]:
        if cell.cell_type == "markdown":
            assert not re.search(r"\d\.\d", cell.source), cell.source


@every
def test_a_change_of_what_a_notebook_imports_makes_it_stale(path):
    known = {m.removeprefix("pddm_lite.") for m in (*notebooks.SOURCES, *SOURCES)}
    for cell in code(path):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("pddm_lite"):
                inner = node.module.removeprefix("pddm_lite").strip(".")
                for alias in node.names:  # a module, or a name of the module before it
                    assert {inner, f"{inner}.{alias.name}".strip(".")} & known, cell.source
