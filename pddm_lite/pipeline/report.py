"""The offline HTML report: verdicts first, then tables and figures, then the executed notebooks.

Its text and looks are the template report.html beside this file.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import fields
from pathlib import Path
from urllib.parse import quote

import jinja2
import pandas as pd

from .. import __version__
from ..paper import judge, table2
from ..paper.judge import Verdict
from ..paper.verdict import tables
from ..store.errors import UserError
from ..store.files import write_text
from ..store.store import environment
from ..training.study import Study

TABLES = {  # tables/KIND_DATA.csv -> heading
    "recall": "Table 1, Recall@K in percent",
    "clusters": "Clusters of the features, and MAP@R in percent",
    "transfer": "Table 2, transfer: nearest class mean on new classes, in percent",
    "zero_shot": "Table 2, zero-shot through the hierarchy, in percent",
    "ablations": "Ablations: everything else alike",
    "quadruplets": "PDDM mining minus Euclidean mining, trained alike",
    "recipe": "One change of the recipe at a time",
}


PAPERS = ("transfer", "zero_shot")  # new classes, which a network of ImageNet may know
BADGE = {
    judge.REPRODUCED: "reproduced",
    judge.LEVEL: "level",
    judge.NOT_REPRODUCED: "not",
    judge.NOT_ENOUGH: "open",
}


# every value that is not marked safe in a template is escaped
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    keep_trailing_newline=True,
)


def badge(verdicts: pd.DataFrame) -> str:
    """The verdicts counted, as SVG: a claim's parts and data sets each count by themselves."""
    counts = {word: int((verdicts["verdict"] == v).sum()) for v, word in BADGE.items()}
    all_hold = counts["reproduced"] == len(verdicts) > 0
    words = [f"{n} {word}" for word, n in counts.items()]
    return TEMPLATES.get_template("badge.svg").render(counts=words, all_hold=all_hold)


def write(study: Study, failures: list[str], copy: Path | None = None) -> tuple[Path, list[str]]:
    """Write report.html and badge.svg to the study's folder, without outside address.

    Of a `copy` of that folder it shows, and goes to, the copy, and its pictures are those that lie
    beside it in figures/. Returns the report's path, and the verdicts as lines for the terminal.
    """
    folder, titles = copy or study.folder, study.titles()
    lines, verdicts = [], None
    path = folder / "tables" / "verdicts.csv"
    if path.exists():
        table = _read(path, keep_default_na=False, na_values=[""]).fillna({"note": ""})
        shown = tables.verdict_table(table, lambda name: titles.get(name, name))
        lines = tables.verdict_lines(table, lambda name: titles.get(name, name))
        verdicts = {
            "badge": badge(table),
            "marks": _table(tables.verdict_marks(shown), "marks"),
            "effects": _table(shown, "verdicts"),
            "legend": tables.LEGEND,
            "chance": tables.chance(table),
        }
        write_text(folder / "badge.svg", verdicts["badge"])
    data, names = [], {n.replace(":", "-"): t for n, t in titles.items()}
    for kind, heading in TABLES.items():
        for path in sorted((folder / "tables").glob(f"{kind}_*.csv")):
            name = path.stem.removeprefix(f"{kind}_")
            body = _table(_read(path, keep_default_na=False), "num")
            head = f"{heading}: {names.get(name, name)}"
            caveat = table2.pretrained(study) if kind in PAPERS else ""
            data.append({"name": path.stem, "heading": head, "caveat": caveat, "html": body})
    figures, above = [], {}  # an image of a notebook that is a figure already is not embedded twice
    for path in sorted((folder / "figures").glob("*.png")):
        image, name = base64.b64encode(path.read_bytes()).decode(), path.stem.replace("_", " ")
        above[image] = name
        source = f"figures/{quote(path.name)}" if copy else f"data:image/png;base64,{image}"
        figures.append({"name": name, "file": path.stem, "source": source})
    kept = study.folder / "notebooks"
    page = TEMPLATES.get_template("report.html").render(
        study=study,
        titles=titles.values(),
        failures=failures,
        verdicts=verdicts,
        tables=data,
        figures=figures,
        notebooks=[
            _notebook(path, kept / f"{path.stem}.json", above)
            for path in sorted((folder / "notebooks").glob("*.ipynb"))
        ],
        made=environment(study.device),
        version=__version__,
        highlighting=_highlighting(),
    )
    write_text(folder / "report.html", page)
    return folder / "report.html", lines


def _read(path: Path, **how) -> pd.DataFrame:
    """A table of the study; UserError if it is torn, or lacks what a verdict has."""
    try:
        frame = pd.read_csv(path, **how)
    except (OSError, ValueError) as err:  # pandas' and unicode's errors are ValueErrors
        problem = str(err).strip().splitlines()[0]
    else:
        needed = {f.name for f in fields(Verdict)} - {"part", "level"} | {"text"}
        missing = sorted(needed - {*frame.columns}) if path.stem == "verdicts" else []
        if not missing:
            return frame
        problem = f"no column {', '.join(missing)}"
    raise UserError(
        f"{path} is torn or was changed ({problem}); make it again: python run_all.py reproduce "
        f"{path}"
    )


def _table(frame: pd.DataFrame, kind: str) -> str:
    """A frame as HTML, its verdicts and marks coloured."""
    body = frame.to_html(index=False, border=0, classes=kind, na_rep="")
    for verdict, mark in tables.MARKS.items():
        styled = f'<td class="v {verdict.partition(",")[0].replace(" ", "-")}">'
        for text in (verdict, mark):
            body = body.replace(f"<td>{text}</td>", f"{styled}{text}</td>")
    return f'<div class="scroll">{body}</div>'


def _highlighting() -> str:
    from pygments.formatters import HtmlFormatter

    both = (HtmlFormatter(style=s).get_style_defs(".highlight") for s in ("default", "github-dark"))
    light, dark = (re.sub(r"background(-color)?: #\w+;?", "", css) for css in both)
    return f"{light}\n@media (prefers-color-scheme: dark) {{ {dark} }}"


def _notebook(path: Path, manifest: Path, above: dict[str, str]) -> dict[str, str]:
    """An executed notebook for the template; `above`: PNG in base64 -> the figure that it is."""
    import nbformat
    from nbconvert import HTMLExporter

    try:
        nb = nbformat.read(path, as_version=4)
    except (OSError, ValueError):  # nbformat's own errors are ValueErrors
        raise UserError(
            f"{path} is torn or no notebook; execute it again: python run_all.py --only {path.stem}"
        ) from None
    heads = [c.source.splitlines()[0] for c in nb.cells if c.cell_type == "markdown" and c.source]
    try:
        seconds = f", {json.loads(manifest.read_text(encoding='utf-8'))['seconds']:.0f} s"
    except (OSError, ValueError, KeyError, TypeError):
        seconds = " (not complete)"
    exporter = HTMLExporter(
        template_name="basic",
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
    )
    body, _ = exporter.from_notebook_node(nb)

    def link(found: re.Match) -> str:
        name = above.get(found[1].strip(), "")
        anchor = name.replace(" ", "-")
        return f'<a href="#{anchor}">figure {name}, above</a>' if name else found[0]

    body = re.sub(r'<img[^>]*?src="data:image/png;base64,([^"]*)"[^>]*>', link, body)
    title = heads[0].lstrip("# ") if heads else path.stem
    return {"name": path.stem, "title": title, "seconds": seconds, "html": _harmless(body)}


TAGS = (
    "a abbr b blockquote br code dd del div dl dt em h1 h2 h3 h4 h5 h6 hr i img kbd li ol p pre "
    "small span strong sub sup table tbody td tfoot th thead tr ul"
)


def _harmless(body: str) -> str:
    """A notebook's HTML without scripts, styles, forms, and addresses that a browser would load.

    A class or file may have any name, and Markdown shows HTML in it as HTML. Links to notebooks
    become links within the page; those to other files, which may lie elsewhere, become plain words.
    """
    import bleach  # of nbconvert

    def allowed(tag: str, attribute: str, value: str) -> bool:
        if attribute == "src":
            return tag == "img" and value.startswith("data:image/")
        if attribute == "href":
            return value.startswith(("#", "https://"))
        return attribute in ("class", "alt", "title", "width", "colspan", "rowspan", "border")

    body = re.sub(r"<(style|script)\b.*?</\1\s*>", "", body, flags=re.DOTALL | re.IGNORECASE)
    body = re.sub(r'href="(?:\./)?(\d\d_\w+)\.ipynb(?:#[^"]*)?"', r'href="#\1"', body)
    return bleach.clean(body, TAGS.split(), allowed, ["data", "https"])
