"""Names in any script: by a font that has their letters, else one line that says so."""

import warnings
from types import SimpleNamespace

import matplotlib as mpl
import pandas as pd
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from pddm_lite.paper import drawing
from pddm_lite.paper.fonts import FALLBACK, FIRST
from pddm_lite.training.study import Study

NAME = "丹頂"  # a crane


def drawn(tmp_path, name: str):
    with drawing.style():
        fig, axes = drawing.axes_grid(1, 1, 2.0)
        axes[0, 0].set(xlabel=name, ylabel="class")
    study = Study.of("smoke", results=str(tmp_path), device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return drawing.save(fig, pd.DataFrame({"x": [1]}), study, "60_x").read_bytes()


@pytest.fixture
def fonts(monkeypatch):
    """The font list of matplotlib alone, without what is installed here."""
    manager = font_manager.fontManager
    own = [f for f in manager.ttflist if f.name not in FALLBACK]
    monkeypatch.setattr(manager, "ttflist", own)
    manager._findfont_cached.cache_clear() if hasattr(manager, "_findfont_cached") else None
    return SimpleNamespace(manager=manager)


def test_letters_that_no_font_has_are_one_line(tmp_path, fonts, capsys):
    drawn(tmp_path, NAME + " and Müller")
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("warning: no font here has the letters ") and "Noto Sans CJK" in line
    assert all(c in line for c in NAME) and "ü" not in line
    plain = drawn(tmp_path, "Müller")
    assert capsys.readouterr().out == "" and plain == drawn(tmp_path, "Müller")


def font_of(path, letters_in_it, family):
    """A font file of that family in which each letter is a filled square."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 700), (700, 700), (700, 0)):
        pen.lineTo(corner)
    pen.closePath()
    names = [".notdef", *(f"uni{ord(c):04X}" for c in letters_in_it)]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(c): n for c, n in zip(letters_in_it, names[1:], strict=True)})
    builder.setupGlyf(dict.fromkeys(names, pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (800, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return str(path)


@pytest.mark.parametrize("family", [FALLBACK[0], FALLBACK[-1]])
def test_letters_come_from_an_installed_font_that_has_them(tmp_path, fonts, capsys, family):
    lacking = drawn(tmp_path, NAME)
    assert "no font here" in capsys.readouterr().out
    fonts.manager.addfont(font_of(tmp_path / "own.ttf", NAME, family))
    with drawing.style():
        assert mpl.rcParams["font.family"] == [FIRST, family]
    assert drawn(tmp_path, NAME) != lacking
    assert capsys.readouterr().out == ""
