"""The offline HTML report: verdicts first, then tables and figures, then the executed notebooks."""

from __future__ import annotations

import base64
import html
import json
import re
from dataclasses import fields
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from .. import __version__
from ..paper import table2
from ..paper.judge import Verdict
from ..paper.verdict import tables
from ..store.errors import UserError
from ..store.files import write_text
from ..store.store import environment
from ..training.study import Study
from . import badge
from .style import CSS

TABLES = {  # tables/KIND_DATA.csv -> heading
    "recall": "Table 1, Recall@K in percent",
    "clusters": "Clusters of the features, and MAP@R in percent",
    "transfer": "Table 2, transfer: nearest class mean on new classes, in percent",
    "zero_shot": "Table 2, zero-shot through the hierarchy, in percent",
    "ablations": "Ablations: everything else alike",
    "quadruplets": "PDDM mining minus Euclidean mining, trained alike",
    "recipe": "One change of the recipe at a time",
}


def write(study: Study, failures: list[str], copy: Path | None = None) -> tuple[Path, list[str]]:
    """Write report.html and badge.svg to the study's folder, without outside address.

    Of a `copy` of that folder it shows, and goes to, the copy, and its pictures are those that lie
    beside it in figures/. Returns the report's path, and the verdicts as lines for the terminal.
    """
    folder = copy or study.folder
    titles = study.titles()
    parts = [f"<h1>PDDM, reproduced on {html.escape(', '.join(titles.values()))}</h1>"]
    parts.append(
        "<p><i>Local Similarity-Aware Deep Feature Embedding</i> (Huang, Loy, Tang, NeurIPS 2016), "
        f"profile <code>{html.escape(study.profile)}</code>, recipe "
        f"<code>{html.escape(study.recipe)}</code>, network <code>{html.escape(study.backbone)}"
        f"</code> ({html.escape(study.mode)}), seeds {', '.join(map(str, study.seeds))}.</p>"
    )
    contents = len(parts)  # they come here once all headings are known
    if failures:
        parts.append(f'<h2 id="failed">{len(failures)} failed</h2>')
        parts += [f'<pre class="failure">{html.escape(f)}</pre>' for f in failures]
    lines, status = [], ""
    parts.append('<h2 id="verdicts">What was reproduced</h2>')
    path = folder / "tables" / "verdicts.csv"
    if path.exists():
        verdicts = _read(path, keep_default_na=False, na_values=[""])
        verdicts["note"] = verdicts["note"].fillna("")
        status = badge.svg(verdicts)
        parts.append(f"<p>{status}</p>")
        shown = tables.verdict_table(verdicts, lambda name: titles.get(name, name))
        parts.append(_table(tables.verdict_marks(shown), "marks"))
        parts.append(f'<p class="small">{tables.LEGEND}; empty where it was not asked.</p>')
        parts.append('<h3 id="effects">Effects</h3>')
        parts.append(_table(shown, "verdicts"))
        parts.append(
            f'<p class="small">{tables.chance(verdicts)} Each effect is the mean over paired seeds '
            "with its 95 % interval, which takes seeds and, for Recall@1, AUC and overlap, test "
            "classes as drawn at random. Level: the whole interval lies within a margin of no "
            "difference (1 point, or 0.01). Reproduced: the whole of it lies on the claimed side "
            "of the threshold, or between two where things are claimed to be alike; not "
            "reproduced: the whole of it lies outside; otherwise, or with fewer than three seeds, "
            "not enough evidence.</p>"
        )
        lines = tables.verdict_lines(verdicts, lambda name: titles.get(name, name))
    else:
        parts.append("<p>The verdict notebook has not been executed.</p>")
    parts.append(
        '<h2 id="tables">Tables</h2><p class="small">Each table, figure and notebook is made '
        "again, and its numbers compared, by <code>python run_all.py reproduce PATH</code>.</p>"
    )
    for kind, heading in TABLES.items():
        for path in sorted((folder / "tables").glob(f"{kind}_*.csv")):
            name = path.stem.removeprefix(f"{kind}_")
            title = next((t for n, t in titles.items() if n.replace(":", "-") == name), name)
            anchor = html.escape(path.stem)
            parts.append(f'<h3 id="table-{anchor}">{heading}: {html.escape(title)}</h3>')
            if kind in ("transfer", "zero_shot") and (caveat := table2.pretrained(study)):
                parts.append(f'<p class="small">{html.escape(caveat)}</p>')
            parts.append(_table(_read(path, keep_default_na=False), "num"))
    parts.append('<h2 id="figures">Figures</h2>')
    shown_above = {}  # an image of a notebook that is a figure already is not embedded twice
    for path in sorted((folder / "figures").glob("*.png")):
        image = base64.b64encode(path.read_bytes()).decode()
        name = html.escape(path.stem.replace("_", " "))
        shown_above[image] = name
        source = f"figures/{quote(path.name)}" if copy else f"data:image/png;base64,{image}"
        parts.append(
            f'<figure id="{name.replace(" ", "-")}"><img alt="{name}" '
            f'src="{source}">'
            f"<figcaption>{name} (data beside it: figures/{html.escape(path.stem)}.csv)"
            "</figcaption></figure>"
        )
    parts.append('<h2 id="notebooks">Notebooks</h2>')
    for path in sorted((folder / "notebooks").glob("*.ipynb")):
        manifest = study.folder / "notebooks" / f"{path.stem}.json"
        parts.append(_notebook(path, manifest, shown_above))
    made = environment(study.device)
    parts.append(
        f'<p class="small">pddm-lite {__version__}, commit {made["commit"] or "unknown"}'
        f"{' (with changes)' if made['changed'] else ''}; "
        f"{html.escape(made['gpu'] or made['cpu'])}; Python {made['python']}, torch "
        f"{made['torch']}; <code>{html.escape(made['command'])}</code></p>"
    )
    parts.insert(contents, _contents(parts))
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>pddm-lite report</title><style>{CSS}{_highlighting()}</style></head><body>"
        + "\n".join(parts)
        + "</body></html>\n"
    )
    if status:
        write_text(folder / "badge.svg", status)
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


def _contents(parts: list[str]) -> str:
    """Links to every heading, figure and notebook of the page, in its order."""
    found = re.findall(
        r'<(h[23]|figure|details) id="([^"]+)">(?:<summary>)?([^<]*)', "\n".join(parts)
    )
    first, rest = [], []
    for kind, anchor, text in found:
        link = f'<a href="#{anchor}">{text or anchor.replace("-", " ")}</a>'
        rest.append(f"<br><b>{link}</b>" if kind == "h2" else link)
        first += [link] if kind == "h2" else []
    return (
        f"<nav><p>{' '.join(first)}</p><details><summary>All tables, figures and notebooks"
        f"</summary><p>{' '.join(rest)}</p></details></nav>"
    )


def _table(frame: pd.DataFrame, kind: str = "") -> str:
    body = frame.to_html(index=False, border=0, classes=kind, na_rep="")
    for verdict, mark in tables.MARKS.items():
        for text in (verdict, mark):
            kind = verdict.partition(",")[0].replace(" ", "-")
            styled = f'<td class="v {kind}">{text}</td>'
            body = body.replace(f"<td>{text}</td>", styled)
    return f'<div class="scroll">{body}</div>'


def _highlighting() -> str:
    from pygments.formatters import HtmlFormatter

    light = HtmlFormatter(style="default").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    light = re.sub(r"background: #\w+;?", "", light)
    dark = re.sub(r"background(-color)?: #\w+;?", "", dark)
    return f"{light}\n@media (prefers-color-scheme: dark) {{ {dark} }}"


def _notebook(path: Path, manifest: Path, shown_above: dict[str, str]) -> str:
    """An executed notebook as a folded piece of HTML."""
    import nbformat
    from nbconvert import HTMLExporter

    try:
        nb = nbformat.read(path, as_version=4)
    except (OSError, ValueError):  # nbformat's own errors are ValueErrors
        raise UserError(
            f"{path} is torn or no notebook; execute it again: python run_all.py --only {path.stem}"
        ) from None
    title = next(
        (
            c.source.splitlines()[0].lstrip("# ")
            for c in nb.cells
            if c.cell_type == "markdown" and c.source
        ),
        path.stem,
    )
    try:
        seconds = f", {json.loads(manifest.read_text(encoding='utf-8'))['seconds']:.0f} s"
    except (OSError, ValueError, KeyError, TypeError):
        seconds = " (not complete)"
    exporter = HTMLExporter(template_name="basic")
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    exporter.exclude_anchor_links = True
    body, _ = exporter.from_notebook_node(nb)

    def link(found: re.Match) -> str:
        name = shown_above.get(found[1].strip(), "")
        anchor = name.replace(" ", "-")
        return f'<a href="#{anchor}">figure {name}, above</a>' if name else found[0]

    body = re.sub(r'<img[^>]*?src="data:image/png;base64,([^"]*)"[^>]*>', link, body)
    body = _harmless(body)
    name = html.escape(path.stem)
    return (
        f'<details id="{name}"><summary>{name}: {html.escape(title)}'
        f'<span class="small">{seconds}</span></summary><div class="nb">{body}</div></details>'
    )


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
