"""--scheduler: a real Dask scheduler with two workers on this machine, one of which is killed."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pddm_lite.pipeline import cli, cluster
from pddm_lite.store.errors import UserError

ROOT = Path(__file__).parents[2]
STUDY = ["--profile", "smoke", "--data", "synthetic_birds", "--methods",
         "Triplet,PDDM+Quadruplet", "--seeds", "0,1", "--variants", "none",
         "--set", "steps=100"]  # fmt: skip
TABLES = ("history.csv", "histograms.csv", "metrics.json", "embeddings.npz")


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    """(the scheduler's address, a function that starts a worker)."""
    pytest.importorskip("distributed", reason="Dask is not installed: pip install -e '.[cluster]'")
    folder = tmp_path_factory.mktemp("dask")
    file, started = folder / "scheduler.json", []
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PDDM_CHECKPOINT_SECONDS": "0"}

    def run(name: str, *words: str) -> subprocess.Popen:
        command = [sys.executable, "-m", f"distributed.cli.dask_{name}", "--scheduler-file"]
        command += [str(file), "--no-dashboard", *words]
        log = open(folder / f"{name}{len(started)}.log", "w", encoding="utf-8")  # noqa: SIM115
        started.append(subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log))
        log.close()
        return started[-1]

    run("scheduler", "--host", "127.0.0.1", "--port", "0")
    end = time.monotonic() + 60
    while not file.exists() or not file.stat().st_size:
        assert time.monotonic() < end and started[0].poll() is None
        time.sleep(0.1)
    yield (
        json.loads(file.read_text(encoding="utf-8"))["address"],
        lambda *words: run("worker", "--no-nanny", *(words or ("--nthreads", "1"))),
    )
    for process in reversed(started):
        process.kill()
        process.wait()


def content(results: Path) -> dict[str, bytes]:
    files = sorted(p for p in results.glob("runs/*/*") if p.name in TABLES)
    return {str(p.relative_to(results)): p.read_bytes() for p in files}


def test_a_cluster_finishes_the_work_of_a_worker_that_is_killed(dask, tmp_path):
    address, worker = dask
    one, _ = worker("--nthreads", "1", "--name", "one"), worker()
    command = [sys.executable, "-u", "run_all.py", *STUDY, "--results", str(tmp_path / "away"),
               "--stage", "data,runs", "--scheduler", address]  # fmt: skip
    batch = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    said = []
    for line in batch.stdout:
        said.append(line)
        if line.startswith("runs        1/4"):
            one.kill()  # in the middle of another run, or just before its next
    assert batch.wait() == 0, "".join(said)
    assert "workers at tcp://" in "".join(said) and one.wait() == -9
    options = ["--results", str(tmp_path / "here"), "--stage", "data,runs", "--jobs", "1"]
    assert cli.main([*STUDY, *options]) == 0
    away, here = content(tmp_path / "away"), content(tmp_path / "here")
    assert len(here) == 4 * len(TABLES) and away == here
    # a notebook on a worker, with its kernel, beside runs that are there
    command += ["--only", "80_ablations"]
    command[command.index("data,runs")] = "notebooks"
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0 and "80_ablations: executed" in done.stdout, done.stderr


def test_a_worker_that_would_do_other_work_is_refused(dask, tmp_path, monkeypatch):
    address, worker = dask
    worker()

    def refused(*words, device="cpu", folder=tmp_path):
        with pytest.raises(UserError) as error:
            with cluster.cluster(address, device, folder) as executor:
                executor.submit(print).result()
        assert "\n" not in str(error.value) and all(word in str(error.value) for word in words)

    refused("--resources GPU=1", device="cuda")
    refused("does not see", str(tmp_path), folder=tmp_path / "elsewhere")
    own = cluster.code()
    monkeypatch.setattr(cluster, "code", lambda: "another, Python 3, torch 2")
    refused("has other code", own, "another, Python 3, torch 2", "same commit")


def test_a_worker_of_several_threads_is_refused(dask, tmp_path):
    address, worker = dask
    worker("--nthreads", "2")
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        end = time.monotonic() + 60
        while 2 not in client.nthreads().values():
            assert time.monotonic() < end
            time.sleep(0.1)
    with pytest.raises(UserError, match="--nthreads 1"):
        with cluster.cluster(address, "cpu", tmp_path) as executor:
            for work in [executor.submit(time.sleep, 0.2) for _ in range(8)]:  # one meets it
                work.result()


def test_an_address_without_a_port_is_one_line_and_leaves_no_client_behind():
    """A Client that Dask refuses complains when Python ends: seen from outside alone."""
    pytest.importorskip("distributed", reason="Dask is not installed")
    code = "from pddm_lite.pipeline import cluster\n"
    code += "try:\n    cluster.cluster('localhost', 'cpu', None).__enter__()\n"
    code += "except ValueError as err:\n    print(err)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    assert done.stderr == "" and "answers at 'localhost' (missing port" in done.stdout


def test_dask_missing_or_no_answer_is_one_line(tmp_path, monkeypatch, capsys):
    options = [*STUDY, "--results", str(tmp_path), "--stage", "data", "--scheduler"]
    monkeypatch.setattr(cluster, "SECONDS", 1)
    with socket.socket() as unused:  # bound and not listening: nobody else takes it meanwhile
        unused.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{unused.getsockname()[1]}", "nonsense://x"]
        for address in addresses:
            pytest.importorskip("distributed", reason="Dask is not installed")
            assert cli.main([*options, address]) == 2
            err = capsys.readouterr().err
            assert f"no Dask scheduler answers at '{address}'" in err and err.count("\n") == 1
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert cli.main([*options, addresses[0]]) == 2
    err = capsys.readouterr().err
    assert "pip install -e '.[cluster]'" in err and err.count("\n") == 1
