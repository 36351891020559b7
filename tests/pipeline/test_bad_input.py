"""Bad input, the overview: what is wrong, and what the one line says that it ends in.

Each case is a command line in a folder of its own. It ends with exit code 2 and one line "error: "
that names what is wrong and the remedy; nothing is written, changed or lost. More of each kind is
tested beside the module that finds it: archives in tests/data/test_download.py and tests/test_pack,
images in tests/data/test_folder.py, weights in tests/test_backbones.py.
"""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pddm_lite.pipeline import cli, executors
from pddm_lite.store.errors import UserError
from pddm_lite.training.study import Study

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "results" / "reference"
SHIPPED = ROOT / "pddm_lite" / "weights" / "smallnet_birds_cars.pt"


def image_bytes(seed: int, kind: str = "PNG") -> bytes:
    rng = np.random.default_rng(seed)
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (20, 20, 3), dtype=np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def tree(root: Path, classes: int, images: int) -> Path:
    for c in range(classes):
        folder = root / f"class_{c:02d}"
        folder.mkdir(parents=True)
        for n in range(images):
            (folder / f"{n}.png").write_bytes(image_bytes(100 * c + n))
    return root


def damaged(root: Path, data: bytes) -> Path:
    (tree(root, 40, 4) / "class_03" / "1.png").write_bytes(data)
    return root


def broken_zip(root: Path) -> Path:
    root.mkdir()
    (root / "cub200_2010.zip").write_bytes(b"PK no zip")
    return root


def cub_with_too_few(root: Path) -> Path:
    root.mkdir()
    with zipfile.ZipFile(root / "cub200_2010.zip", "w") as z:
        for c in range(3):
            for n in range(4):
                z.writestr(f"cub200_2010/{c:03d}.Bird/{n}.png", image_bytes(n))
    return root


def saved(path: Path, value: object) -> Path:
    torch.save(value, path)
    return path


def torn(path: Path, data: bytes) -> Path:
    """The first half of a file."""
    path.write_bytes(data[: len(data) // 2])
    return path


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def packed(path: Path) -> Path:
    """A zip as --pack writes it, of one run."""
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("0123456789abcdef/manifest.json", '{"files": {}}')
    return path


def drawn(results: Path, name: str, text: str) -> list[str]:
    """A study of profile smoke in whose folder one file is not as it was written."""
    written(results / "smoke" / name, text)
    return ["--profile", "smoke", "--stage", "report", "--results", str(results)]


def folder_at(results: Path, name: str) -> list[str]:
    """A study of profile smoke in whose folder a folder lies in the place of a file."""
    (results / "smoke" / name).mkdir(parents=True)
    return ["--profile", "smoke", "--stage", "report", "--results", str(results)]


def one_image_a_class(root: Path) -> Path:
    return tree(root, 40, 1)


FOLDER = ["--data", "folder", "--backbone", "smallnet", "--weights", "none", "--profile", "smoke"]
# what is wrong -> (function of a temporary folder giving the options, words the error must hold)
BAD = {
    "profile": (lambda t: ["--profile", "quik"], ["profile 'quik'", "quick"]),
    "data set": (lambda t: ["--data", "synthetic_bird"], ["synthetic_birds"]),
    "data set, real": (lambda t: ["--data", "cub200_2011x", "--backbone", "resnet18"], ["cub200"]),
    "heterogeneity": (lambda t: ["--data", "synthetic_birds@2"], ["from 0 to 1"]),
    "method": (lambda t: ["--methods", "PDDM+Quadruple"], ["PDDM+Quadruplet"]),
    "backbone": (lambda t: ["--backbone", "mobilenet"], ["mobilenet_v2"]),
    "recipe": (lambda t: ["--recipe", "leter"], ["letter"]),
    "mode": (lambda t: ["--mode", "thawed"], ["frozen, finetune"]),
    "variant": (lambda t: ["--variants", "2 quadruplets"], ["1 quadruplet"]),
    "seed": (lambda t: ["--seeds", "0,one"], ["integers", "0,one"]),
    "seed below 0": (lambda t: ["--seeds=-1"], ["-1"]),
    "jobs": (lambda t: ["--jobs", "0"], ["--jobs", "1 or more"]),
    "jobs no number": (lambda t: ["--jobs", "two"], ["--jobs", "two"]),
    "notebook": (lambda t: ["--only", "60_retrival"], ["60_retrieval"]),
    "stage": (lambda t: ["--stage", "run"], ["runs"]),
    "setting": (lambda t: ["--set", "alfa=0.2"], ["alpha"]),
    "setting without value": (lambda t: ["--set", "alpha"], ["NAME=VALUE"]),
    "setting of another type": (lambda t: ["--set", "steps=many"], ["steps", "int"]),
    "setting with its own option": (lambda t: ["--set", "seed=3"], ["option of its own"]),
    "batch size": (lambda t: ["--set", "batch_size=60"], ["60", "16 x 4 = 64"]),
    "parameter": (
        lambda t: ["--only", "60_retrieval", "-p", "profil", "quick"],
        ["60_retrieval", "profile"],
    ),
    "parameter of another type": (
        lambda t: ["--only", "60_retrieval", "-p", "seeds", "0"],
        ["seeds", "list[int]"],
    ),
    "no data root": (lambda t: FOLDER, ["--data-root"]),
    "missing data root": (lambda t: [*FOLDER, "--data-root", str(t / "no")], ["does not exist"]),
    "empty data root": (lambda t: [*FOLDER, "--data-root", str(t)], ["no image"]),
    "one class": (
        lambda t: [*FOLDER, "--data-root", str(tree(t / "d", 1, 6))],
        ["at least 2"],
    ),
    "few images": (
        lambda t: [*FOLDER, "--data-root", str(tree(t / "d", 40, 3))],
        ["3 images", "class_00"],
    ),
    "few classes": (
        lambda t: [*FOLDER, "--data-root", str(tree(t / "d", 6, 5))],
        ["16 classes", "--set classes"],
    ),
    "truncated image": (
        lambda t: [*FOLDER, "--data-root", str(damaged(t / "d", image_bytes(1)[:300]))],
        ["class_03/1.png", "replace or remove"],
    ),
    "no image inside": (
        lambda t: [*FOLDER, "--data-root", str(damaged(t / "d", b"text"))],
        ["class_03/1.png"],
    ),
    "broken zip": (
        lambda t: ["--data", "cub200_2010", "--backbone", "smallnet", "--weights", "none",
                   "--data-root", str(broken_zip(t / "d"))],
        ["cub200_2010.zip", "zip"],
    ),
    "incomplete set": (
        lambda t: ["--data", "cub200_2010", "--backbone", "smallnet", "--weights", "none",
                   "--data-root", str(cub_with_too_few(t / "d"))],
        ["3 classes", "200"],
    ),
    "set not there": (
        lambda t: ["--data", "cub200_2010", "--backbone", "resnet18", "--data-root", str(t)],
        ["cub200_2010.zip"],
    ),
    "shipped weights on real data": (
        lambda t: ["--data", "folder", "--backbone", "smallnet", "--data-root", str(t)],
        ["smallnet"],
    ),
    "weights missing": (lambda t: ["--weights", str(t / "no.pth")], ["no such file"]),
    "weights no state dict": (
        lambda t: ["--weights", str(saved(t / "w.pth", [1, 2]))],
        ["not a state dict"],
    ),
    "weights of another network": (
        lambda t: ["--weights", str(saved(t / "w.pth", {"a.weight": torch.ones(2)}))],
        ["not of smallnet"],
    ),
    "weights that are code": (
        lambda t: ["--weights", str(saved(t / "w.pth", Path("a")))],
        ["weights_only"],
    ),
    "name with a folder": (lambda t: ["--name", "../a"], ["'../a'", "letters, digits"]),
    "name that is taken": (lambda t: ["--name", "runs"], ["'runs'", "reference"]),
    "pack into no folder": (
        lambda t: ["--pack", str(t / "no" / "runs.zip")],
        ["--pack", "no folder"],
    ),
    "pack into a folder": (lambda t: ["--pack", str(t)], ["--pack", "name of a file"]),
    "pack size": (lambda t: ["--pack-size", "small"], ["--pack-size", "MiB", "small"]),
    "pack size 0": (lambda t: ["--pack-size", "0"], ["--pack-size", "above 0"]),
    "unpack nothing": (lambda t: ["--unpack", str(t / "no.zip")], ["no.zip", "no such file"]),
    "unpack something else": (
        lambda t: ["--unpack", str(broken_zip(t / "d") / "cub200_2010.zip")],
        ["cub200_2010.zip", "--pack", "Nothing was unpacked"],
    ),
    "unpack pictures": (
        lambda t: ["--unpack", str(cub_with_too_few(t / "d") / "cub200_2010.zip")],
        ["cub200_2010/000.Bird/0.png", "no file of a run"],
    ),
    "unpack with more": (
        lambda t: ["--unpack", "runs.zip", "--pack-size", "3"],
        ["--unpack", "--results", "pack-size"],
    ),
    "results not writable": (
        lambda t: ["--results", str(saved(t / "file", {}) / "results")],
        ["cannot be written", "--results"],
    ),
    # ------------------------------------------------------------------- the command line
    "unknown option": (lambda t: ["--profil", "smoke"], ["--profil", "--help"]),
    "option without value": (lambda t: ["--data"], ["--data", "--help"]),
    "jobs no digit": (lambda t: ["--jobs", "\u00b2"], ["--jobs", "1 or more"]),
    "jobs without end": (lambda t: ["--jobs", "9" * 30], ["--jobs", "to 1024"]),
    "seed too large": (lambda t: ["--seeds", "9" * 30], ["a seed must be", "2147483647"]),
    "seed twice": (lambda t: ["--seeds", "0,1,0"], ["seed 0", "name it once"]),
    "method twice": (lambda t: ["--methods", "Triplet,Triplet"], ["'Triplet'", "name it once"]),
    "data set twice": (
        lambda t: ["--data", "synthetic_cars,synthetic_cars"],
        ["'synthetic_cars'", "name it once"],
    ),
    "heterogeneity no number": (lambda t: ["--data", "synthetic_birds@nan"], ["from 0 to 1"]),
    "device": (lambda t: ["--device", "tpu"], ["cpu, cuda", "'tpu'"]),
    "device with a word": (lambda t: ["--device", "cuda:one"], ["cuda:1", "'cuda:one'"]),
    "device that is not there": (lambda t: ["--device", "cuda:99"], ["cuda:99", "--device cpu"]),
    "pack size without end": (lambda t: ["--pack-size", "inf"], ["--pack-size", "MiB"]),
    "results is a file": (
        lambda t: ["--results", str(written(t / "file", ""))],
        ["cannot be written", "--results"],
    ),
    "name too long": (lambda t: ["--name", "a" * 300], ["300 bytes", "200 or less", "--name"]),
    "name made of settings too long": (
        lambda t: ["--set", f"alpha=0.{'5' * 100}", "--set", f"beta=0.{'5' * 100}"],
        ["bytes", "--name"],
    ),
    "name starts as an option": (lambda t: ["--name=-a"], ["'-a'", "letter or digit first"]),
    "seeds empty": (lambda t: ["--seeds", ""], ["--seeds is empty", "leave it out"]),
    "seeds of blanks": (lambda t: ["--seeds= "], ["--seeds is empty", "leave it out"]),
    "data empty": (lambda t: ["--data="], ["--data is empty"]),
    "setting empty": (lambda t: ["--set", ""], ["--set is empty"]),
    "unpack empty": (lambda t: ["--unpack", ""], ["--unpack is empty"]),
    "check with an empty option": (lambda t: ["check", "--weights", ""], ["--weights is empty"]),
    "scheduler without a port": (
        lambda t: ["--scheduler", "localhost"],
        ["no Dask scheduler answers at 'localhost'", "port", "tcp://HOST:8786"],
    ),
    # -------------------------------------------------------------------------- settings
    "setting twice": (
        lambda t: ["--set", "alpha=0.2", "--set", "alpha=0.3"],
        ["'alpha' is given more than once"],
    ),
    "parameter twice": (
        lambda t: ["-p", "profile", "smoke", "-p", "profile", "quick"],
        ["profile is given more than once"],
    ),
    "setting out of range": (lambda t: ["--set", "alpha=-1"], ["alpha", "from 0 to 100"]),
    "setting no number": (lambda t: ["--set", "lr=nan"], ["lr", "from 0 to 10", "nan"]),
    "setting of no steps": (lambda t: ["--set", "steps=0"], ["steps", "at least 1"]),
    "setting unknown word": (lambda t: ["--set", "optimizer=adam"], ["'adam'", "adamw"]),
    "setting of one class": (
        lambda t: ["--set", "classes_per_batch=1", "--set", "batch_size=4"],
        ["at least 2 classes"],
    ),
    "timm without a model": (lambda t: ["--backbone", "timm:"], ["timm"]),
    # --------------------------------------------------------------- notebooks' parameters
    "parameter of no notebook": (
        lambda t: ["-p", "seed", "0", "--profile", "smoke"],
        ["parameter", "'seed'", "seeds"],
    ),
    "parameter that is code": (
        lambda t: ["--only", "60_retrieval", "-p", "seeds", "__import__('os').getcwd()"],
        ["seeds", "list[int]"],
    ),
    "parameter of mixed types": (
        lambda t: ["--only", "60_retrieval", "-p", "seeds", "[0, 'one']"],
        ["seeds", "list[int]"],
    ),
    "parameter with a bool for a number": (
        lambda t: ["--only", "60_retrieval", "-p", "seeds", "[True]"],
        ["seeds", "list[int]"],
    ),
    "parameter too deep": (
        lambda t: ["--only", "60_retrieval", "-p", "seeds", "[" * 300],
        ["seeds", "list[int]"],
    ),
    "parameter of an unknown method": (
        lambda t: ["--only", "60_retrieval", "-p", "options", "['methods=PDDM']"],
        ["method 'PDDM'", "PDDM+Quadruplet"],
    ),
    "parameter of an unknown data set": (
        lambda t: ["-p", "data", "['sintetic_birds']", "-p", "options", "['backbone=resnet18']"],
        ["sintetic_birds", "synthetic_birds"],
    ),
    "names without a name": (lambda t: ["--data", ","], ["','", "A,B"]),
    # ---------------------------------------------------------------------------- weights
    "weights torn": (
        lambda t: ["--weights", str(torn(t / "w.pt", SHIPPED.read_bytes()))],
        ["w.pt", "weights_only", "expected a state dict of smallnet"],
    ),
    "weights empty": (
        lambda t: ["--weights", str(written(t / "w.pth", ""))],
        ["w.pth", "expected a state dict of smallnet"],
    ),
    "weights are text": (
        lambda t: ["--weights", str(written(t / "w.pth", "a page"))],
        ["w.pth", "expected a state dict"],
    ),
    "weights a folder": (lambda t: ["--weights", str(t)], ["no such file", "smallnet"]),
    "weights of the embedded network for another": (
        lambda t: ["--backbone", "resnet18", "--weights", str(SHIPPED)],
        ["not of resnet18", "missing"],
    ),
    # --------------------------------------------------------------------- data and images
    "data root is a file": (
        lambda t: [*FOLDER, "--data-root", str(written(t / "file", "text"))],
        ["file", "zip"],
    ),
    "one image a class": (
        lambda t: [*FOLDER, "--data-root", str(one_image_a_class(t / "d"))],
        ["1 images", "add images"],
    ),
    "class folders without images": (
        lambda t: [*FOLDER, "--data-root", str((t / "d" / "class_00").mkdir(parents=True)
                                               or t / "d")],
        ["no image"],
    ),
    "one class folder without images": (
        lambda t: [*FOLDER, "--data-root", str((tree(t / "d", 40, 4) / "class_99").mkdir()
                                               or t / "d")],
        ["class_99 holds no image", "take it away"],
    ),
    "images without class folders": (
        lambda t: [*FOLDER, "--data-root", str(written(t / "d" / "1.png", "x").parent)],
        ["class"],
    ),
    "empty image": (
        lambda t: [*FOLDER, "--data-root", str(damaged(t / "d", b""))],
        ["class_03/1.png", "replace or remove"],
    ),
    "folder that leads out": (
        lambda t: ["--data", "folder:../../d", "--data-root", str(tree(t / "d", 2, 4)),
                   "--backbone", "smallnet", "--weights", "none"],
        ["'folder:../../d'", "--data-root"],
    ),
    "folder that is not there": (
        lambda t: ["--data", "folder:birds", "--data-root", str(t), "--backbone", "resnet18",
                   "--weights", "none"],
        ["birds", "--data-root"],
    ),
    "folder whose zip is torn": (
        lambda t: ["--data", "folder:birds", "--data-root", str(torn(t / "birds.zip", packed(
            t / "whole.zip").read_bytes()).parent), "--backbone", "resnet18", "--weights", "none"],
        ["birds.zip", "zip"],
    ),
    "split that is no number": (
        lambda t: ["--data", "cub200_2010@half", "--data-root", str(cub_with_too_few(t / "d")),
                   "--backbone", "smallnet", "--weights", "none"],
        ["cub200_2010"],
    ),
    # ------------------------------------------------------------------- packs, and results
    "unpack a torn pack": (
        lambda t: ["--unpack", str(torn(t / "p.zip", packed(t / "whole.zip").read_bytes()))],
        ["p.zip", "copy it again", "Nothing was unpacked"],
    ),
    "unpack an empty pack": (
        lambda t: ["--unpack", str(zipfile.ZipFile(t / "p.zip", "w").close() or t / "p.zip")],
        ["p.zip", "holds no run"],
    ),
    "report of a table without its columns": (
        lambda t: drawn(t / "r", "tables/verdicts.csv", "claim,data\nC1,x\n"),
        ["verdicts.csv", "no column claimed, effect, high", "reproduce"],
    ),
    "report of a torn table": (
        lambda t: drawn(t / "r", "tables/recall_x.csv", 'method,R@1\n"PDDM,1,2,3\n'),
        ["recall_x.csv", "torn", "reproduce"],
    ),
    "a folder in the place of the notebook": (
        lambda t: folder_at(t / "r", "notebooks/60_retrieval.ipynb"),
        ["60_retrieval.ipynb"],
    ),
    "a folder in the place of a table": (
        lambda t: folder_at(t / "r", "tables/verdicts.csv"),
        ["verdicts.csv"],
    ),
    "a folder in the place of a figure": (
        lambda t: folder_at(t / "r", "figures/60_retrieval.png"),
        ["60_retrieval.png is a folder", "move it away"],
    ),
    "a folder in the place of the report": (
        lambda t: folder_at(t / "r", "report.html"),
        ["report.html is a folder", "move it away"],
    ),
    "a folder in the place of study.json": (
        lambda t: folder_at(t / "r", "study.json"),
        ["study.json is a folder", "move it away"],
    ),
    "report of a torn notebook": (
        lambda t: drawn(t / "r", "notebooks/60_retrieval.ipynb", '{"cells": ['),
        ["60_retrieval.ipynb", "torn", "--only 60_retrieval"],
    ),
    # ------------------------------------------------------- check, compare and reproduce
    "check unknown option": (lambda t: ["check", "--dat", "x"], ["--dat", "check --help"]),
    "compare with one folder": (lambda t: ["compare", str(t)], ["compare --help"]),
    "compare with nothing": (
        lambda t: ["compare", str(t / "no"), str(t)],
        ["is no folder", "results/quick"],
    ),
    "compare with an empty folder": (lambda t: ["compare", str(t), str(t)], ["holds no study"]),
    "compare a study with all": (
        lambda t: ["compare", str(REFERENCE / "quick"), str(REFERENCE)],
        ["two of a kind"],
    ),
    "compare with a torn table": (
        lambda t: ["compare", str(written(t / "a/tables/x.csv", 'a,b\n"1,2').parents[1]),
                   str(written(t / "b/tables/x.csv", "a,b\n1,2\n").parents[1])],
        ["x.csv", "cannot be read as a table", "reproduce"],
    ),
    "reproduce nothing": (lambda t: ["reproduce"], ["PATH", "reproduce --help"]),
    "reproduce something else": (
        lambda t: ["reproduce", str(ROOT / "README.md")],
        ["README.md", "give one that is there, as in"],
    ),
    "reproduce an unknown figure": (
        lambda t: ["reproduce", str(REFERENCE / "quick" / "tables" / "reall.csv")],
        ["unknown table of quick 'reall'"],
    ),
    "reproduce of a torn notebook": (
        lambda t: ["reproduce", str(written(t / "s/notebooks/60_x.ipynb", "{").parents[1]
                                    / "figures" / "60_x.png")],
        ["60_x.ipynb is torn", "--only 60_x"],
    ),
    "reproduce of a notebook run by hand": (
        lambda t: ["reproduce", str(written(t / "s/notebooks/60_x.ipynb",
                                            json.dumps({"cells": [], "metadata": {}})))],
        ["60_x", "how it was executed", "--only 60_x"],
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_workers(monkeypatch):
    """A case that is not noticed must not begin to train."""

    def _none(*args):
        raise AssertionError("bad input went on to the work")

    class Pool:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        submit = _none

    monkeypatch.setattr(executors, "pool", lambda jobs: Pool())


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file, without what says that somebody was here, and for which study."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and p.name not in (".lock", "study.json")
    }


def test_the_table_is_no_shorter_than_promised():
    assert len(BAD) + len(PARAMETERS) >= 125


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(case, tmp_path, capsys):
    make, words = BAD[case]
    (tmp_path / "in").mkdir()
    options = make(tmp_path / "in")
    own = options[0] in cli.COMMANDS or "--results" in options
    options = options if own else [*options, "--results", str(tmp_path / "results")]
    before = snapshot(tmp_path)
    assert cli.main(options) == 2
    err = capsys.readouterr().err.strip().splitlines()
    err = [line for line in err if "it/s" not in line and "s/it" not in line]  # a progress bar's
    assert len(err) == 1 and err[0].startswith("error: "), err
    for word in words:
        assert word in err[0]
    assert snapshot(tmp_path) == before
    assert not (tmp_path / "results").exists()  # nor an empty folder


# ------------------------------------------------------------------ a notebook's own parameters

# what papermill, or a reader, may put into the cell of parameters -> words of the error
PARAMETERS = {
    "text for a list": ({"data": "synthetic_birds"}, ["data must be a list"]),
    "number for a list": ({"seeds": 0}, ["seeds must be a list"]),
    "text for seeds": ({"seeds": ["0"]}, ["a seed must be an integer", "'0'"]),
    "fraction for a seed": ({"seeds": [0.5]}, ["a seed must be an integer", "0.5"]),
    "truth for a seed": ({"seeds": [True]}, ["a seed must be an integer", "True"]),
    "unknown profile": ({"profile": "qick"}, ["'qick'", "Did you mean 'quick'"]),
    "unknown data set": ({"data": ["sintetic_birds"]}, ["synthetic_birds"]),
    "unknown method": ({"options": ["methods=PDDM"]}, ["'PDDM'", "Known"]),
    "unknown recipe": ({"options": ["recipe=papers"]}, ["'papers'", "letter"]),
    "unknown variant": ({"options": ["variants=core,cor"]}, ["'cor'", "core"]),
    "unknown mode": ({"options": ["mode=froze"]}, ["froze", "frozen"]),
    "unknown network": ({"options": ["backbone=resnet"]}, ["'resnet'", "resnet18"]),
    "setting without value": ({"settings": ["alpha"]}, ["NAME=VALUE"]),
    "setting that is not one": ({"settings": ["learning_rate=1"]}, ["learning_rate", "Known"]),
    "folder out of the results": ({"options": ["name=../mine"]}, ["'../mine'", "letters, digits"]),
    "unknown device": ({"options": ["device=gpu"]}, ["cpu, cuda", "'gpu'"]),
    "text for options": ({"options": "mode=frozen"}, ["options must be a list"]),
    "option without value": ({"options": ["frozen"]}, ["NAME=VALUE", "'frozen'"]),
    "option that is none": ({"options": ["modes=frozen"]}, ["option 'modes'", "mode"]),
    "option that is a parameter": ({"options": ["seeds=1"]}, ["option 'seeds'", "methods"]),
}


@pytest.fixture(scope="module")
def validation() -> str:
    """The cell of a notebook that checks its parameters; tests/notebooks: all have the same."""
    nb = json.loads((ROOT / "notebooks" / "60_retrieval.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(c["source"]) for c in nb["cells"] if c["cell_type"] == "code"]
    return f"{cells[0]}\n{{}}\n{cells[1].splitlines()[-1]}"


@pytest.mark.parametrize("case", PARAMETERS)
def test_a_bad_parameter_stops_the_notebook_at_its_check(case, validation, tmp_path):
    given, words = PARAMETERS[case]
    given = {"results": str(tmp_path / "r"), **given}
    lines = "\n".join(f"{name} = {value!r}" for name, value in given.items())
    with pytest.raises(UserError) as err:
        exec(validation.replace("{}", lines), {"Study": Study})
        # where the name is only looked up as the data are opened: the notebook's next line
        Study.of(**{"profile": "smoke", **given}).titles()
    assert "\n" not in str(err.value) and all(word in str(err.value) for word in words)
    assert list(tmp_path.iterdir()) == []
