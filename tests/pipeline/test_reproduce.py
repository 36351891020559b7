"""run_all.py reproduce: one notebook's figures and tables again, found by the path of any."""

import json
from pathlib import Path

import pytest

from pddm_lite.pipeline import cli, notebooks, provenance, reproduce
from pddm_lite.pipeline import options as pipeline_options

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "results" / "reference"
SOURCE = """\
import pandas as pd
from pddm_lite.paper import drawing, wording
from pddm_lite.training.study import Study
from matplotlib.figure import Figure
study = Study.of(profile, data, data_root, seeds, settings, results, options)
runs = study.runs()
frame = pd.DataFrame({"method": [m for _, m, _ in runs], "R@1": [
    run.metrics["test"]["distance"]["recall_1"] for run in runs.values()]})
wording.save_table(frame, study, "small_" + data[0])
drawing.save(Figure(), frame, study, "10_small", runs);
"""


@pytest.fixture
def one_notebook(tmp_path, monkeypatch, here):
    """A folder of notebooks with one, which takes seconds, in place of the kit's."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    nb = json.loads((ROOT / "notebooks" / "60_retrieval.ipynb").read_text(encoding="utf-8"))
    tagged = [c for c in nb["cells"] if "parameters" in c["metadata"].get("tags", [])]
    cell = {"cell_type": "code", "id": "x", "metadata": {}, "outputs": []}
    nb["cells"] = [*tagged, {**cell, "execution_count": None, "source": SOURCE}]
    (folder / "10_small.ipynb").write_text(json.dumps(nb), encoding="utf-8")
    monkeypatch.setattr(notebooks, "FOLDER", folder)


def test_a_notebook_is_made_again_and_its_numbers_are_compared(one_notebook, tmp_path, capsys):
    results = tmp_path / "r"
    options = ["--profile", "smoke", "--data", "synthetic_birds", "--methods", "Triplet"]
    options += ["--seeds", "0", "--variants", "none", "--results", str(results)]
    assert cli.main([*options, "--set", "steps=4", "--stage", "notebooks"]) == 0
    (study,) = [p.parent for p in results.glob("*/study.json")]
    table = study / "tables" / "small_synthetic_birds.csv"
    before = table.read_bytes()

    # what the executed notebook keeps
    known = provenance.of(study / "figures" / "10_small.svg")
    assert known.notebook == "10_small" and known.files == ("figures/10_small",)
    made = known.record
    assert made["files"] == ["figures/10_small", "notebooks/10_small", f"tables/{table.stem}"]
    assert (
        made["runs"]
        == json.loads((study / "figures" / "10_small.json").read_text(encoding="utf-8"))["runs"][0]
    )
    assert made["commit"] and made["torch"] and made["cpu"] and "--set steps=4" in made["command"]
    copy = json.loads((study / "notebooks" / "10_small.ipynb").read_text(encoding="utf-8"))
    assert str(tmp_path) not in json.dumps(copy["metadata"])

    # one table is lost, and the other's numbers were others
    table.unlink()
    (study / "figures" / "10_small.csv").write_text("method,R@1\nTriplet,0.5\n", encoding="utf-8")
    capsys.readouterr()
    assert cli.main(["reproduce", str(study / "notebooks" / "10_small.ipynb")]) == 1
    out = capsys.readouterr().out
    assert "figures/10_small: R@1 in 1 of 1 rows, by up to" in out
    assert f"tables/{table.stem}: made; there were no numbers" in out
    assert table.read_bytes() == before
    assert cli.main(["reproduce", str(table)]) == 0
    assert f"tables/{table.stem}: identical" in capsys.readouterr().out

    # another study in the folder is left as it is
    held = study / "study.json"
    held.write_text(
        json.dumps(json.loads(held.read_text(encoding="utf-8")) | {"backbone": "resnet18"}),
        encoding="utf-8",
    )
    assert cli.main(["reproduce", str(table)]) == 2
    assert "--name or --results" in capsys.readouterr().err and table.read_bytes() == before


@pytest.mark.parametrize(
    ("path", "notebook"),
    [
        ("figures/60_retrieval.png", "60_retrieval"),
        ("figures/60_neighbours_synthetic_birds.csv", "60_retrieval"),
        ("tables/recall_synthetic_cars.csv", "60_retrieval"),
        ("tables/verdicts.csv", "90_verdict"),
        ("tables/zero_shot_synthetic_birds.csv", "84_zero_shot"),
        ("notebooks/40_embedding.ipynb", "40_embedding"),
    ],
)
def test_reference_is_found_and_made_elsewhere(path, notebook, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(cli, "main", lambda words: asked.append(words) or 1)
    # elsewhere: this clone's results/quick may show another study, which reproduce refuses
    words = [str(REFERENCE / "quick" / path), "--results", str(tmp_path)]
    assert reproduce.main(words) == 1
    (words,) = asked
    args = pipeline_options.parser().parse_args(words)
    assert args.only == notebook and args.stage == "notebooks"
    assert Path(args.results) == tmp_path
    assert "made of" in capsys.readouterr().out


def test_every_reference_table_and_figure_is_known(capsys):
    unknown = []
    for path in sorted(REFERENCE.glob("quick/[tf]*/*.csv")):
        if path.stem != "raw_values" and not provenance.of(path).command:
            unknown.append(path)
    assert unknown == []


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("README.md", ["README.md", "no figure, table or executed notebook"]),
        (
            "results/nothing/figures/60_retrieval.png",
            ["nothing has been made in", "run_all.py first", "give one that is there"],
        ),
        ("results/reference/quick/notebooks/60_retrival.ipynb", ["Did you mean '60_retrieval'"]),
        ("results/reference/quick/tables/raw_values.csv", ["unknown table", "raw_values"]),
    ],
)
def test_an_unknown_path_is_one_line(path, words, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert cli.main(["reproduce", str(ROOT / path)]) == 2
    err = capsys.readouterr().err.strip()
    assert err.startswith("error: ") and "\n" not in err
    assert all(word in err for word in words)
    if "as in " in err:  # and that is there, and can be given
        named = err.rpartition("as in ")[2].removesuffix(".")
        assert Path(named).exists() and provenance.of(named).command


def test_the_reference_is_never_written(monkeypatch, capsys):
    path = REFERENCE / "quick" / "tables" / "verdicts.csv"
    assert cli.main(["reproduce", str(path), "--results", str(REFERENCE)]) == 2
    assert "is the reference" in capsys.readouterr().err
