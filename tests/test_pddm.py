"""Eq. 2 and its rivals against plain loops over the units; the three ways to ask for a score."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pddm_lite.pddm import LMDM, PDDM, SIMILARITIES, Euclidean, Mahalanobis, r

KINDS = tuple(SIMILARITIES)


def build(kind, d, seed=0, dtype=torch.float64, zero_bias=False):
    """A similarity of that kind in eval mode, all its weights drawn from N(0, 1/d)."""
    torch.manual_seed(seed)
    if kind in ("pddm", "lmdm"):
        s = SIMILARITIES[kind](d, zero_bias=zero_bias)
    else:
        s = SIMILARITIES[kind](d) if kind == "mahalanobis" else SIMILARITIES[kind]()
    for p in s.parameters():
        if not (zero_bias and p.ndim == 1):
            torch.nn.init.normal_(p, std=d**-0.5)
    return s.to(dtype).eval()


def unit_rows(n, d, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(n, d, generator=g, dtype=dtype), dim=1)


# ---------------------------------------------------------------------- the reference, in loops


def loop_fc(W, b, x):
    return [sum(W[o][n] * x[n] for n in range(len(x))) + b[o] for o in range(len(b))]


def loop_relu(x):
    return [v if v > 0 else 0.0 for v in x]


def loop_r(x):
    length = math.sqrt(sum(v * v for v in x))
    return [v / length for v in x] if length > 0 else list(x)


def loop_unit(s, fi, fj):
    """S_ij of Eq. 2, unit by unit."""
    w = {k: v.detach().numpy().astype(np.float64).tolist() for k, v in s.state_dict().items()}
    u = [abs(a - b) for a, b in zip(fi, fj, strict=True)]
    joined = loop_r(loop_relu(loop_fc(w["W_u.weight"], w["W_u.bias"], u)))
    if isinstance(s, PDDM) and not isinstance(s, LMDM):
        v = [(a + b) / 2 for a, b in zip(fi, fj, strict=True)]
        joined += loop_r(loop_relu(loop_fc(w["W_v.weight"], w["W_v.bias"], v)))
    c = loop_relu(loop_fc(w["W_c.weight"], w["W_c.bias"], joined))
    return loop_fc(w["W_s.weight"], w["W_s.bias"], c)[0]


def loop_euclidean(s, fi, fj):
    return -sum((a - b) ** 2 for a, b in zip(fi, fj, strict=True))


def loop_mahalanobis(s, fi, fj):
    L = s.L.weight.tolist()
    x = [a - b for a, b in zip(fi, fj, strict=True)]
    return -sum(sum(L[o][n] * x[n] for n in range(len(x))) ** 2 for o in range(len(L)))


LOOPS = {
    "euclidean": loop_euclidean,
    "mahalanobis": loop_mahalanobis,
    "lmdm": loop_unit,
    "pddm": loop_unit,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [1, 2, 3, 7, 16])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_score_is_that_of_the_equation_unit_by_unit(kind, d, seed):
    s = build(kind, d, seed)
    f = unit_rows(7, d, seed + 10)
    f[5] = f[2]  # a duplicate
    f[6] = 0
    a, b = torch.triu_indices(7, 7)

    with torch.no_grad():
        got = s(f[a], f[b]).tolist()
    for x, y, score in zip(a.tolist(), b.tolist(), got, strict=True):
        assert score == pytest.approx(LOOPS[kind](s, f[x].tolist(), f[y].tolist()), abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [1, 2, 5, 31, 64, 127, 128, 130])
@pytest.mark.parametrize("n", [1, 2, 9, 33, 65])
def test_forward_pairs_and_all_pairs_agree(kind, d, n):
    s = build(kind, d, seed=d)
    f = unit_rows(n, d, seed=n)
    if n > 8:
        f[3], f[4], f[7], f[8] = f[1], 0, 0, -f[2]
    a, b = (x.flatten() for x in torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij"))
    with torch.no_grad():
        want = s(f[a], f[b])
        torch.testing.assert_close(s.pairs(f, a, b), want, rtol=0, atol=1e-9)
    S = s.all_pairs(f)
    assert S.shape == (n, n) and not S.requires_grad
    torch.testing.assert_close(S.flatten(), want, rtol=0, atol=1e-9)
    torch.testing.assert_close(S, S.T, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["pddm", "lmdm"])
@pytest.mark.parametrize("n", [1, 5, 23])
@pytest.mark.parametrize("tile", [1, 2, 3, 7, 22, 23, 24, 1000])
def test_the_tile_changes_no_score(kind, n, tile):
    s, f = build(kind, 6), unit_rows(n, 6, seed=tile)
    a, b = (x.flatten() for x in torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij"))
    with torch.no_grad():
        want = s(f[a], f[b]).view(n, n)
    torch.testing.assert_close(s.all_pairs(f, tile=tile), want, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_float32_is_the_float64_score_to_its_precision(kind):
    f = unit_rows(70, 128)
    exact = build(kind, 128).all_pairs(f)
    got = build(kind, 128, dtype=torch.float32).all_pairs(f.float())
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.double(), exact, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["pddm", "lmdm"])
def test_all_pairs_is_without_dropout_in_training_mode_too(kind):
    s, f = build(kind, 16), unit_rows(20, 16)
    want = s.all_pairs(f)
    s.train()
    assert torch.equal(s.all_pairs(f), want)
    i, j = torch.triu_indices(20, 20, 1)
    assert not torch.allclose(s.pairs(f, i, j), want[i, j])  # here dropout is at work


@pytest.mark.parametrize("kind", ["pddm", "lmdm"])
def test_dropout_follows_each_layer_but_the_last(kind):
    torch.manual_seed(0)
    s = SIMILARITIES[kind](64, dropout=0.5).double().train()
    sizes, zeros = [], []

    def look(module, given, out):
        alive = given[0] > 0
        sizes.append(out.shape[-1])
        zeros.append((out[alive] == 0).double().mean().item())

    s.dropout.register_forward_hook(look)
    f = unit_rows(40, 64)
    s(f[:20], f[20:])
    assert sizes == [64] * (3 if kind == "pddm" else 2)
    assert all(0.4 < share < 0.6 for share in zeros), zeros


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_symmetric(kind):
    s, f, g = build(kind, 20), unit_rows(50, 20, seed=1), unit_rows(50, 20, seed=2)
    with torch.no_grad():
        torch.testing.assert_close(s(f, g), s(g, f), rtol=0, atol=1e-14)
        i, j = torch.arange(0, 25), torch.arange(25, 50)
        torch.testing.assert_close(s.pairs(f, i, j), s.pairs(f, j, i), rtol=0, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [2, 5])
def test_gradients_of_forward_and_pairs(kind, d):
    s = build(kind, d, seed=4)
    f = unit_rows(6, d, seed=5).requires_grad_()
    i, j = torch.tensor([0, 1, 4, 0]), torch.tensor([2, 3, 5, 5])
    names, values = zip(*s.named_parameters(), strict=True) if list(s.parameters()) else ((), ())

    def score(how, f, *parameters):
        given = dict(zip(names, parameters, strict=True))
        wrapped = torch.nn.Module()
        wrapped.s, wrapped.forward = s, lambda f: s.pairs(f, i, j) if how else s(f[i], f[j])
        return torch.func.functional_call(wrapped, {f"s.{k}": v for k, v in given.items()}, (f,))

    for how in (0, 1):
        assert torch.autograd.gradcheck(lambda *x, how=how: score(how, *x), (f, *values))


@pytest.mark.parametrize(("kind", "sees_position"), [(k, k == "pddm") for k in KINDS])
def test_only_pddm_tells_two_equal_differences_apart_by_where_they_are(kind, sees_position):
    s = build(kind, 12)
    f_i, f_j, elsewhere = unit_rows(30, 12, 1), unit_rows(30, 12, 2), unit_rows(30, 12, 3)
    with torch.no_grad():
        change = (s(f_i + elsewhere, f_j + elsewhere) - s(f_i, f_j)).abs()
    if sees_position:
        assert change.min() > 1e-6
    else:
        assert change.max() < 1e-12


def test_at_zero_bias_the_unit_cannot_see_distance_and_with_bias_it_can():
    f, direction = unit_rows(1, 8, 1), unit_rows(1, 8, 2)
    near, far = (f - direction / 9, f + direction / 9), (f - direction, f + direction)
    for zero_bias in (True, False):
        s = PDDM(8, dropout=0.0, zero_bias=zero_bias).double()
        assert all((p == 0).all() == zero_bias for n, p in s.named_parameters() if "bias" in n)
        s = build("pddm", 8, zero_bias=zero_bias)
        gap = (s(*near) - s(*far)).abs().item()
        assert (gap < 1e-12) == zero_bias


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_r_of_a_zero_vector_is_zero_without_nan(dtype):
    x = torch.tensor([[0.0, 0.0], [3e-4, 4e-4], [3.0, 4.0]], dtype=dtype, requires_grad=True)
    y = r(F.relu(x))  # as Eq. 2 uses it
    assert y.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    want = torch.tensor([[0.0, 0.0], [0.6, 0.8], [0.6, 0.8]], dtype=y.dtype)
    torch.testing.assert_close(y, want, rtol=0, atol=2e-3)
    y.sum().backward()
    assert torch.isfinite(x.grad).all() and (x.grad[0] == 0).all()


@pytest.mark.parametrize("kind", ["pddm", "lmdm"])
def test_a_unit_whose_layers_are_dead_gives_b_s_and_finite_gradients(kind):
    s = build(kind, 4)
    for layer in (s.W_u, s.W_v, s.W_c):
        if layer is not None:
            torch.nn.init.constant_(layer.bias, -100.0)
    f = unit_rows(5, 4).requires_grad_()
    i, j = torch.triu_indices(5, 5, 1)
    S = s.pairs(f, i, j)
    assert (S == s.W_s.bias).all() and (s.all_pairs(f) == s.W_s.bias).all()
    S.sum().backward()
    assert torch.isfinite(f.grad).all()
    assert s.dead_share(f, i, j) == 1


def test_dead_share_counts_the_units_that_no_pair_wakes():
    s = build("pddm", 10)
    f = unit_rows(12, 10)
    i, j = torch.triu_indices(12, 12, 1)
    with torch.no_grad():
        s.W_u.bias[:4] = -100.0
        s.W_c.bias[:3] = -100.0
        s.W_u.bias[4:] = s.W_v.bias[:] = s.W_c.bias[3:] = 100.0
    assert s.dead_share(f, i, j) == pytest.approx(4 / 10)  # the deadest layer
    assert Euclidean().dead_share(f, i, j) == 0
    assert Mahalanobis(10).dead_share(f.float(), i, j) == 0


def test_mahalanobis_starts_as_the_euclidean_metric():
    f = unit_rows(10, 6, dtype=torch.float32)
    torch.testing.assert_close(Mahalanobis(6).all_pairs(f), Euclidean().all_pairs(f))


def test_shapes_of_the_weights_are_those_of_the_paper():
    def shapes(s):
        return {k: tuple(v.shape) for k, v in s.state_dict().items() if k.endswith("weight")}

    own = {"W_u.weight": (8, 8), "W_s.weight": (1, 8)}
    assert shapes(PDDM(8)) == own | {"W_v.weight": (8, 8), "W_c.weight": (8, 16)}
    assert shapes(LMDM(8)) == own | {"W_c.weight": (8, 8)}
