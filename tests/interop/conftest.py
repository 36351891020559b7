"""What every test of the interop is given: the libraries, a batch, a unit."""

import importlib
import sys

import pytest
import torch
from pairs import LABELS, D

from pddm_lite.pddm import PDDM


@pytest.fixture(scope="module")
def pml():
    """pytorch_metric_learning with what is plugged into it, as one namespace."""
    pytest.importorskip("pytorch_metric_learning")
    names = "distances losses miners reducers samplers testers trainers utils.inference"
    for name in [*names.split(), "utils.accuracy_calculator"]:
        importlib.import_module(f"pytorch_metric_learning.{name}")
    return sys.modules["pytorch_metric_learning"]


@pytest.fixture
def interop(pml):
    return importlib.import_module("pddm_lite.interop")


@pytest.fixture
def x():
    return torch.randn(len(LABELS), D, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def unit():
    torch.manual_seed(1)
    return PDDM(D, dropout=0.0)
