"""`make bench`: everything runs, at sizes of seconds, and what it says follows from its tables."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
OURS = ("step", "losses", "loop", "ncm")


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    out = tmp_path_factory.mktemp("bench")
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    run = [sys.executable, "benchmarks/run.py", "--quick", "--only", ",".join(OURS), "--out", out]
    done = subprocess.run(run, cwd=ROOT, env=env, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def test_one_command_writes_tables_making_and_figure(quick):
    out, printed = quick
    for name in (*OURS, "targets"):
        assert len(pd.read_csv(out / f"{name}.csv")) >= 2
        making = json.loads((out / f"{name}.json").read_text(encoding="utf-8"))
        assert making["threads"] == 1 and making["torch"] == torch.__version__
        assert making["command"].startswith("python benchmarks/run.py --quick --only step,")
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", making["date"])
        assert {"commit", "cpu", "pytorch-metric-learning", "faiss-cpu"} <= set(making)
    with Image.open(out / "benchmarks.png") as drawn:
        assert drawn.width > 800 and len(drawn.convert("L").getcolors()) > 50
    for words in ("quadruplets", "LiftedStruct", "epochs_per_s", "share_of_product", "Targets"):
        assert words in printed


def test_every_time_is_a_positive_number(quick):
    out, _ = quick
    step, losses, loop, ncm = (pd.read_csv(out / f"{n}.csv") for n in OURS)
    assert (step[["full_ms", "sparse_ms", "times_faster"]] > 0).all(axis=None)
    assert len(ncm) == 4 and (ncm["Gflop_per_s"] > 0).all()
    assert (losses["ms"] > 0).all() and set(losses["m"]) == {16, 32}
    assert (loop["epochs_per_s"] > 0).all()


def test_shares_of_the_loop_make_a_whole(quick):
    loop = pd.read_csv(quick[0] / "loop.csv").set_index("loop")
    shares = loop.filter(like=" %")
    assert shares.sum(axis=1).between(99, 101).all() and (shares >= 0).all(axis=None)
    every, letter = (f"frozen, PDDM, {w}" for w in ("every positive pair", "the paper's letter"))
    ms = loop["ms_per_step"] * loop["mining and loss %"]
    assert ms[every] > ms[letter]  # 2,016 pairs scored against 216
    tuned = "fine-tuned smallnet, PDDM, every positive pair"
    assert loop["ms_per_step"][tuned] > loop["ms_per_step"][every]


def test_targets_of_what_was_left_out_are_listed(bench, tmp_path, capsys):
    assert bench("run").main(["--quick", "--only", "ncm", "--out", str(tmp_path)]) == 0
    targets = pd.read_csv(tmp_path / "targets.csv")
    assert len(targets) == 15 and set(targets["verdict"]) == {"not measured"}
    assert "\nTargets\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("measured", "least", "verdict"),
    [
        (15.0, True, "met"),
        (14.9, True, "missed"),
        (15.0, False, "met"),
        (15.1, False, "missed"),
        (math.nan, True, "not measured"),
        (math.nan, False, "not measured"),
    ],
)
def test_a_target_is_met_at_its_number(bench, measured, least, verdict):
    assert bench("common").Target("speed", 15, measured, least).verdict == verdict


def test_targets_come_from_the_tables(bench):
    step = pd.DataFrame(
        {
            "m": [64, 64, 256, 1024],
            "quadruplets": [1, "all", 1, 1],
            "times_faster": [16.0, 3.0, 150.0, math.nan],
            "sparse_ms": [2.0, 8.0, 5.0, 30.0],
        }
    )
    losses = pd.DataFrame(
        [("LiftedStruct", 64, 0.5), ("LiftedStructureLoss", 64, 25.0)], columns=["way", "m", "ms"]
    )
    found = bench("targets").targets({"step": step, "losses": losses})
    assert [(t.measured, t.verdict) for t in found[:4]] == [
        (16.0, "met"), (150.0, "missed"), (15.0, "missed"), (50.0, "met")
    ]  # fmt: skip
    assert {t.verdict for t in found[4:]} == {"not measured"}


def test_times_are_medians_taken_in_turn(bench, monkeypatch):
    common, seen, now = bench("common"), [], [0.0]

    def way(name, *seconds):
        left = list(seconds)

        def call():
            seen.append(name)
            now[0] += left.pop(0) if left else seconds[-1]

        return call

    monkeypatch.setattr(common.time, "process_time", lambda: now[0])
    # the first two calls of each are the warm-up and the look at how long one takes
    ms = common.interleaved({"a": way("a", 9, 9, 1, 5, 2), "b": way("b", 1, 1, 3, 3, 4)}, 3)
    assert ms == {"a": 2000.0, "b": 3000.0}
    assert "".join(seen) == "aabb" + "ab" * 3


def test_lifted_structure_is_pytorch_metric_learnings(bench):
    pytest.importorskip("pytorch_metric_learning")
    losses = bench("losses")
    for m, d in ((8, 3), (16, 128), (64, 32)):
        assert losses.differs(m, d) < 1e-5
    losses.rivals = lambda: {losses.LIFTED: lambda x, y: 1.001 * x.square().sum()}
    with pytest.raises(AssertionError, match="LiftedStruct and LiftedStructureLoss differ"):
        losses.table(sizes=(8,), repeats=1)


def test_the_full_matrix_is_the_same_step(bench):
    step = bench("step")
    for q in step.QUADRUPLETS:
        a, b = (
            step.stepper(f, 24, 8, q, "cpu")() for f in (step.full_matrix_loss, step.sparse_loss)
        )
        assert a == pytest.approx(b, abs=1e-5)


def test_targets_of_all_pairs_and_recall(bench):
    targets = bench("targets")
    row = {"way": "all_pairs", "precision": "float32", "device": "cpu", "d": 128}
    cpu = [
        row | {"N": 512, "ms": 9.0, "share_of_product": 0.9, "times_plain": 20.0},
        row | {"N": 1024, "ms": 40.0, "share_of_product": 0.5, "times_plain": 9.0},
        row | {"N": 2048, "ms": 40.0, "share_of_product": 0.9, "times_plain": 1.0, "d": 16},
        row | {"way": "plain, 64 rows", "N": 1024, "ms": 400.0, "times_plain": 1.0},
    ]
    table = pd.DataFrame(cpu)
    table.attrs["MB"] = 12.0
    found = [t.verdict for t in targets.targets({"allpairs": table})[7:13]]
    assert found == ["met", "missed", "met"] + ["not measured"] * 3
    gpu = [
        {"way": "all_pairs", "device": "cuda", "precision": p, "N": n, "ms": ms, "times_tiles": t}
        for p, n, ms, t in (("bf16", 5924, 9, 30), ("tf32", 5924, 30, 9), ("tf32", 60_502, 2100, 9))
    ]
    found = targets.targets({"allpairs": pd.DataFrame(gpu).assign(d=128)})[10:13]
    assert [t.verdict for t in found] == ["met", "missed", "met"]
    recall = pd.DataFrame(
        {"way": ["recall_at_k", "FAISS flat, k = 33"], "N": 60_000, "ours_takes_of_it": [1, 1.4]}
    ).assign(growth_MB=[512, ""])
    found = targets.targets({"retrieval": recall})[13:]
    assert [(t.measured, t.verdict) for t in found] == [(1.4, "missed"), (0.5, "met")]


def test_unknown_benchmark_is_one_line(bench, capsys, tmp_path):
    assert bench("run").main(["--only", "setp", "--out", str(tmp_path / "none")]) == 2
    said = capsys.readouterr()
    assert said.out == "" and not (tmp_path / "none").exists()
    assert len(said.err.strip().splitlines()) == 1 and "did you mean" in said.err.lower()


def test_figure_draws_what_is_there(bench):
    figure = bench("figure")
    pairs = pd.DataFrame({"way": "tiles", "precision": ["float32", "bf16"], "N": 10, "ms": [1, 9]})
    recall = pd.DataFrame({"way": ["ours", "ours", "faiss"], "N": [10, 90, 10], "s": [0.1, 2, 3]})
    found = figure.lines("allpairs", pairs)
    assert found["way"].tolist() == ["float32", "bf16"] and found["ms"].tolist() == [1, 9]
    assert figure.lines("retrieval", recall)["ms"].tolist() == [100, 2000, 3000]
    fig = figure.draw({"allpairs": pairs, "retrieval": recall, "ncm": pd.DataFrame({"ms": [1]})})
    assert len(fig.axes) == 2 and {ax.get_xscale() for ax in fig.axes} == {"log"}


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_bench_installs_the_rivals_and_ends_in_the_command():
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    plan = ["make", "-n", "-W", "pyproject.toml", "bench", "ARGS=--explain"]
    out = subprocess.run(
        plan, cwd=ROOT, env=env, capture_output=True, text=True, check=True, encoding="utf-8"
    ).stdout
    lines = out.strip().splitlines()
    assert any("pip install" in line and "-e '.[bench]'" in line for line in lines)
    assert lines[-1] == ".venv/bin/python benchmarks/run.py --explain"
