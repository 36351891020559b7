"""run_all.py compare: what it calls the same, what it names, and how much by."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from pddm_lite.pipeline import cli, compare, provenance

REFERENCE = Path(__file__).parents[2] / "results" / "reference"


def study(folder: Path, **changes) -> Path:
    """A small study's folder: a table, a figure's data, verdicts, and an executed notebook."""
    recall = pd.DataFrame(
        {"method": ["Triplet", "PDDM"], "R@1": ["31.3 ± 0.5", "30.2 ± 0.1"], "seeds": 3}
    )
    curve = pd.DataFrame({"method": "PDDM", "seed": [0, 0, 1], "seconds": 1.5, "E_e": 1 / 3})
    verdicts = pd.DataFrame(
        {"claim": "C1", "text": "t", "data": ["a", "b"], "effect": [0.5, 0.25]}
    ).assign(verdict=["reproduced", "not reproduced"])
    frames = {"tables/recall": recall, "figures/curve": curve, "tables/verdicts": verdicts}
    for name, frame in frames.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        changes.get(name, lambda f: f)(frame).to_csv(folder / f"{name}.csv", index=False)
    (folder / "notebooks").mkdir()
    record = {"torch": changes.get("torch", "2.11"), "cpu": "a", "files": list(frames)}
    notebook = {"cells": [], "metadata": {provenance.KEY: record}}
    (folder / "notebooks" / "60_x.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    return folder


def compared(a: Path, b: Path, capsys) -> tuple[int, str]:
    code = cli.main(["compare", str(a), str(b)])
    return code, capsys.readouterr().out


def test_the_same_numbers_are_the_same_also_rounded_and_in_another_order(tmp_path, capsys):
    a = study(tmp_path / "a")
    rounded = {"figures/curve": lambda f: f.map(lambda x: f"{x:.6g}" if x != "PDDM" else x)}
    b = study(tmp_path / "b", **rounded, **{"tables/recall": lambda f: f[::-1]})
    assert (a / "figures/curve.csv").read_bytes() != (b / "figures/curve.csv").read_bytes()
    code, out = compared(a, b, capsys)
    assert code == 0 and "3 tables in both, no difference" in out


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("tables/recall", lambda f: f.replace("31.3 ± 0.5", "30.1 ± 0.5"), "R@1 in 1 of 2 rows, by "
         "up to 1.2 (Triplet)"),
        ("tables/recall", lambda f: f.replace("31.3 ± 0.5", "-"), "31.3 ± 0.5 -> - (Triplet)"),
        ("tables/recall", lambda f: f.assign(more=1), "column more only in"),
        ("tables/recall", lambda f: f[:1], "1 rows only in"),
        ("figures/curve", lambda f: f.assign(E_e=1 / 3 + 3e-5), "E_e in 3 of 3 rows, by up to 3e"),
        ("tables/verdicts", lambda f: f.replace("not reproduced", "not enough evidence"),
         "not reproduced -> not enough evidence (C1, t, b)"),
    ],
)  # fmt: skip
def test_a_difference_is_named_with_its_size(name, change, said, tmp_path, capsys):
    code, out = compared(study(tmp_path / "a"), study(tmp_path / "b", **{name: change}), capsys)
    assert code == 1 and said in out and f"{name}.csv" in out


def test_times_and_versions_are_told_and_not_counted(tmp_path, capsys):
    slower = {"figures/curve": lambda f: f.assign(seconds=[1.5, 2.0, 1.5]), "torch": "2.15"}
    code, out = compared(study(tmp_path / "a"), study(tmp_path / "b", **slower), capsys)
    assert code == 0 and "no difference" in out
    assert "time, not counted: figures/curve.csv: seconds in 1 of 3 rows, by up to 0.5" in out
    assert "made with, not counted: torch 2.11 | 2.15" in out and "cpu" not in out


def test_rows_of_times_are_told_and_not_counted(tmp_path):
    for name, pairs, seconds in (("a.csv", 1, 1.33), ("b.csv", 1, 1.25), ("c.csv", 2, 1.25)):
        text = f"claim,measure,effect\nC5,PDDM's pairs,{pairs}\nC5,PDDM's seconds,{seconds}\n"
        (tmp_path / name).write_text(text, encoding="utf-8")
    a, b, c = (tmp_path / name for name in ("a.csv", "b.csv", "c.csv"))
    times = ["effect in 1 of 2 rows, by up to 0.08 (C5, PDDM's seconds)"]
    assert compare.differences(a, b) == ([], times)
    pairs = ["effect in 1 of 2 rows, by up to 1 (C5, PDDM's pairs)"]
    assert compare.differences(a, c) == (pairs, times)


def test_a_table_in_one_folder_only(tmp_path, capsys):
    a, b = study(tmp_path / "a"), study(tmp_path / "b")
    (b / "tables" / "recall.csv").unlink()
    code, out = compared(a, b, capsys)
    assert code == 1 and f"only in {a}: tables/recall.csv" in out


def test_whole_results_folders(tmp_path, capsys):
    for side in ("a", "b"):
        study(tmp_path / side / "quick")
    assert compared(tmp_path / "a", tmp_path / "b", capsys)[0] == 0
    study(tmp_path / "b" / "paper")
    code, out = compared(tmp_path / "a", tmp_path / "b", capsys)
    assert code == 1 and "== paper\nonly in" in out and "== quick\n3 tables" in out


def test_the_committed_results_equal_themselves_and_differ_from_another_study(tmp_path, capsys):
    shutil.copytree(REFERENCE / "quick", tmp_path / "quick")
    assert compared(REFERENCE / "quick", tmp_path / "quick", capsys)[0] == 0
    code, out = compared(REFERENCE / "quick", REFERENCE / "frozen-cub200_2010", capsys)
    assert code == 1 and "cub200_2010" in out
