"""Notebook 95 by papermill, on a folder that it has never seen: what it prints is what is so."""

import json
import re
import warnings
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from pddm_lite.data.synthetic import world
from pddm_lite.measures.retrieval import recall_at_k
from pddm_lite.networks import backbones
from pddm_lite.own_data import metric as own_metric
from pddm_lite.own_data import trial
from pddm_lite.pddm import PDDM
from pddm_lite.pipeline import notebooks
from pddm_lite.store import saving
from pddm_lite.store.store import Store

REPO = Path(__file__).parents[2]
NAME = "95_bring_your_own_data"
CLASSES, IMAGES = 24, 5


def write_tree(root: Path) -> Path:
    """Painted cars as <class>/<image>: two sizes, JPEG and PNG, one of them greyscale."""
    w = world("cars", CLASSES, IMAGES, first=7000)
    for n, (pixels, label) in enumerate(zip(w.images, w.labels, strict=True)):
        picture = Image.fromarray(pixels)
        picture = picture.resize((100, 80)) if n % 2 else picture
        picture = picture.convert("L") if n == 3 else picture
        path = root / f"kind {label:02d}" / f"{n}.{'jpg' if n % 4 == 0 else 'png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    return root


def execute(folder: Path, out: Path, **changes):
    """The executed notebook on `folder`, with results beside `out`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import papermill
    parameters = {
        "profile": "smoke",
        "data": ["folder:cars"],
        "data_root": str(folder),
        "settings": ["classes_per_batch=10", "batch_size=40"],
        "seeds": [3, 4],
        "results": str(out.parent / "results"),
        "options": ["backbone=smallnet", f"weights={backbones.SHIPPED}", "device=cpu"],
    }
    papermill.execute_notebook(
        REPO / "notebooks" / f"{NAME}.ipynb",
        out,
        parameters=parameters | changes,
        kernel_name="python3",
        cwd=str(REPO / "notebooks"),
        progress_bar=False,
        **notebooks._quiet_kernel(),
    )
    return nbformat.read(out, as_version=4)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """(what each cell printed, the study's folder), by the id of the cell."""
    base = tmp_path_factory.mktemp("own")
    write_tree(base / "images" / "cars")
    with pytest.MonkeyPatch.context() as m:
        m.setenv("PYTHONPATH", str(REPO))
        m.setenv("OMP_NUM_THREADS", "1")
        nb = execute(base / "images", base / "executed.ipynb")
    code = [c for c in nb.cells if c.cell_type == "code" and "id" in c]
    said = {c["id"]: "".join(o.get("text", "") for o in c.outputs) for c in code}
    (folder,) = (base / "results").glob("smoke*")
    return said, folder


def stored(folder: Path, name: str) -> dict[int, tuple[str, dict]]:
    """seed -> (run id, its files) of the runs of a method in the store."""
    store = Store(folder.parent / "runs")
    configs = {i: store.json(i, "config.json") for i in store.ids()}
    return {
        c["seed"]: (i, store.arrays(i, "embeddings.npz"))
        for i, c in configs.items()
        if c["method"] == name
    }


def test_it_trains_the_folder_it_was_given(executed):
    said, folder = executed
    assert "demo" not in said["own"] and "folder:cars, smallnet" in said["own"]
    for name in (trial.PLAIN, trial.PDDM):
        runs = stored(folder, name)
        assert sorted(runs) == [3, 4]
        for seed, (i, arrays) in runs.items():
            assert f"{name}, seed {seed}: run {i}" in said["train"]
            assert len(arrays["f"]) == CLASSES // 2 * IMAGES
    assert not (folder / "own_images").exists()


def test_its_table_is_what_the_stored_features_give(executed):
    _, folder = executed
    table = pd.read_csv(folder / "tables" / "own_data.csv", index_col="method")
    assert list(table.index) == [trial.START, *trial.COMPARED]
    for name in (trial.PLAIN, trial.PDDM):
        recall = [
            recall_at_k(torch.from_numpy(a["labels"]), features=torch.from_numpy(a["f"]).float())
            for _, a in stored(folder, name).values()
        ]
        for k in (1, 2, 4, 8):
            mean = np.mean([r[k] for r in recall])
            assert float(table[f"R@{k}"][name].split(" ± ")[0]) == pytest.approx(mean, abs=0.06)


def test_the_metric_it_leaves_scores_files_without_store_or_data(executed):
    said, folder = executed
    metric = own_metric.Metric.load(folder / "own_metric.safetensors")
    test = sorted((folder.parents[1] / "images" / "cars" / f"kind {CLASSES // 2:02d}").iterdir())
    with Image.open(test[0]) as a, Image.open(test[1]) as b:
        D, S = metric.compare(a, b)
    said_D, said_S = re.search(r"distance (\S+), score (\S+):", said["away"]).groups()
    assert (float(said_D), float(said_S)) == pytest.approx((D, S), abs=1e-3)
    assert float(re.search(r"test images: (\S+)", said["away"])[1]) < 1e-3


def test_its_own_loop_trains_a_unit_that_can_be_loaded(executed):
    said, folder = executed
    unit = saving.load_unit(folder / "own_unit.safetensors")
    assert isinstance(unit, PDDM) and unit.dropout.p == 0
    number, first, last = re.search(
        r"^(\d+) batches.* first five (\S+), of the last (\S+)$", said["unit"], re.MULTILINE
    ).groups()
    assert int(number) == 19 and 0 < float(last) < 6 and 0 < float(first) < 6


def test_its_figures_are_there_and_name_their_runs(executed):
    _, folder = executed
    for name, runs in (("95_samples", 0), ("95_scores", 4), ("95_neighbours", 1)):
        assert (folder / "figures" / f"{name}.png").stat().st_size > 10_000
        about = json.loads((folder / "figures" / f"{name}.json").read_text(encoding="utf-8"))
        assert len(about["runs"]) == runs and about["study"]["data"] == ["folder:cars"]
