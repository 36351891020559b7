"""README and docs hold what the evidence generates: tables, verdicts, numbers of studies."""

import json
from pathlib import Path

import pandas as pd
import pytest

from pddm_lite.paper import questions
from pddm_lite.paper.fig4_convergence import cost
from pddm_lite.paper.given_space.claims import GIVEN
from pddm_lite.pipeline import evidence, readme, reference
from pddm_lite.store.errors import UserError

STUDIES = evidence.studies()


@pytest.mark.parametrize("name", readme.GENERATED)
def test_the_tables_in_the_text_are_what_the_evidence_generates(name):
    old, new = readme.generated(name)
    assert old == new, f"{name} is stale: run python -m pddm_lite.pipeline.reference readme"
    if name != "README.md":
        whole = name != "docs/results.md"
        shown = [made for f, made in STUDIES if whole or [*f.glob("tables/recipe_*")]]
        assert shown and all(made["title"] in new for made in shown)


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
                ]["recall_1"]
                assert len(own) == int(row["seeds"])
                # half a unit of the last digit shown, and the rounding of the raw values
                assert abs(float(row["R@1"].split(" ")[0]) - own.mean()) < 0.05 + 1e-5


def test_a_text_without_markers_is_refused(tmp_path, monkeypatch):
    (tmp_path / "README.md").write_text("no markers", encoding="utf-8")
    monkeypatch.setattr(evidence, "ROOT", tmp_path)
    with pytest.raises(UserError, match="lacks the markers"):
        readme.generated("README.md")


def test_the_check_option_tells_stale_from_fresh(tmp_path, monkeypatch):
    folder = tmp_path / "results" / "reference" / "s"
    (folder / "tables").mkdir(parents=True)
    made = {"title": "made up", "protocol": "one line", "command": "python run_all.py", "runs": [],
            "titles": {"x": "made up"}, "summary": {}, "seeds": [0, 1, 2]}  # fmt: skip
    (folder / "provenance.json").write_text(json.dumps(made), encoding="utf-8")
    (folder / "report.html").write_text("", encoding="utf-8")
    table = (
        "method,R@1,untrained R@1,paper R@1 (CUB)\nTriplet,12.3,,7\nPDDM+Quadruplet,15.6,9.1,8\n"
    )
    (folder / "tables" / "recall_x.csv").write_text(table, encoding="utf-8")
    monkeypatch.setattr(evidence, "ROOT", tmp_path)
    monkeypatch.setattr(evidence, "REFERENCE", folder.parent)
    for name, markers in readme.GENERATED.items():
        parts = [
            f"<!-- {m}: begin (python -m pddm_lite.pipeline.reference readme) -->\n"
            f"old\n<!-- {m}: end -->\n"
            for m in markers
        ]
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("head\n" + "".join(parts) + "tail\n", encoding="utf-8")
    assert reference.main(["readme", "--check"]) == 1
    assert reference.main(["readme"]) == 0
    assert reference.main(["readme", "--check"]) == 0
    text = (tmp_path / "docs" / "results.md").read_text(encoding="utf-8")
    assert "| untrained head | 9.1 |  |" in text and "| Triplet | 12.3 | 7 |" in text
    assert "| Triplet | 12.3 |  | 7 |" in (tmp_path / "results/reference/README.md").read_text(
        encoding="utf-8"
    )
    assert text.startswith("head\n") and text.endswith("tail\n")


def test_a_claim_on_no_data_set_has_a_table_of_its_own(tmp_path, monkeypatch):
    made = {"title": "made up", "protocol": "one line", "command": "python run_all.py",
            "titles": {"x": "made up"}, "seeds": [0, 1, 2]}  # fmt: skip
    columns = "claim,text,data,measure,unit,claimed,effect,low,high,threshold,verdict,note,seeds\n"
    rows = {"x": f"C9,a beats b,x,{questions.OVERFITTING}: a - b,u,>,2,1,3,0,reproduced,note,5\n"}
    rows["both"] = (
        rows["x"] + f"C5,linear,{cost.DATA},exponent p: p,u,<,0.9,0.8,1,1.5,reproduced,note,4\n"
    )
    rows["both"] += f"C1,tight,{GIVEN},overlap: p,u,>,0.2,0.1,0.3,0,reproduced,note,5\n"
    monkeypatch.setattr(evidence, "REFERENCE", tmp_path)
    for name, text in rows.items():
        (tmp_path / name / "tables").mkdir(parents=True)
        (tmp_path / name / "provenance.json").write_text(json.dumps(made), encoding="utf-8")
        (tmp_path / name / "tables" / "verdicts.csv").write_text(columns + text, encoding="utf-8")
    text = readme.everything()
    assert (
        "| claim (claimed effect) | made up |\n| --- | --- |\n| C9: a beats b (> 0) | **rep" in text
    )
    assert "| on random features |\n| --- | --- |\n| C5: linear (< 1.5) | **reproduced**, " in text
    assert "4 seeds" in text and text.count("C5") == text.count("C9") == 1
    assert "| in a given space |\n| --- | --- |\n| C1: tight (> 0) | **reproduced**, " in text
    assert "5 worlds |" in text and text.count("C1") == 1


def test_the_short_table_of_verdicts_has_marks_and_says_a_claim_once(tmp_path, monkeypatch):
    made = {"title": "made up", "titles": {"x": "made up"}, "seeds": [0, 1, 2]}
    columns = "claim,text,data,measure,unit,claimed,effect,low,high,threshold,verdict,note,seeds\n"
    rows = (
        'C10,"late, a",x,Recall@1: a - b,u,>,2,1,3,0,reproduced,note,3\n'
        "C7,alone,x,Recall@1: a - b,u,>,2,1,3,0,reproduced,note,3\n"
        "C8,alone too,x,Recall@1: a - b,u,>,2,1,3,0,reproduced,note,3\n"
        'C9,"a beats b, over c",x,Recall@1: a - b,u,>,2,1,3,0,not reproduced,note,3\n'
        'C9,"a beats b, over d",x,Recall@1: a - b,u,>,2,-1,3,0,not enough evidence,note,3\n'
    )
    monkeypatch.setattr(evidence, "REFERENCE", tmp_path)
    (tmp_path / "a" / "tables").mkdir(parents=True)
    (tmp_path / "a" / "provenance.json").write_text(json.dumps(made), encoding="utf-8")
    (tmp_path / "a" / "tables" / "verdicts.csv").write_text(columns + rows, encoding="utf-8")
    text = "\n".join(readme._decided(fewest=3, short=True))
    claims_of = [line.split(" | ") for line in text.splitlines() if line.startswith("| C")]
    said = ["C7: alone", "C8: alone too", "C9: a beats b, over c", "C9, over d", "C10: late, a"]
    assert [c[0][2:].split(" (")[0] for c in claims_of] == said
    assert [c[1] for c in claims_of] == ["✓ |", "✓ |", "✗ |", "? |", "✓ |"]  # a mark alone
    assert "✗ not reproduced" in text


def test_long_titles_are_numbers_in_the_heads_of_the_tables():
    numbers = {"birds": "(1)", "birds (steps=9)": "(2)"}
    head = readme._numbered("| method | birds | birds (steps=9), 7 new classes |", numbers)
    assert head == "| method | (1) | (2), 7 new classes |"
    assert readme._numbered("| birds | birds |", numbers) == "| birds | birds |"


def test_both_halves_of_table_2_say_what_the_network_may_have_seen():
    text = (Path(readme.__file__).parents[2] / "docs" / "results.md").read_text("utf-8")
    for half in ("Table 2, left: ", "Table 2, right: "):
        (line,) = [x for x in text.splitlines() if x.startswith(half)]
        assert readme.SEEN in line
