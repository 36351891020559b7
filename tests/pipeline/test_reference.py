"""The committed evidence: README and docs are what it generates; nothing leaks or is big."""

import ast
import base64
import importlib
import inspect
import io
import json
import re
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pddm_lite.paper import questions
from pddm_lite.paper.fig4_convergence import cost
from pddm_lite.paper.given_space.claims import GIVEN
from pddm_lite.pipeline import notebooks, readme, reference
from pddm_lite.store.errors import UserError

STUDIES = readme.studies()


@pytest.mark.parametrize("name", readme.GENERATED)
def test_the_tables_in_the_text_are_what_the_evidence_generates(name):
    old, new = readme.generated(name)
    assert old == new, f"{name} is stale: run python -m pddm_lite.pipeline.reference readme"
    if name != "README.md":
        whole = name != "docs/results.md"
        shown = [made for f, made in STUDIES if whole or [*f.glob("tables/recipe_*")]]
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


class FakeRun(SimpleNamespace):
    """What reference reads of a runs.Run; hashable, as that is."""

    __hash__ = object.__hash__


def pictures_in(text):
    """The bytes of every picture embedded in a notebook or a page."""
    found = re.findall(r'data:image/[^"]*?base64,([^"]+)|"image/\w+": ("[^"]*"|\[[^\]]*\])', text)
    raw = ["".join(json.loads(quoted)) if quoted else plain for plain, quoted in found]
    return [base64.b64decode(re.sub(r"\\n|[^A-Za-z0-9+/=]", "", x)) for x in raw]


def test_photographs_stay_out_and_the_whole_stays_small():
    for folder, made in STUDIES:
        if "synthetic" not in made["title"]:
            figures = {p.stem: p.read_bytes() for p in folder.rglob("*.png")}
            assert not [name for name in figures if name.startswith(reference.PHOTOGRAPHS)]
            for path in [*folder.rglob("*.ipynb"), *folder.rglob("*.html")]:
                assert not pictures_in(path.read_text(encoding="utf-8"))
    size = sum(p.stat().st_size for p in readme.REFERENCE.rglob("*") if p.is_file())
    assert size < 15e6


def picture(seed):
    buffer = io.BytesIO()
    rng = np.random.default_rng(seed)
    Image.fromarray(rng.integers(0, 255, (9, 9, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def colours(png):
    """The pixels of a picture of 81 colours, as near as 48 colours come to them."""
    small = Image.open(io.BytesIO(png)).convert("RGB")
    return np.asarray(small, dtype=int)


def alike(a, b):
    return np.abs(colours(a) - colours(b)).mean() < 16  # of 255; of two others it is about 85


SHOWN = {  # figure -> its PNG; the last ones show pictures of the data
    name: picture(seed)
    for seed, name in enumerate(
        ("60_retrieval", "60_tsne", "00_samples", "30_quadruplets", "60_neighbours_own")
    )
}
LOOSE = picture(99)  # shown in a notebook and saved as no figure


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """A study's folder as run_all.py leaves it, with pictures in every place they may be in."""
    monkeypatch.setattr(readme, "REFERENCE", tmp_path / "reference")
    monkeypatch.setattr(reference, "notebooks", lambda: ["a"])
    folder = tmp_path / "own"
    for name in ("tables", "figures", "notebooks"):
        (folder / name).mkdir(parents=True)
    cells = [nbformat.v4.new_markdown_cell("# A title", attachments={
        "x.png": {"image/png": base64.b64encode(LOOSE).decode()}})]  # fmt: skip
    for name, png in {**SHOWN, "loose": LOOSE}.items():
        if name != "loose":
            (folder / "figures" / f"{name}.png").write_bytes(png)
            (folder / "figures" / f"{name}.svg").write_text("<svg/>", encoding="utf-8")
            (folder / "figures" / f"{name}.csv").write_text("query,S\n1,0.1\n", encoding="utf-8")
            (folder / "figures" / f"{name}.json").write_text("{}", encoding="utf-8")
        text = base64.b64encode(png).decode() + "\n"  # as IPython writes it
        kinds = [{"image/png": text, "text/plain": "a figure"}]
        kinds += [{"text/html": f'<img src="data:image/png;base64,{text}">'}] * (name == "loose")
        cells += [
            nbformat.v4.new_code_cell(f"show {name}", outputs=[
                nbformat.v4.new_output("display_data", data=data)]) for data in kinds
        ]  # fmt: skip
    cells.append(nbformat.v4.new_code_cell("print(1)", outputs=[
        nbformat.v4.new_output("stream", text="generated words")]))  # fmt: skip
    (folder / "figures" / "60_nothing.csv").write_text("\n", encoding="utf-8")
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "notebooks" / "a.ipynb")
    (folder / "notebooks" / "a.json").write_text(json.dumps({"seconds": 7}), encoding="utf-8")
    (folder / "report.html").write_text("", encoding="utf-8")
    (folder / "summary.json").write_text("{}", encoding="utf-8")

    monkeypatch.setattr(reference, "REPORTS", ("own",))

    def study(data):
        run = FakeRun(id="r", manifest={"seconds": 1}, metrics={
            "test": {}, "train": {}, "chosen_step": 0, "collapse": ""})  # fmt: skip
        monkeypatch.setattr(reference.wording, "protocol", lambda study, runs: "a protocol")
        return SimpleNamespace(
            folder=folder, data=[data], mode="frozen", settings=(), seeds=(0,), profile="quick",
            recipe="default", backbone="n", device="cpu", variants=(),
            runs=lambda: {(data, "PDDM score", 0): run}, titles=lambda: {data: "My set"},
        )  # fmt: skip

    return study


def copied(target):
    """(figures by name, pictures in notebook and report, all text) of a reference folder."""
    figures = {p.stem: p.read_bytes() for p in target.rglob("*.png")}
    paths = [p for p in target.rglob("*") if p.suffix in (".ipynb", ".html", ".csv", ".json")]
    text = "".join(p.read_text(encoding="utf-8") for p in paths)
    return figures, pictures_in(text), re.sub(r"\\n|\s", "", text)


def test_no_photograph_of_real_data_enters_the_reference(finished):
    target = reference.add(finished("cub200_2010"), "python run_all.py")
    figures, embedded, text = copied(target)
    safe = ["60_retrieval", "60_tsne"]
    assert sorted(figures) == safe and not embedded
    assert all(alike(figures[name], SHOWN[name]) for name in safe)
    for png in (*SHOWN.values(), LOOSE):
        assert base64.b64encode(png).decode() not in text
        assert not any(png in p.read_bytes() for p in target.rglob("*") if p.is_file())
    nb = nbformat.read(target / "notebooks" / "a.ipynb", as_version=4)
    nbformat.validate(nb)
    assert all(f"![{name}.png](../figures/{name}.png)" in json.dumps(nb) for name in safe)
    said = json.dumps(nb).count("pictures of My set are not ours to publish")
    assert said == 5 and "generated words" in json.dumps(nb)  # three figures and two loose ones
    assert (target / "figures" / "60_neighbours_own.csv").exists()


def test_of_embedded_data_the_pictures_are_kept(finished):
    target = reference.add(finished("synthetic_birds"), "python run_all.py")
    figures, embedded, _ = copied(target)
    assert figures.keys() == SHOWN.keys() and set(embedded) == {LOOSE}
    assert all(alike(png, SHOWN[name]) for name, png in figures.items())


def test_figures_of_the_embedded_study_are_kept_once(finished):
    """A drawing that two studies share is shown from the first one."""
    study = finished("synthetic_birds")
    first = reference.add(study, "python run_all.py").rename(readme.REFERENCE / "quick")
    (first / "figures" / "60_tsne.png").write_bytes(picture(7))  # that one differs
    target = reference.add(study, "python run_all.py")
    assert [p.name for p in (target / "figures").glob("*.png")] == ["60_tsne.png"]
    for path in (target / "report.html", target / "notebooks" / "a.ipynb"):
        text = path.read_text(encoding="utf-8")
        links = re.findall(r'(?:\]\(|src=")([./\w]+\.png)', text)
        assert links and all((path.parent / link).exists() for link in links)
        assert "../quick/figures/60_retrieval.png" in text


def test_the_copied_report_refers_to_figures_that_are_there(finished):
    target = reference.add(finished("synthetic_birds"), "python run_all.py")
    page = (target / "report.html").read_text(encoding="utf-8")
    sources = re.findall(r'<figure[^>]*><img[^>]*src="([^"]+)"', page)
    assert sorted(sources) == [f"figures/{name}.png" for name in sorted(SHOWN)]
    assert all((target / source).exists() for source in sources)
    assert set(pictures_in(page)) == {LOOSE}  # that alone lies nowhere else
    assert ">60 tsne (figures/60_tsne.csv)<" in page and ", 7 s<" in page


def reads_pictures(function, seen):
    """Whether a function of the figures, or one of its module that it calls, reads an image."""
    function = inspect.unwrap(function)
    if function in seen:
        return False
    seen.add(function)
    nodes = list(ast.walk(ast.parse(inspect.getsource(function))))
    own = [function.__globals__.get(n.id) for n in nodes if isinstance(n, ast.Name)]
    own = [f for f in own if inspect.isfunction(f) and f.__module__ == function.__module__]
    reads = any(isinstance(n, ast.Attribute) and n.attr == "read" for n in nodes)
    return reads or any(reads_pictures(f, seen) for f in own)


def test_every_figure_that_shows_pictures_has_a_name_that_says_so():
    """A new figure that reads images must be among PHOTOGRAPHS, or the next `add` publishes it."""
    named = set()
    for path in notebooks.FOLDER.glob("*.ipynb"):
        cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
        nodes = [n for c in cells for n in ast.walk(ast.parse(c.source))]
        imported = {
            a.asname or a.name: f"{n.module}.{a.name}"
            for n in nodes
            if isinstance(n, ast.ImportFrom)
            for a in n.names
        }
        for cell in cells:
            if "drawing.show(" not in cell.source:
                continue
            for node in ast.walk(ast.parse(cell.source)):
                where = isinstance(node, ast.Attribute) and imported.get(ast.unparse(node.value))
                if where and where.rpartition(".")[2] in ("figures", "distributions", "drawing"):
                    module = importlib.import_module(where)
                    if node.attr != "show" and reads_pictures(getattr(module, node.attr), set()):
                        found = re.findall(r'"(\d\d_\w+)', cell.source)
                        assert found and all(n.startswith(reference.PHOTOGRAPHS) for n in found)
                        named |= {
                            p for p in reference.PHOTOGRAPHS for n in found if n.startswith(p)
                        }
    assert named == set(reference.PHOTOGRAPHS)


def test_a_text_without_markers_is_refused(tmp_path, monkeypatch):
    (tmp_path / "README.md").write_text("no markers", encoding="utf-8")
    monkeypatch.setattr(readme, "ROOT", tmp_path)
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
    monkeypatch.setattr(readme, "ROOT", tmp_path)
    monkeypatch.setattr(readme, "REFERENCE", folder.parent)
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
    monkeypatch.setattr(readme, "REFERENCE", tmp_path)
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
    monkeypatch.setattr(readme, "REFERENCE", tmp_path)
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
