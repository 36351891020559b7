"""Committed evidence: copy a finished study to results/reference/, its tables to the README.

    python -m pddm_lite.reference add [the options of run_all.py]   copy that study's results
    python -m pddm_lite.reference readme [--check]    rewrite the tables of the files in GENERATED

Pictures of real data sets are never copied: they are not ours to give away.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from PIL import Image

from . import cost, tables
from .claims import count
from .errors import UserError
from .pipeline import cli, report
from .pipeline.notebooks import notebooks
from .pipeline.report import TABLES
from .store import environment, write_atomic, write_text
from .study import EMBEDDED, Study

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "results" / "reference"
# figures that show pictures of the data have names that begin so
PHOTOGRAPHS = (
    "00_samples",
    "30_quadruplets",
    "40_pictures",
    "60_neighbours",
    "95_samples",
    "95_neighbours",
)
# 0.6 MB: the others' tables, figures and notebooks say the same
REPORTS = ("quick",)
FIRST = "notebooks/00_start_here.ipynb"  # what a study of part of the notebooks lacks
MARKS = {"reproduced": "✓", "not reproduced": "✗", "not enough evidence": "?"}


def raw_values(runs: dict) -> pd.DataFrame:
    """Every measure of every run in tidy form."""
    rows = []
    for (data, method, seed), run in runs.items():
        m = run.metrics
        for split in ("test", "train"):
            for ranking, measures in m[split].items():
                rows += [
                    (data, split, method, seed, ranking, name, round(value, 6), run.id)
                    for name, value in measures.items()
                ]
        rows.append((data, "val", method, seed, "", "chosen_step", m["chosen_step"], run.id))
        rows.append((data, "val", method, seed, "", "collapsed", bool(m["collapse"]), run.id))
    columns = "data split method seed ranking measure value run".split()
    return pd.DataFrame(rows, columns=columns)


def add(study: Study, command: str) -> Path:
    """Copy tables, figures, executed notebooks and the report of a finished study.

    Of real data sets without the pictures: not as figures, and not in notebooks or the report.

    Raises:
        UserError: the study has no report yet.
    """
    source, target = study.folder, REFERENCE / study.folder.name
    if not (source / "report.html").exists():
        raise UserError(f"{source} has no report.html; run run_all.py with the same options first.")
    real = any(d.partition("@")[0] not in EMBEDDED for d in study.data)
    shutil.rmtree(target, ignore_errors=True)
    whole = len(list((source / "notebooks").glob("*.ipynb"))) == len(notebooks())
    # of a part of the notebooks the verdicts are few: their table is enough
    left_out = (PHOTOGRAPHS if real else ()) + (() if whole else ("90_verdict",))
    for folder, suffixes in (
        ("tables", (".csv",)),
        ("figures", (".png", ".csv", ".json")),
        ("notebooks", (".ipynb",)),
    ):
        (target / folder).mkdir(parents=True)
        for path in sorted((source / folder).iterdir()):
            if path.suffix not in suffixes:
                continue
            if path.suffix in (".png", ".ipynb") and path.stem.startswith(left_out):
                continue
            shutil.copyfile(path, target / folder / path.name)
            # as fine as anyone can see; the table of a figure with nothing to draw may be empty
            if folder == "figures" and path.suffix == ".csv" and path.read_text().strip():
                short = pd.read_csv(path).to_csv(index=False, float_format="%.6g")
                write_text(target / folder / path.name, short)
    if real:
        titles = " and ".join(study.titles().values())
        instead = f"pictures of {titles} are not ours to publish: run the notebook to see them"
        own = {path.read_bytes() for path in (target / "figures").glob("*.png")}
        for path in (target / "notebooks").glob("*.ipynb"):
            write_text(path, without_pictures(path.read_text(encoding="utf-8"), own, instead))
    if whole and target.name in REPORTS:
        report.write(study, [], target)
    names = {path.read_bytes(): path.name for path in (target / "figures").glob("*.png")}
    for path in (target / "notebooks").glob("*.ipynb"):
        write_text(path, beside_figures(path.read_text(encoding="utf-8"), names))
    for path in (target / "figures").glob("*.png"):
        fewer_colours(path)
    if target != REFERENCE / "quick":
        share(target, REFERENCE / "quick")
    runs = study.runs()
    first = next(iter(runs.values())).manifest
    keys = "python torch numpy platform cpu cores gpu commit changed made".split()
    how = ", fine-tuned" if study.mode == "finetune" else ""
    how = ", trained end to end from random weights" if how and study.weights == "none" else how
    how += f" ({', '.join(study.settings)})" if study.settings else ""
    titles = {name: title + how for name, title in study.titles().items()}
    provenance = {
        "command": command,
        "title": ", ".join(titles.values()),
        "titles": titles,
        "protocol": tables.protocol(study, runs),
        "runs_made_with": {k: first.get(k) for k in keys},
        "copied_at_commit": environment()["commit"],
        "seeds": list(study.seeds),
        "seconds_of_training": round(sum(r.manifest["seconds"] for r in set(runs.values()))),
        "summary": json.loads((source / "summary.json").read_text()),
        "runs": sorted({r.id for r in runs.values()}),
    }
    write_text(target / "provenance.json", json.dumps(provenance, indent=1) + "\n")
    text = raw_values(runs).to_csv(index=False, lineterminator="\n")
    write_text(target / "tables" / "raw_values.csv", text)
    return target


def beside_figures(notebook: str, names: Mapping[bytes, str]) -> str:
    """The text of an executed notebook in ../notebooks that shows its figures from ../figures.

    `names` are PNG bytes -> file name; other pictures stay. Each figure is kept once, and not
    again as text in a notebook.
    """
    nb = json.loads(notebook)
    for cell in nb["cells"]:
        for output in cell.get("outputs", []):
            png = base64.b64decode("".join(output.get("data", {}).get("image/png", "")))
            if png in names:
                link = f"![{names[png]}](../figures/{names[png]})"
                words = {"text/markdown": link, "text/plain": f"figures/{names[png]}"}
                output |= {"data": words, "metadata": {}}
    return json.dumps(nb, indent=1, ensure_ascii=False) + "\n"


def fewer_colours(path: Path) -> None:
    """Keep 48 colours of a PNG: a fifth smaller, and no difference that a reader sees."""
    small = Image.open(path).convert("RGB")  # k-means: without it a method's colour may change
    small = small.quantize(48, Image.Quantize.MEDIANCUT, kmeans=2, dither=Image.Dither.NONE)
    write_atomic(path, lambda f: small.save(f, "PNG", optimize=True, dpi=(160, 160)))


def share(target: Path, first: Path) -> None:
    """Show figures that a study has in common with the `first` one from there, and keep them once.

    So with drawings of the unit, the toys, the cost of a batch, the demonstration of own data.
    """
    for path in (target / "figures").glob("*.png"):
        twin = first / "figures" / path.name
        if not twin.exists() or twin.read_bytes() != path.read_bytes():
            continue
        path.unlink()
        for text in (*(target / "notebooks").glob("*.ipynb"), *target.glob("report.html")):
            old, new = text.read_text(encoding="utf-8"), f"../{first.name}/figures/{path.name}"
            changed = old.replace(f"(../figures/{path.name})", f"(../{new})")
            write_text(text, changed.replace(f'src="figures/{path.name}"', f'src="{new}"'))


def without_pictures(notebook: str, kept: set[bytes], instead: str) -> str:
    """The text of an executed notebook without its pictures, but for PNGs that are among `kept`.

    An output with another picture, of any kind, becomes the words `instead`.
    """
    nb = json.loads(notebook)
    for cell in nb["cells"]:
        cell.pop("attachments", None)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            png = base64.b64decode("".join(data.get("image/png", "")))
            rest = {kind: text for kind, text in data.items() if kind != "image/png" or not png}
            if (png and png not in kept) or re.search(r"image/|<svg|<img", json.dumps(rest)):
                output |= {"data": {"text/plain": instead}, "metadata": {}}
    return json.dumps(nb, indent=1, ensure_ascii=False) + "\n"


def studies() -> list[tuple[Path, dict]]:
    """Reference studies: folder and provenance, by name, those of all notebooks first."""
    found = REFERENCE.glob("*/provenance.json")
    found = sorted(found, key=lambda p: (not (p.parent / FIRST).exists(), p))
    return [(path.parent, json.loads(path.read_text())) for path in found]


def results() -> str:
    """The README's part: verdicts, Recall@1 and Table 2 of the studies of three seeds or more."""
    more = (
        "Intervals, every table, also of ablations and of single fine-tuned runs, with the command "
        "that made"
    )
    beside = "the paper's columns are other data and another network:\n"
    titles = [t for _, made in studies() if len(made["seeds"]) > 2 for t in made["titles"].values()]
    numbers = {title: f"({n})" for n, title in enumerate(dict.fromkeys(titles), 1)}
    parts = [
        "Data sets, by their numbers in the tables below; real ones with MobileNetV2 of ImageNet, "
        "its features frozen, where nothing else is said:\n",
        *(f"- {number} {title}" for title, number in numbers.items()),
        "",
        *_decided(fewest=3, short=True),
        f"Test Recall@1 in percent, mean ± standard deviation over seeds; {beside}",
        markdown(_recall_1()),
    ]
    for kind, what in (
        ("transfer", "Table 2, left: top-1 in percent of the nearest class mean on new classes"),
        ("zero_shot", "Table 2, right: flat top-5 in percent on classes without an image"),
    ):
        parts += [f"{what}; {beside}", markdown(_table_2(kind))]
    parts.append(f"{more} it: [results/reference](results/reference/README.md).\n")
    return "\n".join(_numbered(line, numbers) for line in "\n".join(parts).splitlines()) + "\n"


def _numbered(line: str, numbers: Mapping[str, str]) -> str:
    """A table's head with titles replaced by their numbers; any other line as it is."""
    if not line.startswith(("| claim", "| method", "| features", "| row")):
        return line
    cells = line.split(" | ")
    for title in sorted(numbers, key=len, reverse=True):  # one may begin as another does
        cells = [c.replace(title, numbers[title]) if c.startswith(title) else c for c in cells]
    return " | ".join(cells)


def _table_2(kind: str) -> pd.DataFrame:
    """A row a sort of features (and a rival), a column a data set, in Table 2's two halves.

    kind: "transfer" or "zero_shot". Rows that hang on one seed, ceilings that retraining gives and
    floors that no method makes are left to the whole table of the study.
    """
    name, value = ("features", "top-1") if kind == "transfer" else ("row", "top-5")
    columns, printed = {}, {}
    for folder, made in studies():
        for path in sorted(folder.glob(f"tables/{kind}_*.csv")) if len(made["seeds"]) > 2 else ():
            own = _text(path)
            new = own["classes"].iloc[0] if kind == "transfer" else None
            own = own[~own[name].str.contains(": |paper's")].set_index(name)
            title = made["titles"][_data_of(path, kind, made["titles"])]
            columns[title + (f", {new} new classes" if new else "")] = own[value]
            for column in own.columns[own.columns.str.startswith("paper ")]:
                printed[column.replace("paper", "the paper,")] = own[column][own[column] != ""]
    return pd.DataFrame(columns | printed).fillna("").reset_index(names=name)


def _data_of(path: Path, kind: str, names: Mapping[str, str]) -> str:
    """The data set whose table of a kind a file is."""
    return next(n for n in names if path.stem == f"{kind}_{n.replace(':', '-')}")


def everything() -> str:
    """results/reference/README.md's part: all verdicts, then each reference study's tables."""
    parts = _decided(fewest=1)
    for folder, made in studies():
        parts.append(
            f"#### {made['title']}: {folder.name}\n\n{made['protocol']}.\n\n`{made['command']}`\n"
        )
        for kind in ("recall", "clusters", "transfer", "zero_shot", "ablations"):
            if found := _tables(folder, kind):
                parts += [f"{TABLES[kind]}:\n", *found]
    return "\n".join(parts)


def _decided(fewest: int, short: bool = False) -> list[str]:
    """The table of verdicts on `fewest` seeds or more, and a table of those on no data set."""
    by_data = _verdicts(fewest, short)
    said = ", ".join(f"{mark} {verdict}" for verdict, mark in MARKS.items())
    parts = [
        f"Verdicts ({said}), with the effect:\n"
        if short
        else "Verdicts, with effect and 95 % interval over paired seeds:\n"
    ]
    if cost.DATA not in by_data:
        return [*parts, markdown(by_data)]
    apart = by_data.pop(cost.DATA)  # such a claim has no place in a table of a column each
    claim = by_data.columns[0]
    alone = pd.DataFrame({claim: by_data[claim], f"on {cost.DATA}": apart})[apart != ""]
    return [*parts, markdown(by_data[apart == ""]), f"And on {cost.DATA}:\n", markdown(alone)]


def _recall_1() -> pd.DataFrame:
    """A row a method, a column a data set (three seeds or more); the paper's own columns last."""
    columns, printed = {}, {}
    for folder, made in studies():
        for name, title in made["titles"].items():
            path = folder / "tables" / f"recall_{name.replace(':', '-')}.csv"
            if len(made["seeds"]) < 3 or not path.exists():
                continue
            own = _text(path).set_index("method")
            start = own.loc[own.index == "PDDM+Quadruplet", "untrained R@1"]
            columns[title] = pd.concat(
                [start.set_axis(["untrained head"] * len(start)), own["R@1"]]
            )
            for column in own.columns[own.columns.str.startswith("paper R@1 (")]:
                half = column.removeprefix("paper R@1 (").removesuffix(")")
                printed[f"the paper, {half}"] = own[column]
    return pd.DataFrame(columns | printed).fillna("").reset_index(names="method")


def _verdicts(fewest: int, short: bool) -> pd.DataFrame:
    """A row a claim, a column a data set: verdict and effect, of the study with most seeds.

    short: a mark in place of the verdict's words, and no interval.
    """
    cells: dict[str, dict[str, str]] = {}
    seeds: dict[tuple[str, str], int] = {}
    for folder, made in studies():
        if len(made["seeds"]) < fewest:
            continue
        path = folder / "tables" / "verdicts.csv"
        if not path.exists():
            continue
        frame = pd.read_csv(path, keep_default_na=False, na_values=[""]).fillna({"note": ""})
        shown = tables.verdict_table(frame, made["titles"].get)
        for row in shown.to_dict("records"):
            claim = f"{row['claim']} ({row['claimed']})"
            if row["seeds"] > seeds.get((claim, row["data"]), 0):
                seeds[claim, row["data"]] = row["seeds"]
                effect = row["effect [95 % interval]"]
                text = f"**{row['verdict']}**, {effect}, {count(row['seeds'], 'seed')}"
                if short and effect == "none":
                    continue
                if short:
                    text = f"{MARKS[row['verdict']]} {effect.partition(' [')[0]}"
                cells.setdefault(claim, {})[row["data"]] = text
    table = pd.DataFrame.from_dict(cells, orient="index").fillna("")
    table = table.loc[sorted(table.index, key=lambda c: int(c[1:].partition(":")[0]))]
    titles = dict.fromkeys(t for _, made in studies() for t in made["titles"].values())
    table = table[[*(t for t in titles if t in table), *(c for c in table if c not in titles)]]
    if short:  # of a claim of several parts the words once
        words = [c.rpartition(", ")[0] for c in table.index]
        again = [i > 0 and w != "" and w == words[i - 1] for i, w in enumerate(words)]
        table.index = [
            f"{c.partition(':')[0]}, {c.rpartition(', ')[2]}" if a else c
            for c, a in zip(table.index, again, strict=True)
        ]
    return table.reset_index(names="claim (claimed effect)")


def recipe() -> str:
    """The part of DIFFERENCES.md: what each change of the recipe is worth, from the same files."""
    parts = []
    for folder, made in studies():
        found = _tables(folder, "recipe") + _tables(folder, "quadruplets")
        parts += [f"#### {made['title']}\n\n{made['protocol']}.\n", *found] if found else []
    return "\n".join(parts)


def _tables(folder: Path, kind: str) -> list[str]:
    """The tables of a kind, each under the data set's name where there are several."""
    paths = sorted(folder.glob(f"tables/{kind}_*.csv"))
    return [
        (f"{path.stem.partition('_')[2].replace('_', ' ')}:\n\n" if len(paths) > 1 else "")
        + markdown(_text(path))
        for path in paths
    ]


def _text(path: Path) -> pd.DataFrame:
    """A table of text as it was written: no cell is made a number or a gap."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def markdown(frame: pd.DataFrame) -> str:
    """A frame of text as a Markdown table."""
    rows = [list(frame.columns), ["---"] * len(frame.columns), *frame.astype(str).values.tolist()]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def times() -> str:
    """The README's part on time: of a training step, and of the whole of each reference study."""
    path = REFERENCE / "benchmarks" / "step.csv"
    parts = []
    if path.exists():
        made = json.loads(path.with_suffix(".json").read_text())
        parts.append(f"`{made['command']}`, {made['cpu']}, one thread, torch {made['torch']}:\n")
        parts.append(markdown(pd.read_csv(path, dtype=str)))
    if (targets := path.with_name("targets.csv")).exists():
        parts += ["What was aimed at, one thread:\n", markdown(_text(targets))]
    rows = []
    for _, made in studies():
        for s in made["summary"].values():
            what = f"{s['runs_made']} runs made" if s["runs_made"] else "again, from the store"
            row = {"study": made["title"], "what": what}
            row |= {f"{stage} (s)": f"{t:.0f}" for stage, t in s["seconds"].items()}
            row["total (s)"] = f"{s['total_seconds']}"
            row["processes"] = s["jobs"]
            row["cpu"] = made["runs_made_with"]["cpu"]
            rows.append(row)
    return "\n".join([*parts, markdown(pd.DataFrame(rows).fillna(""))])


# file -> name of the markers -> what stands between them
GENERATED = {
    "README.md": {"results": results, "times": times},
    "results/reference/README.md": {"results": everything},
    "DIFFERENCES.md": {"recipe": recipe},
}


def generated(name: str) -> tuple[str, str]:
    """(text as it is, text with the part between the markers made anew) of README or DIFFERENCES.

    Raises:
        UserError: the file lacks its markers.
    """
    text = new = (ROOT / name).read_text(encoding="utf-8")
    for marker, make in GENERATED[name].items():
        begin = f"<!-- {marker}: begin (python -m pddm_lite.reference readme) -->"
        end = f"<!-- {marker}: end -->"
        head, _, rest = new.partition(begin)
        _, found, tail = rest.partition(end)
        if not found:
            raise UserError(f"{name} lacks the markers '{begin}' and '{end}'.")
        new = f"{head}{begin}\n\n{make()}\n{end}{tail}"
    return text, new


def main(argv: list[str]) -> int:
    try:
        if argv[:1] == ["add"]:
            study = cli.study_of(cli.parser().parse_args(argv[1:]))
            print(add(study, " ".join(["python run_all.py", *argv[1:]])).relative_to(ROOT))
            return 0
        if argv[:1] == ["readme"]:
            stale = 0
            for name in GENERATED:
                old, new = generated(name)
                stale += new != old
                if "--check" not in argv:
                    write_text(ROOT / name, new)
            return int("--check" in argv and stale > 0)
        print(__doc__, file=sys.stderr)
        return 2
    except UserError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
