"""The status badge: a small picture that counts the verdicts on the paper's claims."""

from __future__ import annotations

import html

import pandas as pd

from ..paper.judge import LEVEL, NOT_ENOUGH, NOT_REPRODUCED, REPRODUCED

WORDS = {REPRODUCED: "reproduced", LEVEL: "level", NOT_REPRODUCED: "not", NOT_ENOUGH: "open"}
HEIGHT, LETTER, PAD = 20, 6.6, 8  # pixels


def svg(verdicts: pd.DataFrame) -> str:
    """The badge as SVG, as in "verdicts: 20 reproduced, 6 level, 14 not, 13 open".

    One of several parts or data sets of a claim counts by itself: a claim may hold on one alone.
    """
    counted = {word: int((verdicts["verdict"] == v).sum()) for v, word in WORDS.items()}
    left, right = "verdicts", ", ".join(f"{n} {word}" for word, n in counted.items())
    colour = "#0a7a4b" if counted["reproduced"] == len(verdicts) > 0 else "#4a5568"
    widths = [round(LETTER * len(text) + 2 * PAD) for text in (left, right)]
    text = html.escape(f"{left}: {right}")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="badge" width="{sum(widths)}" '
        f'height="{HEIGHT}" viewBox="0 0 {sum(widths)} {HEIGHT}" role="img" aria-label="{text}">'
        f"<title>{text}</title>"
    ]
    x = 0
    for said, width, fill in zip((left, right), widths, ("#2d3138", colour), strict=True):
        parts.append(
            f'<rect x="{x}" width="{width}" height="{HEIGHT}" fill="{fill}"/>'
            f'<text x="{x + PAD}" y="14" textLength="{width - 2 * PAD}" fill="#fff" '
            f'font-family="Verdana,sans-serif" font-size="11">{html.escape(said)}</text>'
        )
        x += width
    return "".join(parts) + "</svg>\n"
