"""Fonts for names in any script, and one line where no font here has their letters."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from matplotlib import font_manager

FIRST = "DejaVu Sans"  # comes with matplotlib
# for letters that it lacks, as in a class named 丹頂: those of these that are installed
FALLBACK = (
    "Noto Sans CJK JP|Noto Sans CJK SC|Noto Sans CJK KR|Noto Sans JP|Noto Sans SC|Noto Sans KR|"
    "Source Han Sans|WenQuanYi Micro Hei|WenQuanYi Zen Hei|IPAexGothic|IPAGothic|TakaoPGothic|"
    "Hiragino Sans|PingFang SC|Apple SD Gothic Neo|Arial Unicode MS|Yu Gothic|MS Gothic|"
    "Microsoft YaHei|Malgun Gothic|Noto Sans Devanagari|Noto Sans Thai|Noto Sans Bengali|"
    "Noto Sans Tamil|Droid Sans Fallback|Unifont"
).split("|")


def fonts() -> list[str]:
    """Families in the order in which a letter is looked up; matplotlib warns of others."""
    installed = set(font_manager.get_font_names())
    return [FIRST, *(f for f in FALLBACK if f in installed)]


@contextmanager
def told() -> Iterator[None]:
    """One line about all letters that no font has, in place of matplotlib's warning of each."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        yield
    lacking: dict[str, None] = {}
    for w in seen:
        if found := re.match(r"Glyph (\d+) .* missing from", str(w.message)):
            lacking[chr(int(found[1]))] = None
        else:
            warnings.warn_explicit(w.message, w.category, w.filename, w.lineno)
    if lacking:
        print(
            f"warning: no font here has the letters {''.join(lacking)}; install Noto Sans CJK, or "
            "another font of that script, and draw the figure again"
        )
