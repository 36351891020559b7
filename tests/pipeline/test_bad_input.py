"""Bad input, the overview: what is wrong, and what the one line says that it ends in.

Each case is a command line in a folder of its own. It ends with exit code 2 and one line "error: "
that names what is wrong and the remedy; nothing is written, changed or lost. More of each kind is
tested beside the module that finds it: archives in tests/data/test_download.py and test_pack.py,
images in tests/data/test_folder.py, weights in tests/networks/test_weights.py.
"""

import json
import re
import shlex
import zipfile
from pathlib import Path

import pytest
import torch
from trees import picture, unpacked

from pddm_lite.pipeline import cli, executors
from pddm_lite.store.errors import UserError
from pddm_lite.training.study import Study

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "pddm_lite" / "weights" / "smallnet_birds_cars.pt"


def tree(root: Path, classes: int, images: int) -> Path:
    names = [f"class_{c:02d}/{n}.png" for c in range(classes) for n in range(images)]
    return unpacked(root, {name: picture(k, size=(20, 20)) for k, name in enumerate(names)})


def written(path: Path, content: str | bytes = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def zipped(path: Path, *names: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as z:
        for name in names:
            z.writestr(name, picture() if name.endswith("png") else '{"files": {}}')
    return path


def half(path: Path, content: bytes) -> Path:
    return written(path, content[: len(content) // 2])


def damaged(root: Path, content: bytes) -> Path:
    return written(tree(root, 40, 4) / "class_03" / "1.png", content).parents[1]


def saved(path: Path, value: object) -> Path:
    torch.save(value, path)
    return path


def study(root: Path, name: str, content: str | None) -> Path:
    """Results in which a file of the study "smoke" is another, or (None) a folder."""
    path = root / "smoke" / name
    path.mkdir(parents=True) if content is None else written(path, content)
    return root


BIRDS = [f"cub200_2010/{c:03d}.Bird/{n}.png" for c in range(3) for n in range(4)]
RUN = "0123456789abcdef/manifest.json"
UNRUN = json.dumps({"cells": [], "metadata": {}})
# {name} in a command below: what is made in a temporary folder t, and its path
MADE = {
    "t": lambda t: t,
    "ROOT": lambda t: ROOT,
    "REFERENCE": lambda t: ROOT / "results" / "reference",
    "SHIPPED": lambda t: SHIPPED,
    "file": lambda t: written(t / "file", "text"),
    "1 class": lambda t: tree(t / "d", 1, 6),
    "2 classes": lambda t: tree(t / "d", 2, 4),
    "6 classes": lambda t: tree(t / "d", 6, 5),
    "1 image": lambda t: tree(t / "d", 40, 1),
    "3 images": lambda t: tree(t / "d", 40, 3),
    "truncated": lambda t: damaged(t / "d", picture(1, size=(20, 20))[:300]),
    "text": lambda t: damaged(t / "d", b"text"),
    "empty": lambda t: damaged(t / "d", b""),
    "no images": lambda t: written(t / "d" / "class_00" / "x").parents[1],
    "one without": lambda t: written(tree(t / "d", 40, 4) / "class_99" / "x").parents[1],
    "no folders": lambda t: written(t / "d" / "1.png", "x").parent,
    "broken cub": lambda t: written(t / "d" / "cub200_2010.zip", "PK no zip").parent,
    "small cub": lambda t: zipped(t / "d" / "cub200_2010.zip", *BIRDS).parent,
    "torn birds": lambda t: half(t / "birds.zip", zipped(t / "w.zip", RUN).read_bytes()).parent,
    "list": lambda t: saved(t / "w.pth", [1, 2]),
    "other net": lambda t: saved(t / "w.pth", {"a.weight": torch.ones(2)}),
    "code": lambda t: saved(t / "w.pth", Path("a")),
    "torn weights": lambda t: half(t / "w.pt", SHIPPED.read_bytes()),
    "no weights": lambda t: written(t / "w.pth"),
    "torn pack": lambda t: half(t / "p.zip", zipped(t / "w.zip", RUN).read_bytes()),
    "empty pack": lambda t: zipped(t / "p.zip"),
    "no columns": lambda t: study(t / "r", "tables/verdicts.csv", "claim,data\nC1,x\n"),
    "torn table": lambda t: study(t / "r", "tables/recall_x.csv", 'method,R@1\n"PDDM,1,2,3\n'),
    "torn notebook": lambda t: study(t / "r", "notebooks/60_retrieval.ipynb", '{"cells": ['),
    "folder notebook": lambda t: study(t / "r", "notebooks/60_retrieval.ipynb", None),
    "folder table": lambda t: study(t / "r", "tables/verdicts.csv", None),
    "folder figure": lambda t: study(t / "r", "figures/60_retrieval.png", None),
    "folder report": lambda t: study(t / "r", "report.html", None),
    "folder study": lambda t: study(t / "r", "study.json", None),
    "torn a": lambda t: written(t / "a/tables/x.csv", 'a,b\n"1,2').parents[1],
    "b": lambda t: written(t / "b/tables/x.csv", "a,b\n1,2\n").parents[1],
    "torn s": lambda t: written(t / "s/notebooks/60_x.ipynb", "{").parents[1],
    "unrun": lambda t: written(t / "s/notebooks/60_x.ipynb", UNRUN),
    "long": lambda t: "a" * 300,
    "many": lambda t: "9" * 30,
    "deep": lambda t: "[" * 300,
    "FOLDER": lambda t: "--data folder --backbone smallnet --weights none --profile smoke",
    "CUB": lambda t: "--data cub200_2010 --backbone smallnet --weights none",
    "REPORT": lambda t: "--profile smoke --stage report --results",
}
# a command line | words that the one line about it must hold
BAD = """
--profile quik | profile 'quik'; quick
--data synthetic_bird | synthetic_birds
--data cub200_2011x --backbone resnet18 | cub200
--data synthetic_birds@2 | from 0 to 1
--data synthetic_birds@nan | from 0 to 1
--data synthetic_cars,synthetic_cars | 'synthetic_cars'; name it once
--data , | ','; A,B
--data= | --data is empty
--data | --data; --help
--profil smoke | --profil; Did you mean '--profile'?; run_all.py --help
--zzz | --zzz; --help
--methods PDDM+Quadruple | PDDM+Quadruplet
--methods Triplet,Triplet | 'Triplet'; name it once
--backbone mobilenet | mobilenet_v2
--backbone timm: | timm
--recipe leter | letter
--mode thawed | frozen, finetune
--variants '2 quadruplets' | 1 quadruplet
--seeds 0,one | integers; 0,one
--seeds=-1 | -1
--seeds {many} | a seed must be; 2147483647
--seeds 0,1,0 | seed 0; name it once
--seeds '' | --seeds is empty; leave it out
'--seeds= ' | --seeds is empty; leave it out
--jobs 0 | --jobs; 1 or more
--jobs two | --jobs; two
--jobs \u00b2 | --jobs; 1 or more
--jobs {many} | --jobs; to 1024
--only 60_retrival | 60_retrieval
--stage run | runs
--device tpu | cpu, cuda; 'tpu'
--device cuda:one | cuda:1; 'cuda:one'
--device cuda:99 | cuda:99; --device cpu
--name ../a | '../a'; letters, digits
--name runs | 'runs'; reference
--name {long} | 300 bytes; 200 or less; --name
--name=-a | '-a'; letter or digit first
--set alpha=0.2{many}{many}{many}{many} --set beta=0.2{many}{many}{many} | bytes; --name
--scheduler localhost | no Dask scheduler answers at 'localhost'; port; tcp://HOST:8786
--results {file} | cannot be written; --results
--results {file}/results | cannot be written; --results
--set alfa=0.2 | alpha
--set alpha | NAME=VALUE
--set '' | --set is empty
--set steps=many | steps; int
--set seed=3 | option of its own
--set batch_size=60 | 60; 16 x 4 = 64
--set alpha=0.2 --set alpha=0.3 | 'alpha' is given more than once
--set alpha=-1 | alpha; from 0 to 100
--set lr=nan | lr; from 0 to 10; nan
--set steps=0 | steps; at least 1
--set optimizer=adam | 'adam'; adamw
--set classes_per_batch=1 --set batch_size=4 | at least 2 classes
--only 60_retrieval -p profil quick | 60_retrieval; profile
--only 60_retrieval -p seeds 0 | seeds; list[int]
--only 60_retrieval -p seeds "__import__('os').getcwd()" | seeds; list[int]
--only 60_retrieval -p seeds "[0, 'one']" | seeds; list[int]
--only 60_retrieval -p seeds [True] | seeds; list[int]
--only 60_retrieval -p seeds {deep} | seeds; list[int]
--only 60_retrieval -p options "['methods=PDDM']" | method 'PDDM'; PDDM+Quadruplet
-p data "['sintetic_birds']" -p options "['backbone=resnet18']" | sintetic_birds; synthetic_birds
-p seed 0 --profile smoke | parameter; 'seed'; seeds
-p profile smoke -p profile quick | profile is given more than once
{FOLDER} | --data-root
{FOLDER} --data-root {t}/no | does not exist
{FOLDER} --data-root {t} | no image
{FOLDER} --data-root {file} | file; zip
{FOLDER} --data-root {1 class} | at least 2
{FOLDER} --data-root {3 images} | 3 images; class_00
{FOLDER} --data-root {1 image} | 1 images; add images
{FOLDER} --data-root {6 classes} | 16 classes; --set classes
{FOLDER} --data-root {truncated} | class_03/1.png; replace or remove
{FOLDER} --data-root {text} | class_03/1.png
{FOLDER} --data-root {empty} | class_03/1.png; replace or remove
{FOLDER} --data-root {no images} | no image
{FOLDER} --data-root {one without} | class_99 holds no image; take it away
{FOLDER} --data-root {no folders} | class
{CUB} --data-root {broken cub} | cub200_2010.zip; zip
{CUB} --data-root {small cub} | 3 classes; 200
{CUB} --data-root {t} | cub200_2010.zip
{CUB} --data cub200_2010@half --data-root {small cub} | cub200_2010
{FOLDER} --data folder:../../d --data-root {2 classes} | 'folder:../../d'; --data-root
{FOLDER} --data folder:birds --data-root {t} | birds; --data-root
{FOLDER} --data folder:birds --data-root {torn birds} | birds.zip; zip
--data folder --backbone smallnet --data-root {t} | smallnet
--weights {t}/no.pth | no such file
--weights {t} | no such file; smallnet
--weights {list} | not a state dict
--weights {other net} | not of smallnet
--weights {code} | weights_only
--weights {torn weights} | w.pt; weights_only; expected a state dict of smallnet
--weights {no weights} | w.pth; expected a state dict of smallnet
--weights {file} | file; expected a state dict
--backbone resnet18 --weights {SHIPPED} | not of resnet18; missing
--pack {t}/no/runs.zip | --pack; no folder
--pack {t} | --pack; name of a file
--pack-size small | --pack-size; MiB; small
--pack-size 0 | --pack-size; above 0
--pack-size inf | --pack-size; MiB
--unpack '' | --unpack is empty
--unpack {t}/no.zip | no.zip; no such file
--unpack '{broken cub}/cub200_2010.zip' | cub200_2010.zip; --pack; Nothing was unpacked
--unpack '{small cub}/cub200_2010.zip' | cub200_2010/000.Bird/0.png; no file of a run
--unpack runs.zip --pack-size 3 | --unpack; --results; pack-size
--unpack {torn pack} | p.zip; copy it again; Nothing was unpacked
--unpack {empty pack} | p.zip; holds no run
{REPORT} {no columns} | verdicts.csv; no column claimed, effect, high; reproduce
{REPORT} {torn table} | recall_x.csv; torn; reproduce
{REPORT} {torn notebook} | 60_retrieval.ipynb; torn; --only 60_retrieval
{REPORT} {folder notebook} | 60_retrieval.ipynb
{REPORT} {folder table} | verdicts.csv
{REPORT} {folder figure} | 60_retrieval.png is a folder; move it away
{REPORT} {folder report} | report.html is a folder; move it away
{REPORT} {folder study} | study.json is a folder; move it away
check --dat x | --dat; Did you mean '--data'?; check --help
check --weights '' | --weights is empty
compare {t} | compare --help
compare {t}/no {t} | is no folder; results/quick
compare {t} {t} | holds no study
compare {REFERENCE}/quick {REFERENCE} | two of a kind
compare {torn a} {b} | x.csv; cannot be read as a table; reproduce
reproduce | PATH; reproduce --help
reproduce {ROOT}/README.md | README.md; give one that is there, as in
reproduce {REFERENCE}/quick/tables/reall.csv | unknown table of quick 'reall'
reproduce '{torn s}/figures/60_x.png' | 60_x.ipynb is torn; --only 60_x
reproduce {unrun} | 60_x; how it was executed; --only 60_x
""".strip().splitlines()


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
    command, _, words = case.rpartition(" | ")
    (tmp_path / "in").mkdir()
    made = {name: str(MADE[name](tmp_path / "in")) for name in re.findall(r"{([^}]+)}", command)}
    options = shlex.split(re.sub(r"{([^}]+)}", lambda m: made[m[1]], command))
    own = options[0] in cli.COMMANDS or "--results" in options
    options = options if own else [*options, "--results", str(tmp_path / "results")]
    before = snapshot(tmp_path)
    assert cli.main(options) == 2
    err = capsys.readouterr().err.strip().splitlines()
    err = [line for line in err if "it/s" not in line and "s/it" not in line]  # a progress bar's
    assert len(err) == 1 and err[0].startswith("error: "), err
    assert all(word in err[0] for word in words.split("; ")), err
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
