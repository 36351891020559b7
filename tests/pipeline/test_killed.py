"""A batch that is killed - at random moments, wholly or in part - and what goes on afterwards.

The long forms (50 kills each) run with `make test-all`; with PDDM_RECORD=1 their results are
written to results/reference/: kill_test.json, kill_test_runs.json, and jobs_test.json of
one job against four.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from pddm_lite.pipeline import processes
from pddm_lite.store.store import environment

ROOT = Path(__file__).parents[2]
STUDY = ["--profile", "smoke", "--data", "synthetic_birds", "--methods", "Triplet,PDDM+Quadruplet",
         "--seeds", "0,1", "--variants", "none", "--set", "steps=60"]  # fmt: skip
# every evaluation is a checkpoint, so that a killed run goes on from its middle
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PDDM_CHECKPOINT_SECONDS": "0"}
# timing.csv says how long the steps of a run took: it depends on the clock, not on the run
COMPARED = ("runs/*/history.csv", "runs/*/histograms.csv", "runs/*/metrics.json",
            "runs/*/embeddings.npz", "*/tables/*.csv", "*/figures/*.csv")  # fmt: skip

LEFT_OUT = "runs/*/timing.csv, columns of seconds, and cost/: how fast this machine was"


def command(results: Path, *more: str) -> list[str]:
    return [sys.executable, str(ROOT / "run_all.py"), *STUDY, "--results", str(results), *more]


def start(results: Path, *more: str) -> subprocess.Popen:
    """A batch in a process group of its own, as a terminal gives it one."""
    return subprocess.Popen(
        command(results, *more), env=ENVIRONMENT, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    encoding="utf-8")  # fmt: skip


def finish(results: Path, *more: str) -> float:
    """A batch to its end; the seconds it took."""
    began = time.monotonic()
    batch = start(results, *more)
    out, _ = batch.communicate()
    assert batch.returncode == 0, out
    return time.monotonic() - began


def tree(root: psutil.Process) -> list[psutil.Process]:
    """A process and all below it; kernels have sessions of their own, and are found here too."""
    try:
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kill_tree(batch: subprocess.Popen) -> None:
    """SIGKILL to all at once: stopped first, so that none starts another meanwhile."""
    root, seen = psutil.Process(batch.pid), set()
    while new := set(tree(root)) - seen:
        seen |= new
        for process in new:
            try:
                process.suspend()
            except psutil.NoSuchProcess:
                pass
    for process in seen:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            pass
    batch.communicate()
    assert psutil.wait_procs(seen, timeout=30)[1] == []


def content(results: Path) -> dict[str, bytes]:
    """Every table that must be the same, name -> bytes; without columns of seconds (50's axis)."""
    files = [p for pattern in COMPARED for p in sorted(results.glob(pattern))]
    return {str(p.relative_to(results)): timeless(p) for p in files}


def timeless(path: Path) -> bytes:
    raw = path.read_bytes()
    if path.suffix == ".csv" and b"seconds" in raw.partition(b"\n")[0]:
        table = pd.read_csv(path, dtype=str)
        return table[[c for c in table if "seconds" not in c]].to_csv().encode()
    return raw


def litter(results: Path) -> list[Path]:
    """What only a process that is still at work would have."""
    found = [*results.rglob(".tmp-*"), *results.rglob(".lock-*"), *results.glob("checkpoints/*")]
    return [p for p in found if p.is_file()]


@pytest.mark.parametrize(
    ("kills", "what"),
    [
        (2, ("--stage", "data,runs")),
        # all of it, and then training alone, long enough that most kills hit a run half-way
        pytest.param(50, (), marks=pytest.mark.slow),
        pytest.param(50, ("--stage", "data,runs", "--set", "steps=1000"), marks=pytest.mark.slow),
    ],
)
def test_a_batch_killed_at_random_moments_ends_with_the_same_tables(kills, what, tmp_path):
    """Killed whole (SIGKILL) up to five times, then left to end; and again from the beginning."""
    seed = 7
    draw = random.Random(seed)
    unbroken, killed = tmp_path / "unbroken", tmp_path / "killed"
    seconds = finish(unbroken, "--jobs", "1", *what)
    want = content(unbroken)
    drawn = "--stage" not in what  # then 95 makes four runs more, and there are tables
    assert len([f for f in want if f.startswith("runs/")]) == 4 * (8 if drawn else 4)
    assert (len([f for f in want if "/tables/" in f]) > 10) == drawn
    moments, went_on, compared = [], 0, 0
    while len(moments) < kills:
        shutil.rmtree(killed, ignore_errors=True)
        if (unbroken / "cost").exists():  # a measurement of this machine's speed, no work
            shutil.copytree(unbroken / "cost", killed / "cost")
        own = 0  # kills of this batch: few, so that there are many to compare
        while True:
            batch = start(killed, "--jobs", "2", *what)
            again = len(moments) < kills and own < 5
            moment = draw.uniform(0, seconds) if again else 24 * 3600
            try:
                out, _ = batch.communicate(timeout=moment)
            except subprocess.TimeoutExpired:
                kill_tree(batch)
                moments.append(round(moment, 1))
                own += 1
                went_on += bool(list(killed.glob("checkpoints/*.pt")))
                continue
            assert batch.returncode == 0, out
            break
        compared += 1
        got = content(killed)
        assert got.keys() == want.keys()
        assert [f for f in want if got[f] != want[f]] == []
        assert litter(killed) == []
    if kills >= 50:
        record(
            "kill_test.json" if drawn else "kill_test_runs.json",
            {
                "kills": len(moments),
                "batches that were killed, then ended": compared,
                "of these identical to the unbroken one": compared,  # or the test had failed
                "kills with a run half-way, which went on from its checkpoint": went_on,
                "files compared each time": len(want),
                "left out": LEFT_OUT,
                "seconds of the unbroken batch": round(seconds, 1),
                "seconds after the start": moments,
                "seed": seed,
                "command": " ".join(["python run_all.py", *STUDY, "--jobs", "2", *what]),
            },
        )


def record(name: str, result: dict) -> None:
    """Keep the result of a long test, where that was asked for."""
    if os.environ.get("PDDM_RECORD"):
        made = {k: v for k, v in environment().items() if k not in ("gpu", "command")}
        path = ROOT / "results" / "reference" / name
        path.write_text(json.dumps(result | made, indent=1) + "\n", encoding="utf-8")


@pytest.mark.slow
def test_one_job_and_four_give_the_same_tables_of_all_notebooks(tmp_path):
    one, four = tmp_path / "one", tmp_path / "four"
    finish(one, "--jobs", "1")
    shutil.copytree(one / "cost", four / "cost")  # a measurement of this machine's speed
    finish(four, "--jobs", "4")
    want, got = content(one), content(four)
    assert len([f for f in want if "/figures/" in f]) > 30 and got.keys() == want.keys()
    assert [f for f in want if got[f] != want[f]] == []
    record(
        "jobs_test.json",
        {
            "files of --jobs 1 and of --jobs 4 compared": len(want),
            "of these identical": len(want),  # or the test had failed
            "left out": LEFT_OUT,
            "command": " ".join(["python run_all.py", *STUDY]),
        },
    )


def begun(batch: subprocess.Popen, what: str, seconds: float = 120) -> list[psutil.Process]:
    """Wait until a process whose command holds `what` runs below the batch; its whole tree."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert batch.poll() is None, batch.communicate()
        found = tree(psutil.Process(batch.pid))
        for process in found:
            try:
                if what in " ".join(process.cmdline()):
                    return found
            except psutil.Error:
                pass
        time.sleep(0.2)
    raise AssertionError(f"no {what} within {seconds} s")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_no_process_outlives_the_batch(number, code, tmp_path):
    """Ctrl-C (to the whole group, as a terminal sends it), SIGTERM, SIGKILL of the first alone."""
    batch = start(tmp_path, "--jobs", "2", "--only", "00_start_here", "--stage", "notebooks")
    everyone = begun(batch, "ipykernel")
    assert len(everyone) >= 3  # the batch, a worker, a kernel
    if number == signal.SIGINT:
        os.killpg(batch.pid, number)
    else:
        batch.send_signal(number)
    # the pipe ends when the last one that could write to it has ended, but for the kernels
    out, _ = batch.communicate(timeout=60)
    assert batch.returncode == code
    _, alive = psutil.wait_procs(everyone, timeout=60)
    assert alive == []
    if number != signal.SIGKILL:
        assert out.splitlines()[-1] == processes.INTERRUPTED
        assert "Traceback" not in out
