"""The offline HTML report: verdicts first, then tables and figures, then the executed notebooks."""

from __future__ import annotations

import base64
import html
import json
import re
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from .. import __version__, tables
from ..store import environment, write_text
from ..study import Study

CSS = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --soft: #f3f4f6; --line: #d5d9df;
  --good: #0a7a4b; --bad: #b3261e; --open: #8a6100; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --paper: #15181c; --soft: #20252b;
  --line: #3a4149; --good: #57d39b; --bad: #ff8a80; --open: #ffcf66; } }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 76rem; margin: 0 auto; padding: 1rem 1.2rem 4rem; }
h1 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .88rem; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; } th { background: var(--soft); text-align: left !important; }
.num td:not(:first-child) { white-space: nowrap; }
.verdicts td:nth-child(2), .verdicts td:nth-child(4) { white-space: nowrap; }
.v { font-weight: 650; white-space: nowrap; } .reproduced { color: var(--good); }
.not-reproduced { color: var(--bad); } .not-enough-evidence { color: var(--open); }
figure { margin: 1.5rem 0; } figure img, .nb img { max-width: 100%; background: #fff;
  border-radius: 4px; } figcaption, .small { font-size: .85rem; opacity: .8; }
pre, code { font: .85rem/1.45 ui-monospace, monospace; } pre { overflow-x: auto; background:
  var(--soft); padding: .6rem .8rem; border-radius: 4px; } .card { padding-left: .8rem;
  border-left: 4px solid var(--bad); white-space: pre-wrap; }
details { margin: .6rem 0; border: 1px solid var(--line); border-radius: 6px;
  padding: .4rem .9rem; }
summary { cursor: pointer; font-weight: 600; } details details { border: 0; padding: 0; }
details details summary { font-weight: 400; opacity: .7; font-size: .85rem; }
"""


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
    """Write report.html to the study's folder, one file without outside address.

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
    if failures:
        parts.append(f"<h2>{len(failures)} failed</h2>")
        parts += [f'<pre class="card">{html.escape(f)}</pre>' for f in failures]
    lines = []
    parts.append("<h2>What was reproduced</h2>")
    path = folder / "tables" / "verdicts.csv"
    if path.exists():
        verdicts = pd.read_csv(path, keep_default_na=False, na_values=[""])
        verdicts["note"] = verdicts["note"].fillna("")
        shown = tables.verdict_table(verdicts, lambda name: titles.get(name, name))
        parts.append(_table(shown, "verdicts"))
        parts.append(
            '<p class="small">Each effect is the mean over paired seeds with its 95 % Student '
            "interval. Reproduced: the whole interval lies above what the paper claims, or within "
            "it where two things are claimed to be alike; not reproduced: the whole of it lies "
            "outside; otherwise, or with fewer than three seeds, not enough evidence.</p>"
        )
        for _, row in shown.iterrows():
            claim = row["claim"].split(":")[0]
            effect = row["effect [95 % interval]"]
            lines.append(f"  {claim:<4} {row['data'][:28]:<28} {row['verdict']:<20} {effect}")
    else:
        parts.append("<p>The verdict notebook has not been executed.</p>")
    parts.append("<h2>Tables</h2>")
    for kind, heading in TABLES.items():
        for path in sorted((folder / "tables").glob(f"{kind}_*.csv")):
            name = path.stem.removeprefix(f"{kind}_")
            title = next((t for n, t in titles.items() if n.replace(":", "-") == name), name)
            parts.append(f"<h3>{heading}: {html.escape(title)}</h3>")
            parts.append(_table(pd.read_csv(path, keep_default_na=False), "num"))
    parts.append("<h2>Figures</h2>")
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
    parts.append("<h2>Notebooks</h2>")
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
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>pddm-lite report</title><style>{CSS}{_highlighting()}</style></head><body>"
        + "\n".join(parts)
        + "</body></html>\n"
    )
    write_text(folder / "report.html", page)
    return folder / "report.html", lines


def _table(frame: pd.DataFrame, kind: str = "") -> str:
    body = frame.to_html(index=False, border=0, classes=kind, na_rep="")
    for verdict in ("not reproduced", "not enough evidence", "reproduced"):
        cell = f"<td>{verdict}</td>"
        styled = f'<td class="v {verdict.replace(" ", "-")}">{verdict}</td>'
        body = body.replace(cell, styled)
    return f'<div class="scroll">{body}</div>'


def _highlighting() -> str:
    from pygments.formatters import HtmlFormatter

    light = HtmlFormatter(style="default").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    light = re.sub(r"background: #\w+;?", "", light)
    dark = re.sub(r"background(-color)?: #\w+;?", "", dark)
    return f"{light}\n@media (prefers-color-scheme: dark) {{ {dark} }}"


def _notebook(path: Path, manifest: Path, shown_above: dict[str, str]) -> str:
    """An executed notebook as a folded piece of HTML, its code folded once more."""
    import nbformat
    from nbconvert import HTMLExporter

    nb = nbformat.read(path, as_version=4)
    title = next(
        (c.source.splitlines()[0].lstrip("# ") for c in nb.cells if c.cell_type == "markdown"),
        path.stem,
    )
    complete = manifest.exists()
    exporter = HTMLExporter(template_name="basic")
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    exporter.exclude_anchor_links = True
    body, _ = exporter.from_notebook_node(nb)
    for image, name in shown_above.items():
        link = f'<a href="#{name.replace(" ", "-")}">figure {name}, above</a>'
        pattern = r'<img[^>]*?src="data:image/png;base64,' + re.escape(image) + r'\s*"[^>]*>'
        body = re.sub(pattern, link, body)
    note = "" if complete else " (not complete)"
    seconds = ""
    if complete:
        seconds = f", {json.loads(manifest.read_text())['seconds']:.0f} s"
    return (
        f"<details><summary>{html.escape(path.stem)}: {html.escape(title)}{note}"
        f'<span class="small">{seconds}</span></summary><div class="nb">{body}</div></details>'
    )
