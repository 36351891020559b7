"""Batches beside each other, on a full disk, and what they show; killed ones: test_killed.py."""

import io
import json
import os
import subprocess
import sys
import time
from concurrent.futures import Executor, Future
from pathlib import Path

import nbformat
import pytest

from pddm_lite.pipeline import cached, cli, executors, live, notebooks, processes, summary
from pddm_lite.pipeline import options as pipeline_options
from pddm_lite.store import progress
from pddm_lite.store.files import alone
from pddm_lite.store.store import Store
from pddm_lite.training.runs import fit_or_load, run_id
from pddm_lite.training.study import Study

ROOT = Path(__file__).parents[2]
STUDY = ["--profile", "smoke", "--data", "synthetic_birds", "--methods", "Triplet", "--seeds", "0",
         "--variants", "none"]  # fmt: skip


def options(results: Path, *more: str) -> list[str]:
    return [*STUDY, "--results", str(results), *more]


def study(results: Path) -> Study:
    return Study.of(
        "smoke", ["synthetic_birds"], methods=["Triplet"], seeds=[0], variants=[],
        results=str(results),
    )  # fmt: skip


def outside(results: Path, *more: str, **how) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-u", str(ROOT / "run_all.py"), *options(results, *more)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how,
    )  # fmt: skip


# ------------------------------------------------------------------------ beside each other


def test_a_run_that_another_batch_makes_is_waited_for_and_not_made_twice(tmp_path):
    mine = study(tmp_path)
    (e,) = mine.experiments()
    data, store = mine.load(e.data), Store(tmp_path / "runs")
    identity = run_id(e, data)
    with store.alone(identity):
        batch = outside(tmp_path, "--stage", "runs", "--jobs", "1")
        for line in batch.stdout:
            if "1 are being made by another batch; waiting" in line:
                break
        fit_or_load(e, data, tmp_path, bar=False)
        made = (store.path(identity) / "manifest.json").stat().st_mtime_ns
        assert batch.poll() is None
    out, err = batch.communicate(timeout=120)
    assert batch.returncode == 0 and "1/1 Triplet" in out, err
    assert (store.path(identity) / "manifest.json").stat().st_mtime_ns == made
    assert store.ids() == [identity] == os.listdir(tmp_path / "runs")


def test_two_batches_draw_in_one_folder_one_after_the_other(tmp_path, capsys, here):
    folder = study(tmp_path).folder
    with alone(folder / ".lock"):
        # a lock belongs to an open file: a second opening is refused, in this process too
        assert cli.main(options(tmp_path, "--stage", "notebooks,report")) == 2
        err = capsys.readouterr().err
        assert f"another batch (process {os.getpid()} on " in err and "--name" in err
        assert err.count("\n") == 1
        assert cli.main(options(tmp_path, "--stage", "data,runs")) == 0  # draws nothing
    assert "1/1 Triplet" in capsys.readouterr().out
    with alone(folder / ".lock"):  # another study, another folder
        assert cli.main(options(tmp_path, "--stage", "report", "--name", "mine")) == 0


# ------------------------------------------------------------------------ torn, edited, forced


def test_what_was_torn_is_named_and_made_again_and_force_means_what_is_named(
    tmp_path, capsys, monkeypatch, here
):
    source = "from pathlib import Path\nfrom pddm_lite.store.files import write_text\n"
    source += "from pddm_lite.store.store import Store\n"
    results, own = tmp_path / "r", study(tmp_path / "r").folder
    source += f"write_text(Path({str(own)!r}) / 'tables' / 'a.csv', 'x\\n1\\n')\n"
    source += f"store = Store(Path({str(results)!r}) / 'cost')\n"
    source += "if not store.has('k'):\n    store.save('k', {'a.json': {}}, {})\n"
    parameters = nbformat.v4.new_code_cell('profile: str = "quick"  # scale')
    parameters.metadata["tags"] = ["parameters"]
    nb = nbformat.v4.new_notebook(cells=[parameters, nbformat.v4.new_code_cell(source)])
    nb.metadata["language_info"] = {"name": "python"}
    nbformat.write(nb, tmp_path / "10_good.ipynb")
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path)

    def run(*more):
        assert cli.main(options(results, *more)) == 0
        return capsys.readouterr().out

    assert "0 fresh, 1 to execute" in run()
    assert "1 fresh, 0 to execute" in run()
    table, copy = own / "tables" / "a.csv", own / "notebooks" / "10_good.ipynb"
    for path, said in (
        (table, "tables/a.csv was changed or torn"),
        (copy, "10_good.ipynb was changed or torn"),
        (results / "cost" / "k" / "a.json", "cost/k: a.json was changed or torn"),
    ):
        before = path.read_bytes()
        path.write_bytes(before[:-2] + b" ")
        assert said in run("--explain")
        path.write_bytes(before)
    copy.write_bytes(before[:-2])
    assert f"10_good: {own.name}/notebooks/10_good.ipynb was changed" in run("--stage", "notebooks")
    table.unlink()
    (features,) = (results / "features").glob("*.npy")
    before = features.read_bytes()
    features.write_bytes(before[:-1] + b"\x77")
    (run_made,) = (results / "runs").glob("*/manifest.json")
    stamp = run_made.stat().st_mtime_ns
    out = run("--only", "10_good", "--force")  # the notebook and not the runs
    assert f"{features.name} was changed or torn; made again" in out
    assert features.read_bytes() == before
    assert "1 in the store, 0 to make" in out and "10_good: executed" in out
    assert run_made.stat().st_mtime_ns == stamp and table.exists()
    assert "1 fresh, 0 to execute" in run()
    assert "0 in the store, 1 to make" in run("--only", "10_good", "--force", "--stage", "runs")
    assert run_made.stat().st_mtime_ns > stamp


def test_of_features_those_of_other_data_are_left_alone(tmp_path):
    for name in ("a-net-1.npy", "a+new-net-1.npy", "pixels-a-64.npy", "ab-net-1.npy"):
        (tmp_path / name).write_bytes(b"12")
    cached.seal(tmp_path, ["a"])
    assert len(list(tmp_path.glob("*.sha256"))) == 3
    cached.seal(tmp_path, ["ab"])
    for path in tmp_path.glob("*.npy"):
        path.write_bytes(b"13")
    assert len(cached.drop_harmed(tmp_path, ["a"])) == 3
    assert sorted(os.listdir(tmp_path)) == ["ab-net-1.npy", "ab-net-1.sha256"]


# ------------------------------------------------------------------------ full, read-only


def test_a_full_disk_ends_the_batch_with_one_line_and_it_goes_on(tmp_path, capsys):
    resource = pytest.importorskip("resource")  # not on Windows
    assert cli.main(options(tmp_path, "--stage", "data")) == 0
    kept = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    def no_file_above_10_kb():  # as a disk that is full, for this process and all below it
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    full = outside(tmp_path, "--stage", "data,runs", preexec_fn=no_file_above_10_kb)
    _, err = full.communicate(timeout=120)
    assert full.returncode == 2
    assert err.count("\n") == 1 and err.startswith("error: folder ") and "runs cannot be" in err
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == kept
    capsys.readouterr()
    assert cli.main(options(tmp_path, "--stage", "data,runs", "--jobs", "1")) == 0
    assert "1/1 Triplet" in capsys.readouterr().out


@pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_one_line(tmp_path, capsys):
    tmp_path.chmod(0o555)
    assert cli.main(options(tmp_path / "results")) == 2
    err = capsys.readouterr().err
    assert "cannot be written" in err and err.count("\n") == 1


# ------------------------------------------------------------------------ seen


def test_the_live_line_tells_done_elapsed_remaining_and_where_each_task_is(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    names = ["Triplet, birds, seed 0", "Triplet, birds, seed 1", "60_retrieval", "d"]
    shown = live.Live("runs", names, tmp_path, io.StringIO())
    shown._began = 100.0
    for name, bar in (
        (names[0], ("Triplet, birds, seed 0", 30, 60)),
        (names[2], ("cell", 3, 12)),
        (names[3], ("waits for process 7 on host", 0, 0)),
    ):
        monkeypatch.setenv("PDDM_STATUS", shown.status(name))
        progress.tell(*bar)
    shown.done, now[0] = 1, 100.0 + 70
    # 1 of 4 is done, a half and a quarter of two others: 1.75 of 4 in 70 s
    assert shown.line() == (
        "runs        1/4, 01:10 so far, 01:30 left; Triplet, birds, seed 0: 30/60; "
        "60_retrieval: cell 3/12; d: waits for process 7 on host"
    )
    assert [live.clock(s) for s in (0, 5.4, 754, 10921)] == ["00:00", "00:05", "12:34", "3:02:01"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_has_one_line_and_a_log_file_few(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    monkeypatch.setenv("COLUMNS", "30")
    said = {}
    for out in (Terminal(), io.StringIO()):
        now[0] = 0.0
        shown = live.Live("runs", ["a"], tmp_path, out)
        shown._began = 0.0
        for now[0] in range(1, 181):
            shown._tick()
        shown.print("a: done")
        said[out.isatty()] = out.getvalue()
    assert said[False].splitlines() == [
        *(f"runs        0/1, {m:02d}:00 so far" for m in (1, 2, 3)),
        "a: done",
    ]
    assert said[True].count("\n") == 1 and said[True].endswith("\ra: done\n")
    assert max(len(part) for part in said[True].split("\r")) < 30


def test_a_bar_in_a_batch_is_told_and_not_drawn(tmp_path, monkeypatch, capsys):
    status = tmp_path / "status"
    monkeypatch.setenv("PDDM_BATCH", "1")
    assert list(progress.progress(range(3), "silent")) == [0, 1, 2]
    monkeypatch.setenv("PDDM_STATUS", str(status))
    seen = []
    bar = progress.progress(range(5), "what", initial=0, total=5)
    bar.mininterval = 0
    for _ in bar:
        seen.append(status.read_text(encoding="utf-8"))
        bar.set_postfix_str("loss 1")
    assert seen[0] == "what\t0\t5" and seen[-1].startswith("what\t4")
    assert capsys.readouterr().out == ""
    monkeypatch.setenv("PDDM_STATUS", str(tmp_path / "no" / "status"))
    assert list(progress.progress(range(3), "nobody looks")) == [0, 1, 2]


def test_memory_is_that_of_the_whole_tree():
    pytest.importorskip("psutil")
    size = 150 * 2**20
    code = f"x = bytearray(b'1') * {size}; print(flush=True); input()"
    with processes.Peak(every=0.05) as before:
        pass
    with processes.Peak(every=0.05) as peak:
        child = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        child.stdout.readline()
        peak.look()
        child.communicate(b"\n")
    assert 0.8 * size < peak.bytes - before.bytes < 2 * size  # the interpreter's own aside


def test_the_summary_has_time_and_memory_of_stages_and_notebooks(tmp_path):
    own = study(tmp_path)
    args = pipeline_options.parser().parse_args(options(tmp_path, "--jobs", "2"))
    total = summary.Summary(own, args)
    for stage, tasks in (("runs", ["a", "b"]), ("notebooks", ["60_retrieval"])):
        shown = live.Live(stage, tasks, tmp_path, io.StringIO())
        with total.stage(shown):
            for task in tasks:
                total.add(stage, task, 60.0, 2**30)
        total.rows[-1] = (stage, "", 75.0, 3 * 2**30)
    lines = total.lines()
    assert [line.split() for line in lines] == [
        ["summary", "time", "peak", "memory"],
        ["runs", "01:15", "3.0", "GiB"],
        ["notebooks", "01:15", "3.0", "GiB"],
        ["60_retrieval", "01:00", "1.0", "GiB"],
    ]
    path = own.folder / "summary.json"
    path.parent.mkdir(parents=True)
    path.write_text("torn {", encoding="utf-8")
    total.keep()
    (kept,) = json.loads(path.read_text(encoding="utf-8")).values()
    assert kept["runs_made"] == 2 and kept["jobs"] == 2 and kept["total_seconds"] == 150
    assert kept["work_seconds"] == {"runs": 120.0, "notebooks": 60.0}
    assert kept["notebooks"] == {"60_retrieval": {"seconds": 60.0, "peak_gib": 1.0}}


def test_a_worker_that_is_killed_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("pddm_lite.pipeline.runs._fit", _dies)
    assert cli.main(options(tmp_path, "--stage", "runs", "--jobs", "1")) == 2
    err = capsys.readouterr().err
    assert "a worker process was killed during runs" in err and err.count("\n") == 1


def test_a_scheduler_that_is_lost_is_said(tmp_path, monkeypatch, capsys):
    class Lost(Executor):  # Dask cancels all work then
        def submit(self, f, *args):
            future = Future()
            future.cancel()
            future.set_running_or_notify_cancel()
            return future

    monkeypatch.setattr(executors, "pool", lambda jobs: Lost())
    assert cli.main(options(tmp_path, "--stage", "runs")) == 2
    err = capsys.readouterr().err
    assert "scheduler was lost during runs" in err and err.count("\n") == 1


def _dies(*_):
    os.kill(os.getpid(), 9)
    time.sleep(60)
