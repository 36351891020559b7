"""Text is UTF-8 wherever the kit runs: no call leaves it to the locale, and no terminal ends it."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from trees import unpacked

ROOT = Path(__file__).parents[2]
NAME = "結果 ä"  # of a folder
# everything that is read and written without a pool of processes, whose filters would be others
CORE = """
import importlib, pkgutil, sys, warnings
warnings.filterwarnings("error", category=EncodingWarning, module="pddm_lite")
import pddm_lite
for module in pkgutil.walk_packages(pddm_lite.__path__, "pddm_lite."):
    if not module.name.endswith(("__main__", "interop")):
        importlib.import_module(module.name)
import pandas as pd
from matplotlib.figure import Figure
from pddm_lite.paper import drawing, wording
from pddm_lite.pipeline import cli
from pddm_lite.training.study import Study
words = ["--profile", "smoke", "--data", "synthetic_birds", "--methods", "Triplet", "--seeds", "0"]
words += ["--variants", "none", "--results", sys.argv[1]]
study = cli.study_of(cli.parser().parse_args(words))
runs = study.runs()
frame = pd.DataFrame({"class": ["鳥", "Müller"], "R@1": [1.0, 2.0]})
drawing.save(Figure(), frame, study, "60_retrieval", runs)
wording.save_table(frame, study, "recall_synthetic_birds")
for more in (["--stage", "data,runs"], ["--explain"], ["--list"]):
    assert cli.main([*words, *more]) == 0
(study.folder / "study.json").unlink()
assert cli.main([*words, "--stage", "data,report"]) == 0
assert cli.main(["check", "--results", sys.argv[1]]) == 0
assert cli.main([*words, "--data", "鳥"]) == 2
print(sys.stdout.encoding, study.folder)
"""


def environments(folder: Path) -> dict[str, dict[str, str]]:
    latin = {"LC_ALL": "C"}  # where no Latin-1 locale can be made: ASCII, which is stricter
    made = folder / "en_US.ISO-8859-1"
    if shutil.which("localedef"):
        words = ["localedef", "-i", "en_US", "-f", "ISO-8859-1", str(made)]
        if not subprocess.run(words, capture_output=True).returncode:
            latin = {"LC_ALL": made.name, "LOCPATH": str(folder)}
    return {
        "utf-8": {"PYTHONUTF8": "1"},
        "latin-1": {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", **latin},
        "ascii": {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"},
        "cp1252": {"PYTHONIOENCODING": "cp1252"},
    }


@pytest.mark.parametrize("name", ["utf-8", "latin-1", "ascii", "cp1252"])
def test_the_core_runs_in_any_locale_and_on_any_terminal(name, tmp_path):
    env = {**os.environ, "PYTHONWARNDEFAULTENCODING": "1", "PYTHONPATH": str(ROOT)}
    env |= environments(tmp_path)[name]
    folder, script = tmp_path / NAME, tmp_path / "core.py"
    script.write_text(CORE, encoding="utf-8")  # as every source file; -c goes by the locale
    done = subprocess.run(
        [sys.executable, script, os.fsencode(folder)], cwd=ROOT, env=env, capture_output=True
    )
    out, err = (b.decode("latin-1") for b in (done.stdout, done.stderr))
    assert done.returncode == 0, out + err
    assert "Traceback" not in err  # other packages' warnings are theirs to mend
    study = folder / "smoke-synthetic_birds"
    text = (study / "tables" / "recall_synthetic_birds.csv").read_text(encoding="utf-8")
    assert text == "class,R@1\n鳥,1.0\nMüller,2.0\n"
    assert "<td>鳥</td>" in (study / "report.html").read_text(encoding="utf-8")
    encoding = out.splitlines()[-1].split()[0].lower()
    assert encoding.startswith(("iso", "ascii", "ansi") if name in ("latin-1", "ascii") else name)


FIRST = {  # commands whose first line has a path
    "run_all": ["run_all.py", "--stage", "report", "--dry-run", "--results"],
    "data": ["-m", "pddm_lite.data", "stats", "folder", "--data-root"],
}


@pytest.mark.parametrize("command", FIRST)
def test_a_commands_first_line_goes_to_any_terminal(command, tmp_path):
    names = [f"{c}/{n}.png" for c in ("ant", "bee") for n in range(4)]
    folder = unpacked(tmp_path / NAME, names)
    done = subprocess.run(
        [sys.executable, *FIRST[command], folder], cwd=ROOT, capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    out, err = (b.decode("cp1252") for b in (done.stdout, done.stderr))
    assert done.returncode == 0 and not err, out + err
    assert "\\u7d50\\u679c ä" in out.splitlines()[0]


def test_every_command_escapes_what_its_terminal_lacks():
    commands = [ROOT / "pddm_lite" / "pipeline" / "cli.py"]
    for path in sorted((ROOT / "pddm_lite").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "__main__" in text and "run_module" not in text:  # the old names run the new
            commands.append(path)
    assert len(commands) >= 5
    for path in commands:
        calls = [n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call)]
        assert "escape_letters" in {getattr(c.func, "id", "") for c in calls}, path


def unnamed(source: str) -> list[int]:
    """Lines of calls that open text in the locale's encoding."""
    found = []
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call):
            continue
        f, given = call.func, {k.arg: k.value for k in call.keywords}
        name = f.attr if isinstance(f, ast.Attribute) else getattr(f, "id", "")
        if "encoding" in given or None in given:
            continue
        if isinstance(f, ast.Attribute) and name == "read_text" and not call.args:
            found.append(call.lineno)
        elif isinstance(f, ast.Attribute) and name == "write_text" and len(call.args) == 1:
            found.append(call.lineno)
        elif isinstance(f, ast.Name) and name == "open":
            mode = given.get("mode", call.args[1] if len(call.args) > 1 else ast.Constant("r"))
            if not any("b" in c.value for c in ast.walk(mode) if isinstance(c, ast.Constant)):
                found.append(call.lineno)
        elif name in ("run", "Popen", "check_output") and {"text", "universal_newlines"} & {*given}:
            found.append(call.lineno)
    return found


def test_every_call_names_its_encoding():
    faults = []
    files = [ROOT / "run_all.py"]
    for folder in ("pddm_lite", "benchmarks", "tests"):
        files += sorted((ROOT / folder).rglob("*.py"))
    for path in files:
        faults += [f"{path.relative_to(ROOT)}:{n}" for n in unnamed(path.read_text("utf-8"))]
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        for cell in cells:
            if cell["cell_type"] == "code":
                faults += [f"{path.name}: {n}" for n in unnamed("".join(cell["source"]))]
    assert faults == []


def test_what_names_none_is_found():
    for line in (
        "p.read_text()",
        "p.write_text(x)",
        "open(p)",
        "open(p, 'w')",
        "run(x, text=True)",
    ):
        assert unnamed(line) == [1]
    for line in ("p.read_text('utf-8')", "open(p, 'rb')", "open(p, encoding='utf-8')", "run(x)"):
        assert unnamed(line) == []
