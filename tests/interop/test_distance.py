"""The unit as a distance of pytorch-metric-learning."""

import subprocess
import sys

import pytest
import torch
from pairs import D, plain

from pddm_lite.pddm import LMDM, PDDM, Euclidean, Mahalanobis, r


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("kind", [PDDM, LMDM, Mahalanobis, Euclidean])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (7, 7), (5, 33), (40, 3), (64, 65)])
def test_matrices_are_the_unit_asked_pair_by_pair(interop, kind, n, m, grad):
    torch.manual_seed(0)
    unit = kind() if kind is Euclidean else kind(D)
    unit.eval()
    q, ref = torch.randn(n, D), torch.randn(m, D)
    q[0] = 0  # its norm is 0 and its score defined
    distance = interop.SimilarityDistance(unit, tile=16)
    with torch.set_grad_enabled(grad):
        torch.testing.assert_close(distance(q, ref), plain(unit, q, ref))
        torch.testing.assert_close(distance(q), plain(unit, q, q))
        assert torch.equal(distance(q, q), distance(q))
        torch.testing.assert_close(
            distance.pairwise_distance(r(q[:1]), r(ref[:1])), plain(unit, q[:1], ref[:1])[0]
        )


def test_half_precision_and_zeros_give_numbers(interop, unit):
    q = torch.randn(9, D).half()
    q[0] = 0
    S = interop.SimilarityDistance(unit)(q)
    assert S.isfinite().all() and S.dtype == torch.float32


def test_gradients_are_those_of_the_plain_matrix(interop, unit, x):
    y = torch.randn(5, D)
    for ref in (None, y):
        weights = torch.randn(len(x), len(x if ref is None else ref))
        x.requires_grad_()
        inputs = [x, *unit.parameters()]
        S = interop.SimilarityDistance(unit)(x, ref)
        ours = torch.autograd.grad((weights * S).sum(), inputs)
        theirs = (weights * plain(unit, x, x if ref is None else ref)).sum()
        for a, b in zip(ours, torch.autograd.grad(theirs, inputs), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_dropout_is_on_in_losses_alone_and_keeps_the_matrix_symmetric(interop, x):
    distance = interop.SimilarityDistance(PDDM(D, dropout=0.5))
    first, second = distance(x), distance(x)
    assert first.requires_grad and not torch.equal(first, second)
    assert torch.equal(first, first.T)
    with torch.no_grad():
        assert torch.equal(distance(x), distance(x))
        assert torch.equal(distance(x, x[:3]), distance(x, x[:3]))
    assert distance.similarity.training


def test_only_a_graph_that_is_wanted_is_built(interop, unit, x):
    distance = interop.SimilarityDistance(unit)
    unit.requires_grad_(False)
    assert not distance(x).requires_grad and not distance(x, x[:3]).requires_grad
    assert distance(x.requires_grad_()).requires_grad


def test_without_pml_one_line_says_what_to_install():
    code = "import sys; sys.modules['pytorch_metric_learning'] = None; import pddm_lite.interop"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8"
    )
    last = out.stderr.strip().splitlines()[-1]
    assert out.returncode == 1 and "During handling" not in out.stderr
    assert last.startswith("ImportError: ") and "pip install 'pddm-lite[pml]'" in last
