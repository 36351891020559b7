"""How many cores a process counts."""

import os
import subprocess
import sys

import pytest

from pddm_lite.store.cores import cores


@pytest.mark.parametrize("counted", ["process_cpu_count", "sched_getaffinity", "cpu_count"])
def test_cores_wherever_python_runs(monkeypatch, counted):
    for name in ("process_cpu_count", "sched_getaffinity"):
        monkeypatch.delattr(os, name, raising=False)
    value = {0, 1, 2} if counted == "sched_getaffinity" else 3
    monkeypatch.setattr(os, counted, lambda *_: value, raising=False)
    assert cores() == 3


def test_counting_cores_loads_no_torch():
    code = "import sys; from pddm_lite.store.cores import cores; cores(); "
    code += "print('torch' in sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    )
    assert said.stdout.strip() == "False"
