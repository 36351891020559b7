"""One thread for every test: the same numbers and the same time on every machine."""

import importlib
import sys
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
torch.set_num_threads(1)
sys.path.insert(0, str(Path(__file__).parent))  # for fakes.py


@pytest.fixture
def bench(monkeypatch):
    """import_module for the scripts of benchmarks/, which import each other by bare names."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    names = [path.stem for path in BENCHMARKS.glob("*.py")]
    kept = {n: sys.modules.pop(n) for n in names if n in sys.modules}
    yield importlib.import_module
    for n in names:
        sys.modules.pop(n, None)
    sys.modules.update(kept)
