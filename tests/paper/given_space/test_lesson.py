"""lesson.html: what the page holds is what the store holds, and a browser shows it as it turns."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pddm_lite.paper.given_space import given, lesson
from pddm_lite.training.study import Study

sys.path.insert(0, str(Path(__file__).parents[2] / "notebooks"))  # importlib mode does not

import chromium  # noqa: E402

NAMES = list(given.ROWS)


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    """The given space of profile smoke, of 5 steps a run: both ends of the knob, two worlds."""
    folder = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(given.STEPS, "smoke", 5)
        study = Study.of("smoke", ["synthetic_birds"], results=str(folder), device="cpu")
        assert lesson.page(study) == ""  # nothing is trained behind the reader's back
        for key, e in given.grid(study).items():
            if key[2] == given.ALONE:
                study.run_of(e)
        yield study


def runs(study: Study) -> dict:
    return {k: study.run_of(e) for k, e in given.grid(study).items() if k[2] == given.ALONE}


def test_the_page_holds_the_stores_numbers(study):
    made = runs(study)
    held = lesson.shown(made)
    assert held["count"] == 2 and [w["h"] for w in held["worlds"]] == [0.0, 1.0]
    for world in held["worlds"]:
        assert [m["name"] for m in world["metrics"]] == NAMES
        for k, m in enumerate(world["metrics"]):
            run = made[world["h"], 0, given.ALONE, m["name"] if k else "PDDM"]
            test = run.metrics["test"][lesson.ranking(m["name"])]
            assert m["overlap"] == test["overlap"] and m["eer"] == test["eer"]
            shared = np.minimum(m["positive"], m["negative"]).sum()
            assert shared == pytest.approx(test["overlap"], abs=0.02)
        for place in world["places"]:
            n = len(place["x"])
            assert all(len(S) == n * (n - 1) // 2 for S in place["S"]) and len(place["S"]) == 4
            # a plane cannot stretch: no pair is farther apart in it than in the space
            x = np.array(place["x"])
            i, j = np.triu_indices(n, 1)
            flat = np.linalg.norm(x[i] - x[j], axis=1)
            assert (flat <= -np.array(place["S"][0]) + 1e-4).all()
        tight, loose = (np.mean(p["S"][0][: p["first"] - 1]) for p in world["places"])
        assert loose < tight <= 0  # of one image with its own species


def test_a_study_without_the_given_space_has_no_page(study):
    assert lesson.page(replace(study, variants=())) == ""


@pytest.mark.skipif(not chromium.find(), reason="no Chromium here: lesson.html was not turned")
def test_turned_in_a_browser(study, tmp_path):
    pytest.importorskip("websocket")
    made, page = runs(study), tmp_path / "lesson.html"
    page.write_text(lesson.page(study), encoding="utf-8")
    assert page.stat().st_size < 3 * 2**20
    with chromium.Browser(tmp_path) as browser:
        for _, width in browser.looks():
            browser.open(page.as_uri())
            browser.wait("document.querySelectorAll('#panels figure').length === 4", 30)
            assert browser.js("document.documentElement.scrollWidth") <= width
            loaded = "performance.getEntriesByType('resource').length"
            assert browser.js(loaded) == 0
        assert texts(browser, ".overlap") == overlaps(made, 1.0)
        eer = [measured(made, 1.0, name)["eer"] for name in NAMES]
        for kind in (".missed", ".accepted"):  # in the middle both are the equal-error rate
            shares = [float(x.split()[0]) / 100 for x in texts(browser, kind)]
            assert shares == pytest.approx(eer, abs=0.02)
        browser.js("document.getElementById('h').focus()")
        browser.press("Home")  # the knob to 0
        assert texts(browser, ".overlap") == overlaps(made, 0.0)
        assert browser.js("document.getElementById('h-is').value") == "0"
        browser.js("document.getElementById('t').focus()")
        for _ in range(20):
            browser.press("ArrowRight")
        assert browser.js("document.getElementById('t-is').value") == "0.70"
        browser.js("document.querySelectorAll('[name=metric]')[3].click()")
        # the confusion of the shown pairs, counted anew from the threshold that the page names
        at = float(texts(browser, ".at")[3])
        cells = "[...document.querySelectorAll('#confusion td')].map(x => x.textContent)"
        shown = np.array([int(x) for x in browser.js(cells)[4:]]).reshape(2, 2, 2)
        for place, table in zip(lesson.shown(made)["worlds"][0]["places"], shown, strict=True):
            i, j = np.triu_indices(len(place["x"]), 1)
            one = (i < place["first"]) == (j < place["first"])
            above = np.array(place["S"][3]) >= at
            assert table.sum() == len(i) and table[0].sum() == one.sum()
            assert np.abs(table[:, 0] - [(above & one).sum(), (above & ~one).sum()]).max() <= 1
        # the keyboard points at another pair
        before = browser.js("document.getElementById('pair').textContent")
        browser.js("document.getElementById('plane1').focus()")
        browser.press("ArrowRight")
        after = browser.js("document.getElementById('pair').textContent")
        assert before.startswith("In the tight place, pictures 1 and 2: one species.")
        assert after.startswith("In the loose place, pictures 1 and 3: one species.")
        # the questions check themselves: of each one's answers exactly one is right
        tried = """k => {
          const f = document.getElementById('q' + k), check = f.querySelector('button');
          const say = x => (x.click(), check.click(), f.querySelector('output').value);
          return [...f.querySelectorAll('input')].map(say); }"""
        for k in (0, 1):
            assert sum(x.startswith("✓") for x in browser.js(f"({tried})({k})")) == 1
        own = measured(made, 1.0, "LMDM")["overlap"] - measured(made, 1.0, "PDDM")["overlap"]
        for value, mark in ((own, "✓"), (own + 0.1, "✗")):
            browser.js(f"document.querySelector('#q2 input').value = {value}")
            assert browser.js(f"({tried})(2)")[0].startswith(mark)


def texts(browser, selector: str) -> list[str]:
    return browser.js(f"[...document.querySelectorAll('{selector}')].map(x => x.textContent)")


def measured(made: dict, h: float, name: str) -> dict:
    row = "PDDM" if name == "Euclidean" else name
    return made[h, 0, given.ALONE, row].metrics["test"][lesson.ranking(name)]


def overlaps(made: dict, h: float) -> list[str]:
    return [f"{measured(made, h, name)['overlap']:.3f}" for name in NAMES]
