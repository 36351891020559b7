"""The notebooks' kernel: this Python's own, whatever is called python3 here, and a card if none."""

import json
import sys
from pathlib import Path

import nbformat
import pytest

from pddm_lite.pipeline import check, cli, notebooks

STUDY = ["--profile", "smoke", "--data", "synthetic_birds", "--methods", "Triplet", "--seeds", "0",
         "--variants", "none", "--stage", "notebooks"]  # fmt: skip


@pytest.fixture
def one(tmp_path, monkeypatch, here):
    """A folder of notebooks with one, which says which Python executes it."""
    parameters = nbformat.v4.new_code_cell('profile: str = "quick"  # scale')
    parameters.metadata["tags"] = ["parameters"]
    cell = nbformat.v4.new_code_cell("import sys, pddm_lite\nprint(sys.executable)")
    nb = nbformat.v4.new_notebook(cells=[parameters, cell])
    nb.metadata["language_info"] = {"name": "python"}
    folder = tmp_path / "notebooks"
    folder.mkdir()
    nbformat.write(nb, folder / "10_one.ipynb")
    monkeypatch.setattr(notebooks, "FOLDER", folder)
    return tmp_path / "r"


def foreign(folder: Path, monkeypatch) -> str:
    """A kernelspec python3 that Jupyter finds first, of a Python that is not there."""
    argv = [str(folder / "no" / "python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "Python 3", "language": "python"}
    path = folder / "jupyter" / "kernels" / "python3" / "kernel.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(spec), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(folder / "jupyter"))
    return spec["argv"][0]


def test_a_foreign_python3_is_passed_by_and_check_names_it(one, tmp_path, monkeypatch, capsys):
    other = foreign(tmp_path, monkeypatch)
    assert cli.main([*STUDY, "--results", str(one)]) == 0
    (executed,) = one.glob("*/notebooks/10_one.ipynb")
    assert sys.executable in executed.read_text(encoding="utf-8")
    said = check.kernel()
    assert "ipykernel" in said and other in said


@pytest.mark.parametrize("argv", [["{}/no/python"], [sys.executable, "-c", "raise SystemExit(3)"]])
def test_a_kernel_that_cannot_start_is_a_card(argv, one, tmp_path, monkeypatch, capsys):
    argv = [word.format(tmp_path) for word in argv]
    spec = {"argv": argv, "display_name": "Python 3", "language": "python"}
    monkeypatch.setattr("ipykernel.kernelspec.get_kernel_dict", lambda *a, **k: spec)
    assert cli.main([*STUDY, "--results", str(one)]) == 1
    err = capsys.readouterr().err
    assert "the kernel cannot start" in err and "run_all.py check" in err
    assert "10_one, start" in err and "Traceback" not in err
    assert cli.main(["check", "--results", str(one)]) == 1
    (line,) = [x for x in capsys.readouterr().out.splitlines() if "] kernel" in x]
    assert line.startswith("[FAIL] kernel: ") and "pip install" in line
