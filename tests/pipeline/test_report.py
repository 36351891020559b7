"""The report as a browser shows it: complete without a network, on a telephone and in the dark."""

import base64
import json
import shutil
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from pddm_lite.paper import judge
from pddm_lite.pipeline import report
from pddm_lite.store.store import environment
from pddm_lite.training.study import Study

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "results" / "reference" / "quick"
sys.path.insert(0, str(ROOT / "tests" / "notebooks"))  # importlib mode does not

import chromium  # noqa: E402

FIGURES = ("60_retrieval", "90_verdict", "10_architecture")


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """A report of the committed tables, three figures and a notebook of all kinds of output."""
    results = tmp_path_factory.mktemp("results")
    study = Study.of("quick", results=str(results), device="cpu")
    shutil.copytree(REFERENCE / "tables", study.folder / "tables")
    (study.folder / "figures").mkdir()
    for name in FIGURES:
        shutil.copy(REFERENCE / "figures" / f"{name}.png", study.folder / "figures")
    wide = pd.DataFrame([[f"value {i}" for i in range(30)]]).to_html()
    png = base64.b64encode((REFERENCE / "figures" / "60_retrieval.png").read_bytes()).decode()
    code = nbformat.v4.new_code_cell("x = 1  # " + "long " * 60)
    code.outputs = [
        nbformat.v4.new_output("stream", text="word " * 200),
        nbformat.v4.new_output("display_data", {"text/html": wide}),
        nbformat.v4.new_output("display_data", {"image/png": png}),
    ]
    text = "# A title\nSee [the unit](10_the_unit.ipynb) and [the file](../pddm_lite/pddm.py)."
    cells = [nbformat.v4.new_markdown_cell(text), code]
    for name in ("10_the_unit", "60_retrieval"):
        path = study.folder / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    path.with_suffix(".json").write_text(json.dumps({"seconds": 12.3}), encoding="utf-8")
    return report.write(study, [])[0]


def test_the_verdict_comes_first_and_everything_is_in_the_contents(page):
    text = page.read_text(encoding="utf-8")
    order = [
        "All tables, figures and notebooks",
        '<h2 id="verdicts">',
        '<td class="v reproduced">✓</td>',
    ]
    order += ['<h3 id="effects">', '<td class="v reproduced">reproduced</td>', '<h2 id="tables">']
    order += ['<h2 id="figures">', '<h2 id="notebooks">']
    assert sorted(order, key=text.index) == order
    for anchor in ("verdicts", "table-recall_synthetic_birds", "60-retrieval", "60_retrieval"):
        assert f'href="#{anchor}"' in text and f'id="{anchor}"' in text
    assert 'href="#10_the_unit">the unit</a>' in text  # links between notebooks stay in the page
    assert 'href="../' not in text and "<a>the file</a>" in text  # may lie elsewhere: plain words
    assert "60_retrieval: A title" in text and ", 12 s" in text
    assert "10_the_unit: A title" in text and "(not complete)" in text
    # a figure that is shown above is not embedded once more
    assert text.count("data:image/png;base64,") == len(FIGURES)
    assert environment()["commit"] in text


@pytest.mark.skipif(not chromium.find(), reason="no Chromium here")
def test_in_a_browser_without_network(page, tmp_path):
    pytest.importorskip("websocket")
    sizes, offline = {}, dict(offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)
    with chromium.Browser(tmp_path) as browser:
        browser.call("Network.enable")
        browser.call("Network.emulateNetworkConditions", **offline)
        for scheme in ("light", "dark"):
            feature = {"name": "prefers-color-scheme", "value": scheme}
            browser.call("Emulation.setEmulatedMedia", features=[feature])
            for width in (1280, 390):
                size = dict(width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
                browser.call("Emulation.setDeviceMetricsOverride", **size)
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
        # on a telephone a verdict is in sight and not beyond the edge
        right = "document.querySelector('.verdicts .v').getBoundingClientRect().right"
        assert browser.js(right) <= 390
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


def test_the_badge_counts_the_verdicts(page):
    counted = pd.read_csv(page.parent / "tables" / "verdicts.csv")["verdict"].value_counts()
    words = ", ".join(f"{counted.get(v, 0)} {w}" for v, w in report.BADGE.items())
    text = (page.parent / "badge.svg").read_text(encoding="utf-8")
    assert f"<title>verdicts: {words}</title>" in text and "href" not in text
    none = report.badge(pd.DataFrame({"verdict": []}))
    assert "0 reproduced, 0 level, 0 not, 0 open" in none and "#0a7a4b" not in none
    all_well = report.badge(pd.DataFrame({"verdict": [judge.REPRODUCED]}))
    assert "1 reproduced, 0 level, 0 not, 0 open" in all_well and "#0a7a4b" in all_well


def test_without_verdicts_there_is_a_report_and_no_badge(tmp_path):
    study = Study.of("smoke", results=str(tmp_path), device="cpu")
    path, lines = report.write(study, ["a card"])
    assert "has not been executed" in path.read_text(encoding="utf-8") and lines == []
    assert '<pre class="failure">a card</pre>' in path.read_text(encoding="utf-8")
    assert not (study.folder / "badge.svg").exists()
