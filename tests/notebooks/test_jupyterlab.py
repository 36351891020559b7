"""The notebooks in JupyterLab, as a reader has them: open, run all, move a slider, see it change.

One JupyterLab on copies of the notebooks (profile smoke, a results folder of its own) and one
headless Chromium serve all tests; neither touches the network or the user's settings. The tests
skip where Chromium is not installed.
"""

import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import pytest
from chromium import Browser, find, stop, wait_for

REPO = Path(__file__).parents[2]
NOTEBOOKS = sorted((REPO / "notebooks").glob("*.ipynb"))
START, RUN = 60, 240  # seconds at most: for server, page or kernel; for all cells of a notebook
SLIDERS = "20_score_distributions"  # the notebook with a slider named "threshold"
# tests/pipeline executes every notebook by papermill; PDDM_LAB=all opens them all here as well

needs = [m for m in ("jupyterlab", "websocket", "ipywidgets") if not importlib.util.find_spec(m)]
if not find():
    needs.append("Chromium (on PATH, or its path in CHROMIUM)")
pytestmark = pytest.mark.skipif(bool(needs), reason=f"not installed: {', '.join(needs)}")

TOY = """
import io
import ipywidgets as widgets
from matplotlib.figure import Figure

def draw(threshold):
    fig = Figure(figsize=(3, 2))
    fig.subplots().axvline(threshold)
    out = io.BytesIO()
    fig.savefig(out, format="png")
    return out.getvalue()

slider = widgets.FloatSlider(0, min=-1, max=1, step=0.1, description="threshold")
image = widgets.Image(value=draw(slider.value))
slider.observe(lambda change: setattr(image, "value", draw(change["new"])), "value")
widgets.VBox([slider, image])
"""


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def copies(folder: Path) -> None:
    """The notebooks, and two small ones of this test, in `folder`, with results beside them."""
    folder.mkdir()
    for path in NOTEBOOKS:
        text = path.read_text(encoding="utf-8")
        for name, value in (("profile", "smoke"), ("results", f"{folder.parent}/results")):
            text, found = re.subn(rf'("{name}: str = )\\"\w*\\"', rf'\1\\"{value}\\"', text)
            assert found == 1, (path.name, name)
        for name, value in (("data", "synthetic_birds"), ("options", "variants=")):  # less to train
            text, found = re.subn(rf'("{name}: list\[str\] = )\[\]', rf'\1[\\"{value}\\"]', text)
            assert found == 1, (path.name, name)
        (folder / path.name).write_text(text, encoding="utf-8")
    for name, cells in (("toy", ["1 + 1", TOY]), ("broken", ["1 / 0", "2"])):
        nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
        nb.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
        nbformat.write(nb, folder / f"{name}.ipynb")


def serve(folder: Path, home: Path, port: int) -> subprocess.Popen:
    """JupyterLab on `folder`, with neither token, settings nor kernels of the user's own."""
    places = ("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    environment = os.environ | {p: str(home / p.lower()) for p in places}
    environment |= {"PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1", "PDDM_BATCH": "1"}
    options = [
        f"--ServerApp.root_dir={folder}",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        "--IdentityProvider.token=",
        "--ServerApp.allow_root=True",
        "--LabApp.expose_app_in_browser=True",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
    ]
    for place in places:
        (home / place.lower()).mkdir(parents=True)
    quiet = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    (home / "jupyter_config_dir" / "labconfig").mkdir()
    (home / "jupyter_config_dir" / "labconfig" / "page_config.json").write_text(
        json.dumps(quiet), encoding="utf-8"
    )
    with open(home / "jupyterlab.log", "wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", *options],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def answers(address: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        return opener.open(f"{address}/api/status", timeout=5).status == 200
    except (urllib.error.URLError, OSError):
        return False


def working_in(folder: Path) -> list[str]:
    """Processes whose working directory lies in `folder`, as a kernel's does (Linux alone)."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if link.readlink().is_relative_to(folder):
                found.append(link.parent.name)
        except OSError:  # ended meanwhile, or another user's
            continue
    return found


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A page in a browser, with JupyterLab's address in `lab.address`."""
    base = tmp_path_factory.mktemp("lab")
    copies(base / "notebooks")
    port = free_port()
    server = serve(base / "notebooks", base / "home", port)
    try:
        address = f"http://127.0.0.1:{port}"
        said = f"JupyterLab at {address}; see {base / 'home' / 'jupyterlab.log'}"
        wait_for(lambda: answers(address) or server.poll() is not None, START, said)
        assert server.poll() is None, (base / "home" / "jupyterlab.log").read_text(
            encoding="utf-8"
        )[-2000:]
        with Browser(base) as page:
            page.address = address
            yield page
    finally:
        stop(server, 30)  # it ends its kernels, which are process groups of their own
        wait_for(lambda: not working_in(base), 30, "kernels left behind")


PANEL = "window.panel"  # the open notebook
SESSION = f"{PANEL}?.context?.sessionContext?.session"
SHUT_DOWN = "jupyterapp.serviceManager.sessions.shutdownAll().then(() => 0)"


def run_all(page: Browser, name: str) -> list[dict]:
    """Open a notebook by its address, run all its cells by JupyterLab's own command; its cells."""
    page.open(f"{page.address}/lab/tree/{name}.ipynb?reset")
    shown = "[...(window.jupyterapp?.shell?.widgets('main') ?? [])]"
    this = f"{shown}.find(w => w.context?.path === '{name}.ipynb')"
    page.wait(f"(window.panel = {this}) !== undefined", START, f"{name} is not shown")
    page.js("jupyterapp.shell.activateById(panel.id)")
    current = "jupyterapp.shell.currentWidget === panel"
    page.wait(current, START, f"{name} is not in front")
    page.wait(f"{SESSION}?.kernel?.status === 'idle'", START, f"{name}: its kernel is not idle")
    page.js(
        "window.ran = 0; jupyterapp.commands.execute('notebook:run-all-cells')"
        ".finally(() => { window.ran = 1; }); 0"
    )
    page.wait("window.ran", RUN, f"{name}: its cells are still running")
    pending = f"[...{PANEL}.node.querySelectorAll('.jp-InputPrompt')]"
    page.wait(f"!{pending}.some(p => p.textContent.includes('*'))", START, f"{name}: a cell waits")
    return page.js(f"{PANEL}.content.model.sharedModel.toJSON()")["cells"]


def errors(cells: list[dict]) -> list[str]:
    outputs = [o for c in cells for o in c.get("outputs", [])]
    return [f"{o['ename']}: {o['evalue']}" for o in outputs if o["output_type"] == "error"]


def unrun(cells: list[dict]) -> list[str]:
    """Sources of code cells that were not executed."""
    return [
        "".join(c["source"])
        for c in cells
        if c["cell_type"] == "code" and "".join(c["source"]).strip() and not c["execution_count"]
    ]


def move_slider(page: Browser, label: str, cells: int) -> None:
    """Press ArrowRight on the slider whose label holds `label`: its cell's figure must change."""
    box = (
        f"[...{PANEL}.node.querySelectorAll('.widget-slider')]"
        f".find(s => s.querySelector('.widget-label')?.textContent.includes('{label}'))"
    )
    for n in range(cells):  # JupyterLab draws cells when they come into view
        page.js(f"{PANEL}.content.activeCellIndex = {n}")
        page.js(f"{PANEL}.content.scrollToItem({n}).then(() => 0)")
        if page.js(f"{box} !== undefined"):
            break
    page.wait(f"(window.slider = {box}?.querySelector('.noUi-handle')) != null", START, "no slider")
    pictures = "[...slider.closest('.jp-Cell').querySelectorAll('.jp-OutputArea img')]"
    drawn = f"{pictures}.length > 0 && {pictures}.every(i => i.complete && i.naturalWidth > 0)"
    page.wait(drawn, START, "no figure beside the slider")
    sources = f"{pictures}.map(i => i.src).join()"  # data: or blob: addresses
    readout = "slider.closest('.widget-slider').querySelector('.widget-readout').textContent"
    value = page.js(f"window.before = {sources}; {readout}")
    page.click("slider")
    page.js("slider.focus()")
    for _ in range(3):
        page.press("ArrowRight")
    page.wait(f"{readout} !== '{value}'", START, f"slider '{label}' stays at {value}")
    page.wait(f"{drawn} && {sources} !== before", START, f"no figure changed with '{label}'")


def test_a_slider_moves_a_figure(lab, tmp_path):
    cells = run_all(lab, "toy")
    assert errors(cells) == [] and unrun(cells) == []
    move_slider(lab, "threshold", len(cells))
    assert lab.screenshot(tmp_path / "toy.png").stat().st_size > 10_000


def test_an_error_in_a_cell_is_seen(lab):
    cells = run_all(lab, "broken")
    assert errors(cells) == ["ZeroDivisionError: division by zero"]
    assert unrun(cells) == ["2"]


@pytest.mark.parametrize("name", [p.stem for p in NOTEBOOKS])
def test_runs_to_its_end(lab, name, tmp_path):
    if name != SLIDERS and os.environ.get("PDDM_LAB") != "all":
        pytest.skip("PDDM_LAB=all opens every notebook in JupyterLab")
    cells = run_all(lab, name)
    assert errors(cells) == [] and unrun(cells) == []
    lab.screenshot(tmp_path / f"{name}.png")
    if name == SLIDERS:
        if "widgets" not in (REPO / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"):
            pytest.skip(f"{name} ran, but has no slider yet")
        move_slider(lab, "threshold", len(cells))
        lab.screenshot(tmp_path / f"{name}_moved.png")
    lab.js(SHUT_DOWN)


def test_without_a_browser_or_a_server_it_fails_in_time(tmp_path):
    with pytest.raises(AssertionError, match="not within 0 s: the sky to fall"):
        wait_for(lambda: False, 0.2, "the sky to fall")
    sleeper = subprocess.Popen(["sleep", "600"], start_new_session=True)
    stop(sleeper)
    assert sleeper.returncode is not None
    assert not shutil.which("no-such-browser")
