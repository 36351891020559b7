"""What every notebook promises: no outputs, parameters that papermill and `Study.of` understand,
no training that the reader does not see."""

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
PARAMETERS = list(inspect.signature(Study.of).parameters)[:7]

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
def test_starts_with_words_parameters_imports_and_one_call(path):
    words, second, third = read(path).cells[:3]
    assert words.cell_type == "markdown" and words.source.startswith("# ")
    assert second.metadata.tags == ["parameters"]
    *imports, call = ast.parse(third.source).body
    assert ast.unparse(call) == f"study = Study.of({', '.join(PARAMETERS)})"
    assert all(isinstance(x, ast.Import | ast.ImportFrom | ast.Expr) for x in imports)


@every
def test_parameters_are_the_first_arguments_of_a_study_with_types_that_hold(path):
    lines = parameters(path)
    assert list(lines) == PARAMETERS and len(lines) <= 8
    for m in lines.values():
        value, kind = ast.literal_eval(m["value"]), m["type"]
        assert type(value).__name__ == kind.partition("[")[0]


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
        assert len(lines) <= 25 and max(map(len, lines)) <= 100, cell.source
        # a class belongs in the package, where it is tested; a function may stand here to be read
        assert not re.search(r"^class |^[!%]", cell.source, re.MULTILINE), cell.source


@every
def test_no_training_behind_the_readers_back(path):
    """Runs come from the study, which shows a bar; a loop of one's own stands in its cell."""
    for cell in code(path):
        nodes = list(ast.walk(ast.parse(cell.source)))
        names = {n.id for n in nodes if isinstance(n, ast.Name)}
        names |= {n.attr for n in nodes if isinstance(n, ast.Attribute)}
        names |= {
            a.name for n in nodes if isinstance(n, ast.Import | ast.ImportFrom) for a in n.names
        }
        hidden = names & {
            "fit",
            "fit_or_load",
            "cli",
            "run_all",
            "subprocess",
            "system",
            "papermill",
        }
        assert not hidden, cell.source


@every
def test_no_absolute_path_and_every_relative_link_leads_somewhere(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"""["'(\s](/(home|root|work|tmp|Users|mnt)\b|[A-Z]:\\\\)""", text)
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("http") or (path.parent / link).exists(), link


@every
def test_every_formula_can_be_drawn_in_the_report(path):
    converter = pytest.importorskip("latex2mathml.converter")
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            parts = cell.source.split("$$")
            inline = [f for text in parts[::2] for f in text.split("$")[1::2]]
            assert len(parts) % 2 == 1 and all(x.count("$") % 2 == 0 for x in parts[::2])
            for formula in (*parts[1::2], *inline):
                assert "\\" not in re.sub(r"<[^>]*>", "", converter.convert(formula)), formula


@every
def test_no_result_is_typed_by_hand(path):
    """Numbers come from runs: no markdown cell after the first holds a decimal."""
    for cell in read(path).cells[1:]:
        if cell.cell_type == "markdown":
            assert not re.search(r"\d\.\d", cell.source), cell.source


@every
def test_points_are_rounded_as_in_the_tables_beside(path):
    """By wording.shown: else a sentence says 70.2 under a table's 70.3."""
    for cell in code(path):
        assert not re.search(r":[+,]?\.(1|\{digits\})f\b", cell.source), cell.source


@every
def test_a_change_of_what_a_notebook_imports_makes_it_stale(path):
    known = {m.removeprefix("pddm_lite.") for m in (*notebooks.SOURCES, *SOURCES)}
    for cell in code(path):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("pddm_lite"):
                inner = node.module.removeprefix("pddm_lite").strip(".")
                for alias in node.names:  # a module, or a name of the module before it
                    assert {inner, f"{inner}.{alias.name}".strip(".")} & known, cell.source
