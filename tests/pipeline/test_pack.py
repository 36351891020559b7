"""Runs on their way from one results folder to another: whole, checked, or not taken at all."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from pddm_lite.networks import backbones
from pddm_lite.pipeline import cli, pack
from pddm_lite.pipeline import options as pipeline_options
from pddm_lite.store.errors import UserError
from pddm_lite.store.store import Store
from pddm_lite.training.runs import run_id
from pddm_lite.training.study import Study

ROOT = Path(__file__).parents[2]
SMOKE = dict(profile="smoke", data=["synthetic_birds"], methods=["Triplet"], seeds=[0, 1],
             variants=[], device="cpu")  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study of two runs, made."""
    study = Study.of(**SMOKE, results=str(tmp_path_factory.mktemp("made")))
    study.runs()
    return study


@pytest.fixture
def packed(study, tmp_path):
    (file,), n, total = pack.pack(study, tmp_path / "runs.zip", 2**24)
    assert (n, total) == (2, 2)
    return file


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    files = (p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def ids(study):
    return sorted(run_id(e, study.load(e.data)) for e in study.experiments())


def rewritten(file: Path, change) -> Path:
    """The pack with its members, a dict of name -> bytes, changed."""
    with zipfile.ZipFile(file) as z:
        members = {name: z.read(name) for name in z.namelist()}
    change(members)
    with zipfile.ZipFile(file, "w") as z:
        for name, data in members.items():
            z.writestr(zipfile.ZipInfo(name), data)
    return file


def test_what_is_packed_is_unpacked(study, packed, tmp_path):
    store = Store(tmp_path / "there" / "runs")
    found = pack.unpack([packed], store)
    assert found.taken == ids(study) and found.there == [] and found.refused == {}
    assert found.here == 2
    assert contents(store.folder) == contents(Path(study.results) / "runs")
    stamps = {p: p.stat().st_mtime_ns for p in store.folder.rglob("*")}
    again = pack.unpack([packed, packed], store)
    assert again.there == ids(study) and again.taken == [] and again.here == 2
    assert {p: p.stat().st_mtime_ns for p in store.folder.rglob("*")} == stamps
    assert os.stat(store.path(ids(study)[0])).st_mode & 0o777 == 0o777 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_the_same_runs_give_the_same_bytes(study, packed, tmp_path):
    os.utime(next(Path(study.results).glob("runs/*/manifest.json")))
    (again,), *_ = pack.pack(study, tmp_path / "again.zip", 2**24)
    assert again.read_bytes() == packed.read_bytes()


def test_what_does_not_fit_is_split_between_runs(study, packed, tmp_path):
    whole = packed.stat().st_size
    (one,), *_ = pack.pack(study, tmp_path / "exact.zip", whole)
    assert one.stat().st_size == whole
    for most in (whole - 1, 1):  # the least: a run a file, whatever its size
        files, n, _ = pack.pack(study, tmp_path / "part.zip", most)
        assert n == 2 and [f.name for f in files] == ["part-1.zip", "part-2.zip"]
        assert most == 1 or all(f.stat().st_size <= most for f in files)
    holds = [{n.partition("/")[0] for n in zipfile.ZipFile(f).namelist()} for f in files]
    assert holds == [{"study.json", ids(study)[0]}, {ids(study)[1]}]
    assert not (tmp_path / "part.zip").exists()
    store = Store(tmp_path / "runs")
    assert pack.unpack(files[1:], store).draw == ""
    found = pack.unpack(files, store)
    assert found.taken == ids(study)[:1] and found.there == ids(study)[1:] and found.draw


def test_runs_that_are_missing_or_torn_are_not_packed(study, tmp_path):
    own = Study.of(**SMOKE, results=str(tmp_path / "r"))
    with pytest.raises(UserError, match="none of the study's 2 runs") as error:
        pack.pack(own, tmp_path / "a.zip", 2**24)
    assert "\n" not in str(error.value) and not (tmp_path / "a.zip").exists()
    shutil.copytree(Path(study.results) / "runs", tmp_path / "r" / "runs")
    torn = tmp_path / "r" / "runs" / ids(study)[0] / "metrics.json"
    torn.write_text("{}", encoding="utf-8")
    (file,), n, total = pack.pack(own, tmp_path / "a.zip", 2**24)
    assert (n, total) == (1, 2)
    # and a torn run in the store is replaced by the sound one of a pack
    (file,), *_ = pack.pack(study, tmp_path / "b.zip", 2**24)
    found = pack.unpack([file], Store(tmp_path / "r" / "runs"))
    assert found.taken == ids(study)[:1] and found.there == ids(study)[1:]
    assert contents(tmp_path / "r" / "runs") == contents(Path(study.results) / "runs")


SQUEEZED = zipfile.ZipInfo("0123456789abcdef/metrics.json")
SQUEEZED.compress_type = zipfile.ZIP_DEFLATED


@pytest.mark.parametrize(
    ("member", "said"),
    [
        ("../evil.json", "no file of a run"),
        ("/tmp/evil.json", "no file of a run"),
        ("C:/evil.json", "no file of a run"),
        ("0123456789abcdef/../../evil.json", "no file of a run"),
        ("0123456789abcdef\\evil.json", "no file of a run"),
        ("0123456789abcdef/deep/evil.json", "no file of a run"),
        ("0123456789abcdef/", "no file of a run"),
        ("0123456789abcdef/evil.py", "no file of a run"),
        ("0123456789abcdef/.hidden.json", "no file of a run"),
        ("0123456789abcdef/a.json\n", "no file of a run"),
        ("evil.json", "no file of a run"),
        ("runs/evil.json", "no file of a run"),
        (SQUEEZED, "compressed"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_no_file_of_a_run_is_refused(packed, member, said, tmp_path):
    with zipfile.ZipFile(packed, "a") as z:
        z.writestr(member, "evil")
    before = contents(tmp_path)
    with pytest.raises(UserError, match=said) as error:
        pack.unpack([packed], Store(tmp_path / "runs"))
    assert "\n" not in str(error.value) and str(packed) in str(error.value)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "harm",
    [
        lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]),
        lambda p: p.write_bytes(p.read_bytes()[:-1]),
        lambda p: p.write_bytes(b""),
        lambda p: p.write_bytes(b"PK no zip"),
        lambda p: p.unlink(),
        lambda p: (p.unlink(), p.mkdir()),
    ],
    ids=["half", "a byte short", "empty", "no zip", "missing", "folder"],
)
def test_a_torn_file_is_one_line_and_nothing_is_taken(study, packed, harm, tmp_path):
    (sound,), *_ = pack.pack(study, tmp_path / "sound.zip", 2**24)
    harm(packed)
    with pytest.raises(UserError) as error:
        pack.unpack([sound, packed], Store(tmp_path / "runs"))
    assert "\n" not in str(error.value) and str(packed) in str(error.value)
    assert not (tmp_path / "runs").exists()


def put(name, data):
    return lambda members, i: members.update({f"{i}/{name}": data})


@pytest.mark.parametrize(
    "harm",
    [
        put("metrics.json", b"{}"),
        put("manifest.json", b"{"),
        put("manifest.json", b"[]"),
        put("manifest.json", b'{"id": 1}'),
        put("more.json", b"{}"),
        lambda members, i: members.pop(f"{i}/metrics.json"),
        lambda members, i: members.pop(f"{i}/manifest.json"),
        lambda members, i: members.update(  # another run under this one's id
            {i + n[16:]: d for n, d in members.items() if n[:16] not in (i, "study.json")}
        ),
    ],
    ids=["edited", "torn manifest", "list", "short manifest", "more", "less", "none", "another"],
)  # fmt: skip
def test_a_harmed_run_is_named_and_the_others_are_taken(study, packed, harm, tmp_path, capsys):
    first, second = ids(study)
    rewritten(packed, lambda members: harm(members, first))
    results = tmp_path / "r"
    assert cli.main(["--unpack", str(packed), "--results", str(results)]) == 1
    out, err = capsys.readouterr()
    assert first in err and len(err.strip().splitlines()) == 1
    assert "1 runs taken, 0 already there, 1 refused" in out
    assert os.listdir(results / "runs") == [second] and Store(results / "runs").has(second)


def test_runs_of_another_version_of_the_code_are_counted(packed, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(pack, "source_hash", lambda *modules: "of another version")
    assert cli.main(["--unpack", str(packed), "--results", str(tmp_path / "r")]) == 0
    assert "0 belong to this version of the code, 2 to another" in capsys.readouterr().out


COMMANDS = [
    {},
    {"profile": "smoke", "data": ["synthetic_birds"], "seeds": [0, 1, 2], "name": "mine"},
    {"mode": "finetune", "settings": ["alpha=0.2", "steps=50"], "variants": ["all"]},
    {"data": ["cub200_2010"], "data_root": "/there/data", "backbone": "mobilenet_v2",
     "weights": "there.pth", "recipe": "letter", "methods": ["Triplet", "PDDM score"]},
    {"data": ["folder:mine"], "data_root": "/there", "backbone": "smallnet", "weights": "none"},
    {"profile": "paper", "backbone": "resnet18", "weights": "imagenet", "variants": []},
]  # fmt: skip


@pytest.mark.parametrize("given", COMMANDS)
def test_the_command_that_draws_is_that_of_the_study(given, tmp_path):
    if given.get("weights") == "there.pth":
        given = {**given, "weights": tmp_path / "there.pth"}
        given["weights"].touch()
    study = Study.of(**given)
    about = json.dumps(pack._about(study))
    assert "there" not in about  # no place of the other machine
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as z:
        z.writestr("study.json", about)
    words = shlex.split(pack.unpack([tmp_path / "p.zip"], Store(tmp_path)).draw)
    assert words[:2] == ["python", "run_all.py"]
    args = pipeline_options.parser().parse_args(words[2:])
    drawn = pipeline_options.study_of(args)
    assert args.stage == "notebooks,report" and drawn.name == study.name
    want = study.content()
    if want["weights"] == "there.pth":
        want["weights"] = "FILE"
    assert drawn.content() == want
    assert args.data_root == ("DIR" if "data_root" in given else "")


@pytest.mark.parametrize(
    "about", [b"", b"3", b"{}!", b'{"x": 1}', b'{"data": 3}', b'{"profile": "huge"}',
              b'{"data": ["folder:\\u001b[2J"], "backbone": "resnet18"}', b'{"data": [1]}']
)  # fmt: skip
def test_a_study_that_cannot_be_read_is_said_and_the_runs_are_taken(packed, about, tmp_path):
    rewritten(packed, lambda members: members.update({"study.json": about}))
    found = pack.unpack([packed], Store(tmp_path / "runs"))
    assert len(found.taken) == 2 and found.draw.startswith(("unknown: ", "not by this version"))
    assert found.draw.isprintable()


def test_a_run_of_the_same_weights_at_another_place_is_found(tmp_path, capsys):
    options = ["--profile", "smoke", "--data", "synthetic_birds", "--methods", "Triplet", "--seeds",
               "0,1", "--variants", "none", "--results", str(tmp_path / "r")]  # fmt: skip

    def explained(weights, *more):
        words = ["--weights", str(tmp_path / weights), "--explain", "--stage", "runs", *more]
        assert cli.main([*options, *words]) == 0
        return capsys.readouterr().out

    for place in ("a.pt", "b.pt", "c.pt"):
        shutil.copyfile(backbones.SHIPPED, tmp_path / place)
    made = Study.of(**SMOKE, weights=tmp_path / "a.pt", results=tmp_path / "there")
    made.runs()
    pack.pack(made, tmp_path / "p.zip", 2**24)
    assert cli.main(["--unpack", str(tmp_path / "p.zip"), "--results", str(tmp_path / "r")]) == 0
    (tmp_path / "a.pt").unlink()  # it is on the other machine
    assert explained("b.pt").count("in the store") == 2
    # other weights are other runs, and of their settings none changed
    state = torch.load(tmp_path / "c.pt", weights_only=True)
    name = next(k for k, v in state.items() if v.is_floating_point())
    state[name] = state[name] + 1
    torch.save(state, tmp_path / "c.pt")
    assert "the weights file changed" in explained("c.pt")
    assert "settings changed: alpha" in explained("b.pt", "--set", "alpha=0.3")


BLOCK = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0].startswith(
            ("papermill", "nbformat", "nbclient", "nbconvert", "jupyter", "IPython", "ipykernel",
             "traitlets", "ipywidgets")
        ):
            raise ImportError(f"{name} is not on this machine")

sys.meta_path.insert(0, Block())
"""


def test_runs_of_a_machine_without_notebooks_draw_the_same_figures_here(tmp_path, capsys):
    """There: data and runs, nothing of Jupyter installed. Here: the notebooks, from the pack."""
    block = tmp_path / "block"
    block.mkdir()
    (block / "sitecustomize.py").write_text(BLOCK, encoding="utf-8")
    options = ["--profile", "smoke", "--data", "synthetic_birds", "--seeds", "0", "--variants",
               "none", "--methods", "Triplet,PDDM+Quadruplet", "--jobs", "1"]  # fmt: skip

    def without(*words):
        env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(block)}
        done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True,
                              env=env, encoding="utf-8")  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    code, said = without("-c", "import nbformat")
    assert code == 1 and "not on this machine" in said
    there, here, file = (str(tmp_path / n) for n in ("there", "here", "runs.zip"))
    code, said = without("run_all.py", *options, "--results", there, "--stage", "data,runs",
                         "--pack", file)  # fmt: skip
    assert code == 0 and "2 of 2 runs" in said, said
    assert cli.main(["--unpack", file, "--results", here]) == 0
    assert "2 runs taken" in capsys.readouterr().out
    for results in (there, here):
        assert cli.main([*options, "--results", results, "--stage", "runs,notebooks",
                         "--only", "60_retrieval"]) == 0  # fmt: skip
        assert "2 in the store, 0 to make" in capsys.readouterr().out
    drawn = [
        {name: data for name, data in contents(Path(results) / "smoke-synthetic_birds").items()
         if name.endswith((".png", ".svg", ".csv"))}
        for results in (there, here)
    ]  # fmt: skip
    assert drawn[0] == drawn[1] and {Path(n).suffix for n in drawn[0]} == {".png", ".svg", ".csv"}
