"""The offline HTML report: what was found, what differs, then effects, tables and notebooks folded.

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
from markupsafe import escape

from .. import __version__
from ..paper import table2
from ..paper.given_space import lesson
from ..paper.judge import Verdict
from ..paper.printed import CLAIMS
from ..paper.verdict import tables
from ..store.errors import UserError
from ..store.files import write_text
from ..store.store import environment
from ..training.study import Study
from . import found

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
MAIN = ("15_given_space", "90_verdict")  # the first of them that was drawn opens the report
DIFFERENCES = Path(__file__).parents[2] / "DIFFERENCES.md"

# every value that is not marked safe in a template is escaped
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    keep_trailing_newline=True,
)
FIGURE = TEMPLATES.from_string(
    '<figure id="figure-{{ name }}"><img alt="{{ caption }}" src="{{ source }}"><figcaption>'
    "{{ caption }} (figures/{{ name }}.csv)</figcaption></figure>"
)


def write(study: Study, failures: list[str], copy: Path | None = None) -> tuple[Path, list[str]]:
    """Write report.html to the study's folder, and lesson.html, without outside address.

    Of a `copy` of that folder it shows, and goes to, the copy, and its pictures are those that lie
    beside it in figures/. Returns the report's path, and the verdicts as lines for the terminal.
    """
    folder, titles = copy or study.folder, study.titles()
    lines, verdicts = [], None
    path = folder / "tables" / "verdicts.csv"
    if path.exists():
        table = _read(path, keep_default_na=False, na_values=[""]).fillna({"note": ""})
        lines = tables.verdict_lines(table, lambda name: titles.get(name, name))
        verdicts = _verdicts(table, titles)
    data, names = [], {n.replace(":", "-"): t for n, t in titles.items()}
    for kind, heading in TABLES.items():
        for path in sorted((folder / "tables").glob(f"{kind}_*.csv")):
            name = path.stem.removeprefix(f"{kind}_")
            body = _read(path, keep_default_na=False)
            html = body.to_html(index=False, border=0, classes="num", na_rep="")
            head = f"{heading}: {names.get(name, name)}"
            caveat = table2.pretrained(study) if kind in PAPERS else ""
            data.append({"name": path.stem, "heading": head, "caveat": caveat, "html": html})
    figures = {}  # PNG in base64 -> what the report says of it
    for path in sorted((folder / "figures").glob("*.png")):
        image = base64.b64encode(path.read_bytes()).decode()
        source = f"figures/{quote(path.name)}" if copy else f"data:image/png;base64,{image}"
        figures[image] = f = {"name": path.stem, "source": source, "caption": _caption(path)}
        f["html"] = FIGURE.render(f)
    main = next((f for m in MAIN for f in figures.values() if f["name"] == m), None)
    kept, left = study.folder / "notebooks", {k: f for k, f in figures.items() if f is not main}
    notebooks = [
        _notebook(path, kept / f"{path.stem}.json", figures, main, left)
        for path in sorted((folder / "notebooks").glob("*.ipynb"))
    ]
    if turned := lesson.page(study):
        write_text(folder / "lesson.html", turned)
    page = TEMPLATES.get_template("report.html").render(
        study=study,
        titles=titles.values(),
        failures=failures,
        verdicts=verdicts,
        lesson=bool(turned),
        main=main,
        differences=_differences() if study.recipe == "default" else [],
        tables=data,
        figures=figures.values(),
        left=left.values(),
        notebooks=notebooks,
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


def _verdicts(table: pd.DataFrame, titles: dict[str, str]) -> dict:
    """What the template says of verdicts: sentences, and a claim a row, a data set a column."""
    rows = found.rows(table, lambda name: titles.get(name, name))
    for row in rows:
        row["mark"] = tables.MARKS.get(row["verdict"], row["verdict"])
        row["claims"] = found.LOST not in row["part"]  # by the paper, and not by us
        row["kind"] = row["verdict"].partition(",")[0].replace(" ", "-")
    claims = sorted({row["number"] for row in rows}, key=tables.claim_number)
    own = {c: [row for row in rows if row["number"] == c] for c in claims}
    return {
        "sentences": found.sentences(rows),
        "columns": dict.fromkeys(row["data"] for row in rows),
        "claims": [(c, CLAIMS.get(c, x[0]["claim"]), x) for c, x in own.items()],
        "legend": {v: mark for v, mark in tables.MARKS.items() if v != tables.NO_LEAD},
        "chance": tables.chance(table),
    }


def _caption(path: Path) -> str:
    """What drawing.save keeps of what a figure shows; of old figures their name."""
    try:
        said = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["caption"]
    except (OSError, ValueError, KeyError, TypeError):
        said = ""
    return said or path.stem.replace("_", " ")


def _differences() -> list[tuple[str, str]]:
    """What training does otherwise than the paper: (in short, why) of DIFFERENCES.md, as HTML."""
    import mistune  # of nbconvert

    text = DIFFERENCES.read_text(encoding="utf-8") if DIFFERENCES.exists() else ""
    training = text.partition("\n## Training\n")[2].partition("\n## ")[0]
    items = re.findall(r"^\d+\. \*\*(.+?)\*\*(.*?)(?=^\d+\. |\Z)", training, re.M | re.S)
    return [(short.rstrip("."), _harmless(mistune.html(why))) for short, why in items]


def _highlighting() -> str:
    from pygments.formatters import HtmlFormatter

    both = (HtmlFormatter(style=s).get_style_defs(".highlight") for s in ("default", "github-dark"))
    light, dark = (re.sub(r"background(-color)?: #\w+;?", "", css) for css in both)
    return f"{light}\n@media (prefers-color-scheme: dark) {{ {dark} }}"


def _notebook(
    path: Path, manifest: Path, figures: dict[str, dict], main: dict | None, left: dict[str, dict]
) -> dict[str, str]:
    """An executed notebook for the template.

    figures: PNG in base64 -> the figure that it is, drawn with its caption where it is first seen
    (`main` stands above already); `left` loses it.
    """
    import nbformat

    try:
        nb = nbformat.read(path, as_version=4)
    except (OSError, ValueError):  # nbformat's own errors are ValueErrors
        raise UserError(
            f"{path} is torn or no notebook; execute it again: python run_all.py --only {path.stem}"
        ) from None
    captions = {f"*{f['caption']}*" for f in figures.values()}  # stand under the figures already
    for cell in nb.cells:
        if outputs := cell.get("outputs"):
            said = (o.get("data", {}).get("text/markdown") for o in outputs)
            cell.outputs = [o for o, x in zip(outputs, said, strict=True) if x not in captions]
    heads = [c.source.splitlines()[0] for c in nb.cells if c.cell_type == "markdown" and c.source]
    try:
        seconds = f", {json.loads(manifest.read_text(encoding='utf-8'))['seconds']:.0f} s"
    except (OSError, ValueError, KeyError, TypeError):
        seconds = " (not complete)"
    formulas: list[str] = []
    body = _harmless(html_of(nb, formulas))
    body = re.sub("\ue000(\\d+)\ue000", lambda n: formulas[int(n[1])], body)

    def draw(seen: re.Match) -> str:
        figure = figures.get(seen[1].strip())
        if figure is None:  # a picture that no file holds
            return seen[0]
        if left.pop(seen[1].strip(), None):
            return figure["html"]
        return f'<a href="#figure-{escape(figure["name"])}">{escape(figure["caption"])}</a>'

    body = re.sub(r'<img[^>]*?src="data:image/png;base64,([^"]*)"[^>]*>', draw, body)
    title = heads[0].lstrip("# ") if heads else path.stem
    return {"name": path.stem, "title": title, "seconds": seconds, "html": body}


def mathml(text: str, display: str = "inline") -> str:
    """LaTeX as MathML; what the library cannot read, as code."""
    from latex2mathml.converter import convert

    try:
        out = convert(text, display=display)
    except Exception:  # of many kinds
        out = "\\"
    return f"<code>{escape(text)}</code>" if "\\" in out or "&amp;" in out else out


def html_of(nb, formulas: list[str]) -> str:
    """A notebook as HTML; of LaTeX its number between two signs, and MathML added to `formulas`."""
    from nbconvert import HTMLExporter
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    def formula(text: str, display: str) -> str:
        formulas.append(mathml(text, display))
        return f"\ue000{len(formulas) - 1}\ue000"

    class Renderer(IPythonRenderer):
        def block_math(self, body: str) -> str:
            return formula(body, "block")

        def inline_math(self, body: str) -> str:
            return formula(body, "inline")

    def markdown(source: str) -> str:
        renderer = Renderer(escape=False, exclude_anchor_links=True)
        return MarkdownWithMath(renderer=renderer).render(source.replace("\ue000", ""))

    exporter = HTMLExporter(
        template_name="basic",
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        filters={"markdown2html": markdown},
    )
    return exporter.from_notebook_node(nb)[0]


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
