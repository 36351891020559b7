"""The two ways to install agree, and the files around the package keep their promises."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[1]
PIP_NAME = {"pytorch": "torch"}  # where conda-forge and pip differ
ENVIRONMENT = (ROOT / "environment.yml").read_text(encoding="utf-8")
CONDA = yaml.safe_load(ENVIRONMENT)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

# Written in halves: this file is searched as well.
REGISTRY_HOSTS = [
    "pypi" + ".org",
    "python" + "hosted.org",
    "pypi" + ".nvidia.com",
    "download.pytorch" + ".org/whl",
    "anaconda" + ".org",
    "anaconda" + ".com",
    "registry.npmjs" + ".org",
]


def conda_ranges() -> dict[str, SpecifierSet]:
    ranges = {}
    for line in CONDA["dependencies"]:
        if isinstance(line, str):
            name, _, versions = line.partition(" ")
            ranges[PIP_NAME.get(name, name)] = SpecifierSet(versions)
    return ranges


def pip_ranges() -> dict[str, SpecifierSet]:
    lines = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]
    return {r.name: r.specifier for r in map(Requirement, lines)}


def git(*args: str) -> list[str]:
    """NUL-separated paths that git prints; skips the test outside a git checkout."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    out = subprocess.run(
        ["git", *args], cwd=ROOT, capture_output=True, text=True, check=True, encoding="utf-8"
    )
    return [path for path in out.stdout.split("\0") if path]


def test_conda_and_pip_name_the_same_packages_and_ranges():
    conda = conda_ranges()
    assert conda.pop("python") == SpecifierSet(PROJECT["requires-python"])
    assert conda.pop("pip") == SpecifierSet("")
    assert len(conda) >= 12
    assert conda == pip_ranges()


# what a declared package brings and the kit imports too; plugins that the kit does without
BRINGS = {
    "jupyterlab": "IPython bleach jupyter_client mistune nbclient nbconvert nbformat packaging "
    "pygments traitlets",
    "jinja2": "markupsafe",
    "scikit-learn": "sklearn threadpoolctl",
    "torch": "triton",
    "pillow": "PIL pillow_avif pillow_heif",
}


def imported() -> set[str]:
    """Names of the packages of others that the kit, its notebooks and its benchmarks import."""
    sources = [p.read_text(encoding="utf-8") for p in ROOT.glob("pddm_lite/**/*.py")]
    sources += [p.read_text(encoding="utf-8") for p in ROOT.glob("benchmarks/*.py")]
    for path in ROOT.glob("notebooks/*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        sources += ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    found = set()
    for node in (n for source in sources for n in ast.walk(ast.parse(source))):
        if isinstance(node, ast.Import):
            found |= {a.name.partition(".")[0] for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    own = {"pddm_lite", *(p.stem for p in ROOT.glob("benchmarks/*.py"))}
    return found - own - set(sys.stdlib_module_names)


def test_what_is_imported_is_declared_and_what_is_declared_is_imported():
    needed = {Requirement(line).name for line in PROJECT["dependencies"]}
    extras = {Requirement(x).name for own in PROJECT["optional-dependencies"].values() for x in own}
    known = {d: {d.replace("-", "_"), *BRINGS.get(d, "").split()} for d in needed | extras}
    known["faiss-cpu"] = {"faiss"}
    assert imported() <= set().union(*known.values())
    assert {d for d in needed if not known[d] & imported()} == set()


def test_environment_is_conda_forge_in_ranges_without_builds():
    assert CONDA["name"] == PROJECT["name"]
    assert CONDA["channels"] == ["conda-forge", "nodefaults"]
    *conda, pip = CONDA["dependencies"]
    one = r"(>=|<|!=)\d+(\.\d+)*(\.\*)?"
    for line in conda:  # a pin or a build would need a "=" that this does not allow
        assert re.fullmatch(rf"[a-z0-9-]+( {one}(,{one})*)?", line), line
    assert pip == {"pip": ["-e ."]}


def test_every_line_of_the_environment_says_what_it_is_for():
    lines = ENVIRONMENT.split("dependencies:\n")[1].splitlines()
    silent = [s for s in lines if s.strip() != "- pip:" and not re.search(r"- .+ # \w", s)]
    assert silent == []


def test_no_file_names_a_package_registry():
    paths = git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    assert "tests/test_skeleton.py" in paths
    found = []
    for path in paths:
        if (ROOT / path).is_file():
            content = (ROOT / path).read_bytes()
            found += [(path, host) for host in REGISTRY_HOSTS if host.encode() in content]
    assert found == []


def test_git_ignores_all_results_but_the_reference():
    made = ["results/report.html", "results/runs/a/config.json"]
    kept = ["results/README.md", "results/reference/table1.csv", "pddm_lite/weights/a.pt"]
    ignored = subprocess.run(
        ["git", "check-ignore", "--no-index", *made, *kept],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    if ignored.returncode == 128:
        pytest.skip("not a git checkout")
    assert ignored.stdout.split() == made


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(
    ("target", "command"),
    [
        ("reproduce", "python run_all.py --explain"),
        ("test", "python -m pytest --explain"),
        ("lab", "python -m jupyter lab notebooks/00_start_here.ipynb --explain"),
    ],
)
def test_makefile_target_sets_up_and_ends_in_its_command(target, command):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    # -W: as if pyproject.toml had just changed, so that the set-up is part of the plan
    plan = ["make", "-n", "-W", "pyproject.toml", target, "ARGS=--explain"]
    out = subprocess.run(
        plan, cwd=ROOT, env=env, capture_output=True, text=True, check=True, encoding="utf-8"
    ).stdout
    lines = out.strip().splitlines()
    assert any("pip install" in line and "-e '.[test]'" in line for line in lines)
    assert lines[-1] == f".venv/bin/{command}"
    assert (
        lines.index("touch .venv/.installed")
        > [i for i, line in enumerate(lines) if "pip install" in line].pop()
    )


def test_ci_runs_the_command_of_the_readme():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "make test" in script.read_text(encoding="utf-8").splitlines()[-1]
