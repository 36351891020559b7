"""The committed evidence: README and DIFFERENCES are what it generates; nothing leaks or is big."""

import json
import re

import pandas as pd
import pytest

from pddm_lite import claims, cost, reference
from pddm_lite.errors import UserError

STUDIES = reference.studies()


@pytest.mark.parametrize("name", reference.GENERATED)
def test_the_tables_in_the_text_are_what_the_evidence_generates(name):
    old, new = reference.generated(name)
    assert old == new, f"{name} is stale: run python -m pddm_lite.reference readme"
    shown = [made for f, made in STUDIES if name == "README.md" or [*f.glob("tables/recipe_*")]]
    assert shown and all(made["title"] in new for made in shown)


def test_every_reference_study_is_whole_and_names_no_machine():
    for folder, made in STUDIES:
        assert made["command"].startswith("python run_all.py") and made["runs"]
        raw = pd.read_csv(folder / "tables" / "raw_values.csv")
        assert set(raw["seed"]) == set(made["seeds"])
        assert set(raw["run"]) <= set(made["runs"])
        for path in folder.rglob("*"):
            if path.suffix in (".json", ".ipynb", ".html", ".csv", ".md"):
                text = path.read_text(encoding="utf-8")
                assert not re.search(r"(?<![\w.])/(?:work|root|home/\w+|tmp)/\w", text), path


def test_the_mean_in_a_table_is_the_mean_of_the_raw_values():
    for folder, _ in STUDIES:
        raw = pd.read_csv(folder / "tables" / "raw_values.csv", keep_default_na=False)
        for path in folder.glob("tables/recall_*.csv"):
            table = pd.read_csv(path, keep_default_na=False, dtype=str)
            for row in table.to_dict("records"):
                own = raw[
                    (raw["data"].str.replace(":", "-") == path.stem.removeprefix("recall_"))
                    & (raw["method"] == row["method"])
                    & (raw["split"] == "test")
                    & (raw["ranking"] == row["ranked by"])
                    & (raw["measure"] == "recall_1")
                ]["value"].astype(float)
                assert len(own) == int(row["seeds"])
                # half a unit of the last digit shown, and the rounding of the raw values
                assert abs(float(row["R@1"].split(" ")[0]) - own.mean()) < 0.05 + 1e-5


def test_photographs_stay_out_and_the_whole_stays_small():
    for folder, made in STUDIES:
        if "synthetic" not in made["title"]:
            names = {p.stem for p in folder.rglob("*")}
            assert not names & set(reference.PHOTOGRAPHS)
    size = sum(p.stat().st_size for p in reference.REFERENCE.rglob("*") if p.is_file())
    assert size < 15e6


def test_a_text_without_markers_is_refused(tmp_path, monkeypatch):
    (tmp_path / "README.md").write_text("no markers")
    monkeypatch.setattr(reference, "ROOT", tmp_path)
    with pytest.raises(UserError, match="lacks the markers"):
        reference.generated("README.md")


def test_the_check_option_tells_stale_from_fresh(tmp_path, monkeypatch):
    folder = tmp_path / "results" / "reference" / "s"
    (folder / "tables").mkdir(parents=True)
    made = {"title": "made up", "protocol": "one line", "command": "python run_all.py", "runs": [],
            "titles": {"x": "made up"}, "summary": {}}  # fmt: skip
    (folder / "provenance.json").write_text(json.dumps(made))
    (folder / "tables" / "recall_x.csv").write_text("method,R@1\nTriplet,12.3\n")
    monkeypatch.setattr(reference, "ROOT", tmp_path)
    monkeypatch.setattr(reference, "REFERENCE", folder.parent)
    for name, markers in reference.GENERATED.items():
        parts = [
            f"<!-- {m}: begin (python -m pddm_lite.reference readme) -->\nold\n<!-- {m}: end -->\n"
            for m in markers
        ]
        (tmp_path / name).write_text("head\n" + "".join(parts) + "tail\n")
    assert reference.main(["readme", "--check"]) == 1
    assert reference.main(["readme"]) == 0
    assert reference.main(["readme", "--check"]) == 0
    text = (tmp_path / "README.md").read_text()
    assert "| Triplet | 12.3 |" in text and text.startswith("head\n") and text.endswith("tail\n")


def test_a_claim_on_no_data_set_has_a_table_of_its_own(tmp_path, monkeypatch):
    made = {"title": "made up", "protocol": "one line", "command": "python run_all.py",
            "titles": {"x": "made up"}}  # fmt: skip
    columns = "claim,text,data,measure,effect,low,high,threshold,verdict,note,seeds\n"
    rows = {"x": f"C9,a beats b,x,{claims.OVERFITTING}: a - b,2,1,3,0,reproduced,note,5\n"}
    rows["both"] = rows["x"] + f"C5,linear,{cost.DATA},order: p,0.9,0.8,1,0.5,reproduced,note,4\n"
    monkeypatch.setattr(reference, "REFERENCE", tmp_path)
    for name, text in rows.items():
        (tmp_path / name / "tables").mkdir(parents=True)
        (tmp_path / name / "provenance.json").write_text(json.dumps(made))
        (tmp_path / name / "tables" / "verdicts.csv").write_text(columns + text)
    text = reference.results()
    assert (
        "| claim (claimed effect) | made up |\n| --- | --- |\n| C9: a beats b (> 0) | **rep" in text
    )
    assert "| on random features |\n| --- | --- |\n| C5: linear (> 0.5) | **reproduced**, " in text
    assert "4 seeds" in text and text.count("C5") == text.count("C9") == 1
