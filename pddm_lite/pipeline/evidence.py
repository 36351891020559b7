"""What lies in results/reference, read back: studies, verdicts, tables and single readings."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd

from ..paper import questions
from ..paper.given_space import given
from . import found

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "results" / "reference"
FIRST = "notebooks/00_start_here.ipynb"  # what a study of part of the notebooks lacks


def studies() -> list[tuple[Path, dict]]:
    """Reference studies: folder and provenance, by name, those of all notebooks first."""
    found = REFERENCE.glob("*/provenance.json")
    found = sorted(found, key=lambda p: (not (p.parent / FIRST).exists(), p))
    return [(path.parent, json.loads(path.read_text(encoding="utf-8"))) for path in found]


def effects() -> pd.DataFrame:
    """The first study's effects in the given space; empty where none has them."""
    paths = (p for f, _ in studies() for p in f.glob("tables/given_space_effects.csv"))
    return next(map(pd.read_csv, paths), pd.DataFrame())


def readings() -> pd.DataFrame:
    """Single runs beside the studies, as text."""
    return next(map(text, (REFERENCE / "readings").glob("runs.csv")), pd.DataFrame())


def recall() -> list[pd.DataFrame]:
    """Tables of Recall@K on three seeds or more."""
    own = [folder for folder, made in studies() if len(made["seeds"]) > 2]
    return [text(path) for folder in own for path in sorted(folder.glob("tables/recall_*.csv"))]


def fixed() -> pd.DataFrame:
    """What was measured on real features that stay fixed (features.measured), all sets."""
    paths = sorted((REFERENCE / "readings").glob("fixed-*.csv"))
    return pd.concat(map(pd.read_csv, paths)) if paths else pd.DataFrame()


def world() -> dict[float, float]:
    """Heterogeneity -> evenness of the given space, the mean over its worlds."""
    for folder, _ in studies():
        if (path := folder / "figures" / "15_rungs.csv").exists():
            own = pd.read_csv(path)
            own = own[own["rung"] == given.ALONE]
            return own.groupby("heterogeneity")["ratio"].mean().to_dict()
    return {}


def raw_values() -> list[tuple[dict, pd.DataFrame]]:
    """(provenance, raw_values.csv) of each study on three seeds or more."""
    paths = [(made, folder / "tables" / "raw_values.csv") for folder, made in studies()]
    return [(m, pd.read_csv(p)) for m, p in paths if len(m["seeds"]) > 2 and p.exists()]


def chosen() -> pd.DataFrame:
    """Of a comparison's methods and seeds: title, steps (of its training), chosen (the step)."""
    rows = []
    for made, raw in raw_values():
        steps = re.search(r"up to ([\d,]+) steps", made["protocol"])[1].replace(",", "")
        own = raw.drop_duplicates(["data", "method", "seed"])
        for data, value in zip(own["data"], own["chosen_step"], strict=True):
            rows.append(dict(title=made["titles"][data], steps=int(steps), chosen=value))
    return pd.DataFrame(rows, columns=["title", "steps", "chosen"])


def collapsed() -> dict[str, tuple[int, int]]:
    """Recipe -> (collapsed runs of PDDM+Quadruplet, all of them), over all reference studies."""
    counts: dict[str, tuple[int, int]] = {}
    for folder, _ in studies():
        for path in folder.glob("tables/recipe_*.csv"):
            own = text(path)
            for row in own[own["method"] == questions.PDDM].to_dict("records"):
                bad, _, of = row.get("collapsed", "").partition(" of ")
                if bad.isdecimal() and of.isdecimal():
                    a, b = counts.get(row["recipe"], (0, 0))
                    counts[row["recipe"]] = (a + int(bad), b + int(of))
    return counts


def collapsed_on() -> str:
    """What the runs of `collapsed` were trained on."""
    made = [x for folder, x in studies() if any(folder.glob("tables/recipe_*.csv"))]
    titles = (re.sub(r" \([^()]+=[^()]+\)$", "", t) for x in made for t in x["titles"].values())
    return ", ".join(dict.fromkeys(titles))


def judged(fewest: int) -> dict[tuple[str, str], dict]:
    """(claim, data set) -> its row of `found.rows`, by most seeds, `fewest` or more."""
    best: dict[tuple[str, str], dict] = {}
    for folder, made in studies():
        path = folder / "tables" / "verdicts.csv"
        if len(made["seeds"]) < fewest or not path.exists():
            continue
        frame = pd.read_csv(path, keep_default_na=False, na_values=[""]).fillna({"note": ""})
        for row in found.rows(frame, made["titles"].get):
            key = (f"{row['claim']} ({row['claimed']})", row["data"])
            if row["seeds"] > best.get(key, {"seeds": 0})["seeds"]:
                best[key] = row
    return best


def text(path: Path) -> pd.DataFrame:
    """A table of text as it was written: no cell is made a number or a gap."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)
