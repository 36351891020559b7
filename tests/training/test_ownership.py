"""Two data roots in one results folder: nothing of another study is overwritten or mislabelled."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from pddm_lite.networks.smallnet import WEIGHTS as SHIPPED
from pddm_lite.paper import drawing, wording
from pddm_lite.pipeline import cli
from pddm_lite.store.errors import UserError
from pddm_lite.training import ownership
from pddm_lite.training.study import Study

FRAME = pd.DataFrame({"method": ["Triplet"], "R@1": [1.0]})


def tree(root: Path, seed: int, classes: int = 4) -> Path:
    rng = np.random.default_rng(seed)
    for c in range(classes):
        (root / f"c{c}").mkdir(parents=True)
        for n in range(4):
            x = rng.integers(0, 255, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(x).save(root / f"c{c}" / f"{n}.png")
    return root


def study(root: Path, results: Path, **more) -> Study:
    usual = dict(profile="smoke", data=["folder"], backbone="smallnet", weights=str(SHIPPED))
    usual |= dict(settings=["classes_per_batch=2", "batch_size=8"], variants=[], device="cpu")
    return Study.of(**usual | dict(data_root=str(root), results=str(results)) | more)


def options(own: Study, *more: str) -> list[str]:
    words = ["--profile", "smoke", "--data", ",".join(own.data), "--data-root", own.data_root]
    words += ["--backbone", own.backbone, "--weights", own.weights, "--variants", "none"]
    for text in own.settings:
        words += ["--set", text]
    return [*words, "--results", own.results, *more]


def drawn(own: Study) -> dict[str, bytes]:
    """Figures, tables and a metric of the study, as its notebooks write them; what lies there."""
    drawing.save(Figure(), FRAME, own, "95_scores")
    wording.save_table(FRAME, own, "own_data")
    (own.folder / "own_metric.safetensors").write_bytes(own.data_root.encode())
    (own.folder / "report.html").write_text("A's", encoding="utf-8")
    return content(own.folder)


def content(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name[0] != "."}


# how B's images, or weights, differ from A's, under the same name
OTHERS = {
    "another root": lambda t, a: study(tree(t / "b", 2, 5), a.results, name=a.name),
    "the same root, other images": lambda t, a: (shutil.rmtree(t / "a"), tree(t / "a", 3, 5)) and a,
    "a root of the same name": lambda t, a: study(
        tree(t / "elsewhere" / "a", 2, 5), a.results, name=a.name
    ),
    "other weights of the same name": lambda t, a: replace(a, weights=str(other_weights(t))),
    "synthetic data under the same name": lambda t, a: Study.of(
        "smoke", name=a.name, results=a.results, variants=[], device="cpu"
    ),
}


def other_weights(folder: Path) -> Path:
    import torch

    state = torch.load(SHIPPED, weights_only=True)
    first = next(iter(state))
    torch.save(state | {first: state[first] * 2}, folder / SHIPPED.name)
    return folder / SHIPPED.name


@pytest.mark.parametrize("case", OTHERS)
@pytest.mark.parametrize("stage", ["report", ""])
def test_another_study_is_refused_and_nothing_of_the_first_is_touched(
    case, stage, tmp_path, capsys, monkeypatch
):
    first = study(tree(tmp_path / "a", 1), tmp_path / "r", name="own")
    before = drawn(first)
    other = OTHERS[case](tmp_path, first)
    assert other.folder == first.folder
    words = options(other) if other.data_root else ["--profile", "smoke", "--variants", "none",
                                                    "--results", other.results]  # fmt: skip
    words += ["--name", other.name] if other.name else []
    assert cli.main([*words, *(["--stage", stage] if stage else [])]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "content of" in err and "--name" in err
    assert content(first.folder) == before
    # the same by hand, in a notebook
    ownership._inputs_once.cache_clear()  # another kernel
    for write in (
        lambda: drawing.save(Figure(), FRAME, other, "95_scores"),
        lambda: wording.save_table(FRAME, other, "own_data"),
    ):
        if other.data_root:  # of synthetic data each figure says what it shows
            with pytest.raises(UserError, match="figures of other data .*content of"):
                write()
    assert content(first.folder) == before


def test_the_same_study_goes_on_and_a_moved_root_is_the_same(tmp_path, capsys):
    first = study(tree(tmp_path / "a", 1), tmp_path / "r")
    drawn(first)
    assert set(json.loads((first.folder / "study.json").read_text(encoding="utf-8"))["inputs"]) == {
        "folder",
        "weights",
    }
    assert cli.main([*options(first), "--stage", "report"]) == 0
    (tmp_path / "moved").mkdir()
    moved = study((tmp_path / "a").rename(tmp_path / "moved" / "a"), tmp_path / "r")
    ownership._inputs_once.cache_clear()
    drawn(moved)
    assert cli.main([*options(moved), "--stage", "report"]) == 0
    assert "another" not in capsys.readouterr().err


def test_with_other_settings_metrics_are_made_again_with_the_figures(tmp_path):
    from pddm_lite.pipeline import places

    first = study(tree(tmp_path / "a", 1), tmp_path / "r")
    drawn(first)
    places.claim(first)
    assert (first.folder / "own_metric.safetensors").exists()
    places.claim(replace(first, seeds=(5,)))
    assert not (first.folder / "own_metric.safetensors").exists()
    assert not (first.folder / "report.html").exists()


def test_a_folder_that_does_not_say_of_which_data_is_refused(tmp_path):
    first = study(tree(tmp_path / "a", 1), tmp_path / "r")
    drawn(first)
    path = first.folder / "study.json"
    about = json.loads(path.read_text(encoding="utf-8"))
    del about["inputs"]
    path.write_text(json.dumps(about), encoding="utf-8")
    with pytest.raises(UserError, match="content of folder unknown ->"):
        wording.save_table(FRAME, first, "own_data")
