"""The committed evidence: whole, small, and with no photograph that is not ours."""

import ast
import base64
import importlib
import inspect
import io
import json
import re
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pddm_lite.pipeline import evidence, notebooks, reference, why
from pddm_lite.training.experiments import make

STUDIES = evidence.studies()


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
                for link in re.findall(r"\]\((\.\./[^)]+\.png)\)", text):  # or another study's
                    assert (path.parent / link).exists(), (path, link)


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
    size = sum(p.stat().st_size for p in evidence.REFERENCE.rglob("*") if p.is_file())
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
    monkeypatch.setattr(evidence, "REFERENCE", tmp_path / "reference")
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


def test_of_synthetic_data_the_pictures_are_kept(finished):
    target = reference.add(finished("synthetic_birds"), "python run_all.py")
    figures, embedded, _ = copied(target)
    assert figures.keys() == SHOWN.keys() and set(embedded) == {LOOSE}
    assert all(alike(png, SHOWN[name]) for name, png in figures.items())


def test_figures_of_the_synthetic_study_are_kept_once(finished):
    """A drawing that two studies share is shown from the first one."""
    study = finished("synthetic_birds")
    first = reference.add(study, "python run_all.py").rename(evidence.REFERENCE / "quick")
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


def test_readings_gain_a_row_a_run_and_ranking_and_keep_what_they_have(tmp_path, monkeypatch):
    monkeypatch.setattr(evidence, "REFERENCE", tmp_path)
    own = {"distance": dict(recall_1=36.754, auc=0.84012), "score": dict(recall_1=30.0, auc=0.8)}
    run = FakeRun(id="r", history=pd.DataFrame({"mean_distance": [1.2, 0.5]}))
    run.metrics = {"test": own, "chosen_step": 30, "start": 24.361}
    run.experiment, run.at = make(data="cars", mode="finetune", crop=97), lambda ranking: run
    two = {("cars", name, 0): run for name in ("PDDM score", "PDDM+Quadruplet")}  # one run
    (tmp_path / "readings").mkdir()
    path = reference.read(SimpleNamespace(runs=lambda: two))
    rows = pd.read_csv(path).to_dict("records")
    assert [(r["ranking"], r["recall_1"]) for r in rows] == [("distance", 36.75), ("score", 30)]
    assert rows[0]["pixels"] == 97 and rows[0]["start"] == 24.36
    assert rows[0]["least_mean_distance"] == 0.5
    text = path.read_text(encoding="utf-8")
    reference.read(SimpleNamespace(runs=lambda: two))
    assert path.read_text(encoding="utf-8") == text
    assert len(why.readings(evidence.readings())) == 2
