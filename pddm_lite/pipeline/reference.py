"""Committed evidence: copy a finished study to results/reference/, its tables to the README.

    python -m pddm_lite.pipeline.reference add [options of run_all.py]   copy its results
    python -m pddm_lite.pipeline.reference read [options of run_all.py]  its runs as readings alone
    python -m pddm_lite.pipeline.reference readme [--check]             rewrite all tables

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

from ..paper import wording
from ..store.errors import UserError, escape_letters
from ..store.files import write_atomic, write_text
from ..store.store import environment
from ..training.checks import STANDARD
from ..training.study import Study
from . import evidence, options, readme, report, why
from .notebooks import notebooks

# figures that show pictures of the data have names that begin so
PHOTOGRAPHS = (
    "00_samples",
    "30_quadruplets",
    "30_six",
    "40_pictures",
    "60_neighbours",
    "95_samples",
    "95_neighbours",
)
# 0.6 MB: the others' tables, figures and notebooks say the same
REPORTS = ("quick",)


def raw_values(runs: dict) -> pd.DataFrame:
    """Every measure of every run: a row per method, seed, half of the classes and ranking."""
    rows = []
    for (data, method, seed), run in runs.items():
        m = run.metrics
        of = dict(data=data, method=method, seed=seed, run=run.id)
        of |= dict(chosen_step=m["chosen_step"], collapsed=bool(m["collapse"]))
        for split in ("test", "train"):
            for ranking, measures in m[split].items():
                values = {name: round(value, 6) for name, value in measures.items()}
                rows.append(of | dict(split=split, ranking=ranking) | values)
    return pd.DataFrame(rows)


def add(study: Study, command: str) -> Path:
    """Copy tables, figures, executed notebooks and the report of a finished study.

    Of real data sets without the pictures: not as figures, and not in notebooks or the report.

    Raises:
        UserError: the study has no report yet, or its summary is torn.
    """
    source, target = study.folder, evidence.REFERENCE / study.folder.name
    if not (source / "report.html").exists():
        raise UserError(f"{source} has no report.html; run run_all.py with the same options first.")
    try:
        summary = dict(json.loads((source / "summary.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        raise UserError(
            f"{source / 'summary.json'} is torn or missing; run run_all.py with the same options."
        ) from None
    real = any(d.partition("@")[0] not in STANDARD for d in study.data)
    shutil.rmtree(target, ignore_errors=True)
    whole = len(list((source / "notebooks").glob("*.ipynb"))) == len(notebooks())
    photographs = PHOTOGRAPHS if real else ()
    for folder, suffixes in (
        ("tables", (".csv",)),
        ("figures", (".png", ".csv", ".json")),
        ("notebooks", (".ipynb",)),
    ):
        (target / folder).mkdir(parents=True)
        for path in sorted((source / folder).iterdir()):
            if path.suffix not in suffixes:
                continue
            if path.suffix in (".png", ".ipynb") and path.stem.startswith(photographs):
                continue
            # of a part of the notebooks the verdicts are few: their table is enough
            if path.stem == "90_verdict" and not whole:
                continue
            shutil.copyfile(path, target / folder / path.name)
            text = path.read_text(encoding="utf-8") if path.suffix == ".csv" else ""
            if folder == "figures" and text.strip():  # as fine as anyone can see
                short = pd.read_csv(path).to_csv(index=False, float_format="%.6g")
                write_text(target / folder / path.name, short)
    if whole and not real and target.name in REPORTS:
        report.write(study, [], target)
    titles = " and ".join(study.titles().values())
    instead = f"pictures of {titles} are not ours to publish: run the notebook to see them"
    names = {path.read_bytes(): path.name for path in (target / "figures").glob("*.png")}
    for path in (target / "notebooks").glob("*.ipynb"):
        text = path.read_text(encoding="utf-8")
        write_text(path, published(text, names, instead if real else ""))
    for path in (target / "figures").glob("*.png"):
        fewer_colours(path)
    for first, _ in evidence.studies():
        if target.name != "quick" and first != target:
            share(target, first)
    runs = study.runs()
    first = next(iter(runs.values())).manifest
    keys = "python torch numpy platform cpu cores gpu commit changed made".split()
    how = ", fine-tuned" if study.mode == "finetune" else ""
    how = ", trained end to end from random weights" if how and study.weights == "none" else how
    how += ", the similarity alone trained" if study.mode == "metric" else ""
    how += f" ({', '.join(study.settings)})" if study.settings else ""
    titles = {name: title + how for name, title in study.titles().items()}
    provenance = {
        "command": command,
        "title": ", ".join(titles.values()),
        "titles": titles,
        "protocol": wording.protocol(study, runs),
        "runs_made_with": {k: first.get(k) for k in keys},
        "copied_at_commit": environment()["commit"],
        "seeds": list(study.seeds),
        "seconds_of_training": round(sum(r.manifest["seconds"] for r in set(runs.values()))),
        "summary": summary,
        "runs": sorted({r.id for r in runs.values()}),
    }
    write_text(target / "provenance.json", json.dumps(provenance, indent=1) + "\n")
    text = raw_values(runs).to_csv(index=False, lineterminator="\n")
    write_text(target / "tables" / "raw_values.csv", text)
    return target


def read(study: Study) -> Path:
    """Add the runs of a study to readings/runs.csv, a row a run and ranking; rows there stay."""
    path = evidence.REFERENCE / "readings" / "runs.csv"
    rows = evidence.readings().to_dict("records")
    held = {(row["run"], row["ranking"]) for row in rows}
    for run in study.runs().values():
        e, used = run.experiment, run.experiment.settings()
        row = {c: used[c] for c in why.CHANGED if c != "pixels"} | {"pixels": e.crop or None}
        row |= {"method": e.method, "seed": e.seed, "run": run.id}
        row["least_mean_distance"] = round(run.history["mean_distance"].min(), 3)
        for ranking in run.metrics["test"]:
            m = run.at(ranking).metrics
            own = m["test"][ranking]
            row |= {"ranking": ranking, "chosen_step": m["chosen_step"]}
            row |= {"start": round(m["start"], 2), "recall_1": round(own["recall_1"], 2)}
            row |= {"auc": round(own["auc"], 4)}
            if (run.id, ranking) not in held:
                rows.append({c: "" if x is None else str(x) for c, x in row.items()})
                held.add((run.id, ranking))
    columns = [*why.CHANGED, *"method seed ranking chosen_step start recall_1 auc".split()]
    table = pd.DataFrame(rows)[[*columns, "least_mean_distance", "run"]]
    write_text(path, table.sort_values([*why.CHANGED, "method"], kind="stable").to_csv(index=False))
    return path


def published(notebook: str, names: Mapping[bytes, str], instead: str = "") -> str:
    """The text of an executed notebook in ../notebooks that shows its figures from ../figures.

    `names` are PNG bytes -> file name: each figure is kept once, and not again as text in a
    notebook. Other pictures, of any kind, stay, or become the words `instead`.
    """
    nb = json.loads(notebook)
    for cell in nb["cells"]:
        if instead:
            cell.pop("attachments", None)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            png = base64.b64decode("".join(data.get("image/png", "")))
            if png in names:
                link = f"![{names[png]}](../figures/{names[png]})"
                words = {"text/markdown": link, "text/plain": f"figures/{names[png]}"}
                output |= {"data": words, "metadata": {}}
            elif instead and re.search(r"image/|<svg|<img", json.dumps(data)):
                output |= {"data": {"text/plain": instead}, "metadata": {}}
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
        for kept in path.parent.glob(f"{path.stem}.*"):  # what it shows, and how it was made
            kept.unlink()
        for text in (*(target / "notebooks").glob("*.ipynb"), *target.glob("report.html")):
            old, new = text.read_text(encoding="utf-8"), f"../{first.name}/figures/{path.name}"
            changed = old.replace(f"(../figures/{path.name})", f"(../{new})")
            write_text(text, changed.replace(f'src="figures/{path.name}"', f'src="{new}"'))


def main(argv: list[str]) -> int:
    escape_letters()
    try:
        if argv[:1] in (["add"], ["read"]):
            study = options.study_of(options.parser().parse_args(argv[1:]))
            command = " ".join(["python run_all.py", *argv[1:]])
            made = add(study, command) if argv[0] == "add" else read(study)
            print(made.relative_to(evidence.ROOT))
            return 0
        if argv[:1] == ["readme"]:
            stale = 0
            for name in readme.GENERATED:
                old, new = readme.generated(name)
                stale += new != old
                if "--check" not in argv:
                    write_text(evidence.ROOT / name, new)
            return int("--check" in argv and stale > 0)
        print(__doc__, file=sys.stderr)
        return 2
    except UserError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
