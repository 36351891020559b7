"""Safe by default: nothing that is read can run, and nothing is written outside the results."""

import ast
import shlex
import sys
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from pddm_lite.paper import drawing
from pddm_lite.pipeline import cli, executors, report, stages
from pddm_lite.pipeline import options as pipeline_options
from pddm_lite.training.study import Study

ROOT = Path(__file__).parents[1]

# ------------------------------------------------------------------------------ what is written

RUNS_TEXT = {"eval", "exec", "compile", "__import__"}
MODULES = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve", "cloudpickle"}
CALLS = {
    "os.system", "os.popen", "pd.read_pickle", "pandas.read_pickle", "tempfile.mktemp",
    "yaml.load", "shutil.unpack_archive", "torch.jit.load", "torch.hub.load",
}  # fmt: skip
KEYWORDS = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False),
            "numpy.load": ("allow_pickle", False)}  # fmt: skip


def dangers(source: str) -> list[str]:
    """What of Python source could run what it reads, or hand a user's words to a shell."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None)
            names = [module] if module else [a.name for a in node.names]
            found += [f"import {n}" for n in names if n.split(".")[0] in MODULES]
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        given = {k.arg: getattr(k.value, "value", "?") for k in node.keywords}
        if name in RUNS_TEXT or name in CALLS:
            found.append(name)
        if name in KEYWORDS and given.get(KEYWORDS[name][0]) is not KEYWORDS[name][1]:
            found.append(f"{name} without {KEYWORDS[name][0]}={KEYWORDS[name][1]}")
        if given.get("shell", False) is not False:
            found.append(f"{name} with a shell")
        if given.get("allow_pickle", False) is not False:
            found.append(f"{name} with allow_pickle")
        if name.endswith("extractall"):
            found.append(name)
    return found


def sources() -> dict[str, str]:
    files = [*ROOT.glob("pddm_lite/**/*.py"), *ROOT.glob("benchmarks/*.py"), ROOT / "run_all.py"]
    found = {str(f.relative_to(ROOT)): f.read_text(encoding="utf-8") for f in files}
    for path in ROOT.glob("notebooks/*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        found[path.name] = "\n".join(c.source for c in cells if c.cell_type == "code")
    return found


def test_no_source_runs_what_it_reads():
    read = sources()
    assert len(read) > 80 and "60_retrieval.ipynb" in read
    assert {name: d for name, text in read.items() if (d := dangers(text))} == {}


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(path)", "torch.load(path, weights_only=False)", "torch.load(p, weights_only=x)",
        "np.load(path)", "np.load(path, allow_pickle=True)", "eval(text)", "exec(text)",
        "import pickle", "from pickle import loads", "import joblib", "os.system(text)",
        "subprocess.run(text, shell=True)", "subprocess.Popen(text, shell=flag)",
        "pd.read_pickle(path)", "tarfile.open(p).extractall(folder)",
    ],
)  # fmt: skip
def test_the_scan_finds(source):
    assert dangers(source)


def test_the_scan_lets_through_what_is_safe():
    safe = "torch.load(p, weights_only=True); np.load(p, allow_pickle=False); model.eval()"
    assert dangers(safe + "; subprocess.run(['git', 'log']); ast.literal_eval(text)") == []


# ------------------------------------------------------------------------------------ the report

EVIL = "<img src=x onerror=alert(1)>"
QUOTES = "\"><svg onload=alert(1)>'"


class Elements(HTMLParser):
    """Tags and attributes as a browser finds them."""

    def __init__(self, text: str):
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


@pytest.fixture
def evil(tmp_path) -> Study:
    """A study whose every name is markup, with a notebook that shows more of it."""
    root = tmp_path / "data"
    for c in range(2):
        (root / EVIL / f"{c}{QUOTES}").mkdir(parents=True)
        for n in range(4):
            picture = np.full((8, 8, 3), 60 * c + n, np.uint8)
            Image.fromarray(picture).save(root / EVIL / f"{c}{QUOTES}" / f"{n}.png")
    study = Study.of(
        "smoke", [f"folder:{EVIL}"], data_root=str(root), backbone="smallnet", weights="none",
        results=str(tmp_path / "results"), device="cpu",
    )  # fmt: skip
    for kind in ("tables", "figures", "notebooks"):
        (study.folder / kind).mkdir(parents=True)
    verdict = {"claim": "C1", "text": EVIL, "data": study.data[0], "measure": EVIL, "effect": 1.0}
    verdict |= {"low": 0.5, "high": 2.0, "threshold": 0.0, "verdict": EVIL, "note": EVIL,
                "unit": EVIL, "claimed": EVIL}  # fmt: skip
    pd.DataFrame([verdict | {"seeds": 3}]).to_csv(study.folder / "tables/verdicts.csv", index=False)
    frame = pd.DataFrame({"method": [EVIL, QUOTES], EVIL: ["</script>", "<script>x"]})
    frame.to_csv(study.folder / "tables" / f"recall_folder-{EVIL}.csv", index=False)
    Image.new("RGB", (4, 4)).save(study.folder / "figures" / f"60_{QUOTES}.png")
    code = nbformat.v4.new_code_cell(f"print('{EVIL}')")
    html = f"""<table><tr><td>{EVIL}</td></tr></table><script>alert(1)</script>
<iframe src="https://example.org"></iframe><img src="https://example.org/a.png">
<a href="javascript:alert(1)">x</a><style>@import url(https://example.org/a.css)</style>
<form action="https://example.org"><input></form><object data="a"></object><b onclick="x">b</b>
<link rel="stylesheet" href="https://example.org/b.css"><div style="background:url(//a)">d</div>"""
    code.outputs = [
        nbformat.v4.new_output("stream", text=EVIL),
        nbformat.v4.new_output("display_data", {"text/html": html}),
        nbformat.v4.new_output("display_data", {"text/markdown": f"# {EVIL}\n<script>a</script>"}),
        nbformat.v4.new_output("error", ename=EVIL, evalue=EVIL, traceback=[EVIL]),
    ]
    cells = [nbformat.v4.new_markdown_cell(f"# {EVIL}\n\n<script>alert(1)</script>{EVIL}"), code]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), study.folder / "notebooks" / "60_x.ipynb")
    return study


def test_no_name_is_markup_in_the_report(evil):
    path, lines = report.write(evil, [f"card {EVIL} {QUOTES} <script>"])
    text = path.read_text(encoding="utf-8")
    elements = Elements(text).found
    assert len(elements) > 80 and text.count("onerror=alert") > 8  # they are there, as text
    bad = {"script", "iframe", "object", "embed", "link", "form", "input", "base", "frame"}
    assert bad & {tag for tag, _ in elements} == set()
    for tag, attributes in elements:
        assert not any(a.startswith("on") for a in attributes), (tag, attributes)
        source = attributes.get("src")
        assert source is None or source.startswith("data:image/"), (tag, attributes)
        href = attributes.get("href")
        assert href is None or href.startswith(("#", "https://")), (tag, attributes)
        assert "url(" not in attributes.get("style", "")
    assert "@import" not in text and "url(" not in text


def test_a_dollar_in_a_name_is_no_formula(tmp_path):
    study = Study.of("smoke", results=str(tmp_path), device="cpu")
    figure = Figure()
    axes = figure.subplots()
    axes.set(title=r"class $\frac{$ of \ $a_b$", xscale="log", xlabel=r"W$_\mathregular{c}$")
    axes.set_yticks([0.5], ["$"])
    drawing.save(figure, pd.DataFrame({"a": [1]}), study, "10_names")
    assert (study.folder / "figures" / "10_names.png").exists()  # it was an error of matplotlib
    names = [axes.title, axes.get_yticklabels()[0], axes.xaxis.label]
    assert [t.get_parse_math() for t in names] == [False, False, True]
    assert all(t.get_parse_math() for t in axes.get_xticklabels())  # 10 to some power


# ------------------------------------------------------------------------ parameters, commands


@pytest.mark.parametrize(
    "text",
    ['"; import os; os.mkdir("x")', "'''\nimport os\n'''", "$(touch x)", "`touch x`", "a\\", "{x}"],
)
def test_a_parameter_stays_the_text_it_is(text):
    from papermill.translators import PythonTranslator

    cell = PythonTranslator.codify({"data_root": text, "data": [text]})
    (first, second) = (n for n in ast.parse(cell).body if isinstance(n, ast.Assign))
    assert ast.literal_eval(first.value) == text
    assert ast.literal_eval(second.value) == [text]


@pytest.mark.parametrize("text", ["a; rm -rf b", "$(touch x)", "a b", "'", "-p"])
def test_the_command_that_repeats_quotes_what_was_given(text, tmp_path):
    args = pipeline_options.parser().parse_args([f"--data-root={text}", "--set", "alpha=0.2"])
    command = stages.repeat(Study.of(results=str(tmp_path)), args, "60_retrieval")
    words = shlex.split(command)
    assert text in words and words[:2] == ["python", "run_all.py"]


# -------------------------------------------------------------------------- where it is written

opened: list[str] | None = None


def _watch(event: str, arguments: tuple) -> None:
    if opened is None:
        return
    if event == "open" and isinstance(arguments[0], str | bytes):
        path, mode, flags = arguments
        writes = any(c in mode for c in "wax+") if mode else flags & 3
        opened.extend([str(path)] if writes else [])
    elif event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link"):
        opened.append(str(arguments[1] if event in ("os.rename", "os.link") else arguments[0]))


def test_data_runs_and_report_write_inside_the_results_alone(tmp_path, monkeypatch):
    """Every file that this process opens to write, makes, moves or removes is seen by Python."""
    from concurrent.futures import Executor, Future

    class Here(Executor):
        def submit(self, f, *args):
            future = Future()
            future.set_result(f(*args))
            return future

    global opened
    monkeypatch.setattr(executors, "pool", lambda jobs: Here())
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    results = tmp_path / "deep" / "results"
    results.mkdir(parents=True)
    options = ["--profile", "smoke", "--data", "synthetic_birds", "--methods", "PDDM+Quadruplet"]
    options += ["--seeds", "0", "--variants", "none", "--set", "steps=4", "--jobs", "1"]
    sys.addaudithook(_watch)
    threads = torch.get_num_threads()
    opened = []
    try:
        code = cli.main([*options, "--stage", "data,runs,report", "--results", str(results)])
        seen = opened
    finally:
        opened = None
        torch.set_num_threads(threads)
    assert code == 0 and any("manifest.json" in path for path in seen)
    outside = {p for p in seen if not Path(p).resolve().is_relative_to(results)}
    # torch makes an empty folder for its compiler in the system's temporary folder
    assert {p for p in outside if p != "/dev/null" and "torchinductor" not in p} == set()


def test_a_study_cannot_be_named_out_of_the_results(tmp_path):
    for given in ({"name": "../a"}, {"data": ["folder:../../a"]}, {"data": ["folder:.."]},
                  {"data": ["folder:a/../../b"]}, {"data": ["folder:a\\b"]},
                  {"data": ["folder:a\nb"]}):  # fmt: skip
        given = {"backbone": "resnet18", "weights": "none", **given}
        with pytest.raises(ValueError, match="name|NAME"):
            Study.of(results=str(tmp_path), data_root=str(tmp_path), **given)
    assert list(tmp_path.iterdir()) == []
