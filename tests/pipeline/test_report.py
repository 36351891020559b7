"""The report as a browser shows it: complete without a network, on a telephone and in the dark."""

import base64
import json
import re
import shutil
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from pddm_lite.pipeline import found, report
from pddm_lite.store.store import environment
from pddm_lite.training.study import Study

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "results" / "reference" / "quick"
sys.path.insert(0, str(ROOT / "tests" / "notebooks"))  # importlib mode does not

import chromium  # noqa: E402

FIGURES = ("60_retrieval", "90_verdict", "10_architecture")
EQUATION = r"$r(x) = \frac{x}{\lVert x \rVert_2}$ and $$\min \sum_{i<j} S_{ij}$$"


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """A report of the committed tables, three figures and a notebook of all kinds of output."""
    results = tmp_path_factory.mktemp("results")
    study = Study.of("quick", results=str(results), device="cpu")
    shutil.copytree(REFERENCE / "tables", study.folder / "tables")
    (study.folder / "figures").mkdir()
    for name in FIGURES:
        shutil.copy(REFERENCE / "figures" / f"{name}.png", study.folder / "figures")
    about = json.dumps({"caption": "What <b>was</b> retrieved."})
    (study.folder / "figures" / "60_retrieval.json").write_text(about, encoding="utf-8")
    wide = pd.DataFrame([[f"value {i}" for i in range(30)]]).to_html()
    png = base64.b64encode((REFERENCE / "figures" / "60_retrieval.png").read_bytes()).decode()
    code = nbformat.v4.new_code_cell("x = 1  # " + "long " * 60)
    code.outputs = [
        nbformat.v4.new_output("stream", text="word " * 200),
        nbformat.v4.new_output("display_data", {"text/html": wide}),
        nbformat.v4.new_output("display_data", {"image/png": png}),
        nbformat.v4.new_output("display_data", {"text/markdown": "*What <b>was</b> retrieved.*"}),
    ]
    text = "# A title\nSee [the unit](10_the_unit.ipynb) and [the file](../pddm_lite/pddm.py)."
    text += f"\n\n{EQUATION} and $\\nonsense$ for 5 $."
    cells = [nbformat.v4.new_markdown_cell(text), code]
    for name in ("10_the_unit", "60_retrieval"):
        path = study.folder / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    path.with_suffix(".json").write_text(json.dumps({"seconds": 12.3}), encoding="utf-8")
    return report.write(study, [])[0]


def test_what_was_found_comes_first_and_the_rest_is_folded(page):
    text = page.read_text(encoding="utf-8")
    order = ['<ol class="found"><li>', 'id="figure-90_verdict"', '<h2 id="verdicts">']
    order += ['class="box not-reproduced" href="#C10"', '<h2 id="differences">', "<summary>AdamW"]
    order += ['<h2 id="effects">', '<h3 id="C10">', '<h2 id="tables">', '<h2 id="notebooks">']
    order += ['<details id="60_retrieval">', "<h2>Other figures</h2>", "figure-10_architecture"]
    assert sorted(order, key=text.index) == order
    assert 'id="table-recall_synthetic_birds"' in text
    assert 'href="#10_the_unit">the unit</a>' in text  # links between notebooks stay in the page
    assert 'href="../' not in text and "<a>the file</a>" in text  # may lie elsewhere: plain words
    assert "60_retrieval: A title" in text and ", 12 s" in text
    assert "10_the_unit: A title" in text and "(not complete)" in text
    # a figure stands where it is first seen, with its caption, and is embedded once
    assert text.count("data:image/png;base64,") == len(FIGURES)
    assert text.count("What &lt;b&gt;was&lt;/b&gt; retrieved. (figures/60_retrieval.csv)") == 1
    assert text.count('<a href="#figure-60_retrieval">What &lt;b&gt;was') == 1
    assert "<em>What" not in text  # the notebook's caption, once more
    assert environment()["commit"] in text and "lesson.html" not in text


def test_each_question_has_a_box_and_an_effect(page):
    table = pd.read_csv(page.parent / "tables" / "verdicts.csv")
    text = page.read_text(encoding="utf-8")
    boxes = re.findall(r'<a class="box ([a-z-]+)" href="#(C\d+)"', text)
    asked = table[~table["part"].fillna("").str.contains(found.LOST)]  # the rest is ours to ask
    said = asked["verdict"].str.replace(" ", "-")
    assert sorted(boxes) == sorted(zip(said, asked["claim"], strict=True))
    assert text.count('<td data-of="claimed">') == len(table)


def test_formulas_are_mathml(page):
    text = page.read_text(encoding="utf-8")
    notebook = text[text.index('<details id="60_retrieval">') :]
    assert notebook.count("<math ") == 2 and "<mfrac>" in notebook and "\\frac" not in text
    assert 'display="block"' in notebook and "<code>\\nonsense</code>" in notebook
    assert "for 5 $." in text  # a price is no formula


def test_the_library_reads_every_formula_of_the_notebooks():
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        formulas: list[str] = []
        report.html_of(nbformat.read(path, as_version=4), formulas)
        assert [f for f in formulas if f.startswith("<code>")] == [], path.name


@pytest.mark.skipif(not chromium.find(), reason="no Chromium here")
def test_in_a_browser_without_network(page, tmp_path):
    pytest.importorskip("websocket")
    sizes, offline = {}, dict(offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)
    with chromium.Browser(tmp_path) as browser:
        browser.call("Network.enable")
        browser.call("Network.emulateNetworkConditions", **offline)
        for scheme, width in browser.looks():
            browser.open(page.as_uri())
            browser.wait("document.readyState === 'complete'", 60)
            browser.js("document.querySelectorAll('details').forEach(d => d.open = true)")
            sizes[width] = browser.js("document.documentElement.scrollWidth")
            assert sizes[width] <= width
            broken = "[...document.images].filter(i => !i.naturalWidth).length"
            assert browser.js("document.images.length") == 3 and browser.js(broken) == 0
            loaded = "performance.getEntriesByType('resource').map(r => r.name)"
            assert [a for a in browser.js(loaded) if not a.startswith("data:")] == []
            # ink on paper: a contrast of 7 to 1 and more; figures on a white card
            colours = [browser.js(f"getComputedStyle({e}).{c}") for e, c in (
                ("document.body", "color"), ("document.body", "backgroundColor"),
                ("document.querySelector('figure img')", "backgroundColor"))]  # fmt: skip
            ink, paper, card = map(luminance, colours)
            assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) > 7 and card == 1
            assert (paper < 0.2) == (scheme == "dark")
            small = "Math.min(...[...document.querySelectorAll('p, td, pre, figcaption')]"
            small += ".map(e => parseFloat(getComputedStyle(e).fontSize)))"
            assert browser.js(small) >= 12
        # on a telephone each verdict is in sight and not beyond the edge
        right = "Math.max(...[...document.querySelectorAll('.box')]"
        assert browser.js(right + ".map(b => b.getBoundingClientRect().right))") <= 390
        assert browser.js("document.querySelector('math').getBoundingClientRect().height") > 15
        words = browser.js("document.body.innerText")
        assert not any(sign in words for sign in ("\\frac", "\\mathbf", "$$", "\\("))


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2) of "rgb(r, g, b)"."""
    parts = [int(x) / 255 for x in colour.strip("rgba()").split(",")[:3]]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_number_of_comparisons_is_said(page):
    table = pd.read_csv(page.parent / "tables" / "verdicts.csv")
    text = page.read_text(encoding="utf-8")
    assert f"{len(table)} comparisons, " in text and "by chance" in text


def test_without_verdicts_there_is_a_report(tmp_path):
    study = Study.of("smoke", results=str(tmp_path), device="cpu")
    path, lines = report.write(study, ["a card"])
    assert "has not been executed" in path.read_text(encoding="utf-8") and lines == []
    assert '<pre class="failure">a card</pre>' in path.read_text(encoding="utf-8")
