"""S of all pairs at scale against S itself: strips, threads, top-k, ranks."""

import pytest
import torch
import torch.nn.functional as F

from pddm_lite.measures import allpairs, retrieval
from pddm_lite.pddm import LMDM, PDDM, Euclidean, Mahalanobis, Similarity
from pddm_lite.store.errors import UserError


class CityBlock(Similarity):
    """Some other similarity (by city blocks), which has no all_pairs of its own."""

    def forward(self, f_i, f_j):
        return -(f_i - f_j).abs().sum(-1)


KINDS = {"pddm": PDDM, "lmdm": LMDM, "mahalanobis": Mahalanobis}


def build(kind, d, seed=0, dtype=torch.float32):
    torch.manual_seed(seed)
    if kind in ("euclidean", "city block"):
        return (Euclidean() if kind == "euclidean" else CityBlock()).eval()
    s = KINDS[kind](d).to(dtype).eval()
    for p in s.parameters():
        torch.nn.init.normal_(p, std=d**-0.5)
    return s


def items(n, d, seed=0, dtype=torch.float32):
    """Unit rows with duplicates, opposites and zeros among them."""
    g = torch.Generator().manual_seed(seed)
    f = F.normalize(torch.randn(n, d, generator=g, dtype=dtype), dim=1)
    if n > 8:
        f[3], f[4], f[7], f[8] = f[1], 0, 0, -f[2]
        f[n - 1] = f[1]  # in another tile
    return f


def plain(s, f):
    """S by the forward pass, pair by pair."""
    n = len(f)
    a, b = (x.flatten() for x in torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij"))
    with torch.no_grad():
        return s(f[a], f[b]).view(n, n)


ALL = ("pddm", "lmdm", "mahalanobis", "euclidean", "city block")


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    ("n", "d"), [(1, 4), (2, 1), (33, 1), (70, 2), (65, 37), (40, 130), (34, 257), (33, 512)]
)
def test_all_pairs_is_the_plain_score(kind, n, d):
    s, f = build(kind, d), items(n, d)
    S = allpairs.all_pairs(s, f)
    assert S.shape == (n, n) and not S.requires_grad
    torch.testing.assert_close(S, plain(s, f), rtol=0, atol=2e-5 if kind != "mahalanobis" else 2e-4)
    if isinstance(s, PDDM):
        assert torch.equal(S, s.all_pairs(f)) and torch.equal(S, S.T)
        double = allpairs.all_pairs(s.double(), f.double())
        torch.testing.assert_close(double, plain(s, f.double()), rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", ["pddm", "lmdm"])
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("d", [1, 16, 129, 512])
def test_half_precision_features_are_raised_to_the_units_own(kind, half, d):
    s, f = build(kind, d), items(40, d).to(half)
    S = s.all_pairs(f)
    assert S.dtype == torch.float32
    assert torch.equal(S, s.all_pairs(f.float())) and torch.equal(S, allpairs.all_pairs(s, f))
    torch.testing.assert_close(S, plain(s, f.float()), rtol=0, atol=2e-5)
    for euclidean in (Euclidean(), build("mahalanobis", d)):
        S = allpairs.all_pairs(euclidean, f)
        assert S.dtype == torch.float32 and torch.isfinite(S).all()


def test_no_gradient_and_the_callers_settings_are_kept():
    s, f = build("pddm", 8).train(), items(50, 8).requires_grad_()
    before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        for call in (
            lambda: s.all_pairs(f),
            lambda: allpairs.all_pairs(s, f, threads=2),
        ):
            assert not call().requires_grad
            assert torch.get_num_threads() == before[0] and s.training
            assert torch.get_float32_matmul_precision() == "high"
        with pytest.raises(UserError, match="not finite"):
            allpairs.all_pairs(s, torch.full((50, 8), torch.nan))
        assert torch.get_num_threads() == before[0] and s.training
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before[1])


@pytest.mark.parametrize("kind", ["pddm", "city block"])
def test_threads_change_no_bit_and_are_never_more_than_cores(kind, monkeypatch):
    monkeypatch.setattr(allpairs, "cores", lambda: 3)
    s, f = build(kind, 20), items(301, 20)
    labels = torch.arange(301) % 40
    pools = []
    real = allpairs.ThreadPoolExecutor
    monkeypatch.setattr(
        allpairs, "ThreadPoolExecutor", lambda workers: pools.append(workers) or real(workers)
    )
    one = allpairs.all_pairs(s, f, threads=1)
    assert pools == []
    for threads in (2, 3, 50):
        assert torch.equal(allpairs.all_pairs(s, f, threads=threads), one)
        got = allpairs.ranks_of_best_positive(s, f, labels, threads=threads)
        assert torch.equal(got, allpairs.ranks_of_best_positive(s, f, labels, threads=1))
    assert sorted(set(pools)) == [2, 3]


@pytest.mark.parametrize("rows", [0, 1, 7, 32, 64, 100, 1000])
def test_strips_are_the_upper_triangle(rows):
    s, f = build("pddm", 6), items(100, 6)
    S, seen = s.all_pairs(f), 0
    for a, strip in allpairs.strips(s, f, rows=rows):
        assert a == seen
        # of the strip's own square both halves
        torch.testing.assert_close(strip, S[a : a + len(strip), a:], rtol=0, atol=1e-6)
        seen += len(strip)
    assert seen == 100


def test_strips_stay_small_whatever_n(monkeypatch):
    s, f = build("lmdm", 2), items(600, 2)
    monkeypatch.setattr(allpairs, "STRIP", 64 * 600)
    sizes = [strip.numel() for _, strip in allpairs.strips(s, f, threads=1)]
    assert max(sizes) <= 64 * 600 and sum(sizes) < 0.6 * 600 * 600


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("classes", [1, 2, 9, 60])
@pytest.mark.parametrize("n", [5, 65, 130])
def test_ranks_are_those_of_the_full_matrix(kind, classes, n):
    for seed in range(3):
        s, f = build(kind, 10, seed), items(n, 10, seed)
        if kind in ("pddm", "lmdm"):
            # no duplicates, whose scores rounding may part in S
            f = F.normalize(torch.randn(n, 10), dim=1)
        labels = torch.randint(classes, (n,), generator=torch.Generator().manual_seed(seed))
        S = allpairs.all_pairs(s, f)
        if kind in ("euclidean", "mahalanobis"):  # rounding must not decide ties
            f = (4 * f).round()
            s = Euclidean()
            S = s.all_pairs(f.double())
        want = retrieval.ranks_of_best_positive(S, labels, torch.arange(n))
        for rows in (0, 3, 50) if kind not in ("euclidean", "mahalanobis") else (0,):
            how = {"rows": rows} if rows else {}
            assert torch.equal(allpairs.ranks_of_best_positive(s, f, labels, **how), want)


@pytest.mark.parametrize("kind", ["pddm", "lmdm", "city block", "euclidean"])
@pytest.mark.parametrize("d", [8, 24, 40, 128])
def test_exact_duplicates_tie_so_those_of_another_class_come_first(kind, d):
    # each item has a twin of its own class and one of another, far apart in the gallery
    for seed in range(4):
        s, f = build(kind, d, seed), items(45, d, seed)
        labels = torch.cat([torch.arange(45), torch.arange(45), torch.arange(45, 90)])
        mix = torch.randperm(135)
        ranks = allpairs.ranks_of_best_positive(s, f.repeat(3, 1)[mix], labels[mix])
        ranks = ranks.new_zeros(135).scatter(0, mix, ranks)
        # whatever comes before the one twin, the other twin does too
        assert (ranks[:90] > 1).all() and (ranks[90:] == 0).all()


def test_a_constant_score_has_no_recall_at_1():
    s = build("pddm", 4)
    torch.nn.init.zeros_(s.W_s.weight)
    labels = torch.arange(40) // 4
    ranks = allpairs.ranks_of_best_positive(s, items(40, 4), labels)
    assert (ranks == 37).all()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"precision": "fp8"}, "precision: unknown name 'fp8'"),
        ({"precision": "tf32"}, "'tf32' is a GPU's; on a CPU use 'float32'"),
        ({"precision": "bf16"}, "'bf16' is "),
        ({"threads": 0}, "threads: must be at least 1"),
    ],
)
def test_wrong_settings_are_one_clear_line(how, message):
    s, f = build("pddm", 4), items(20, 4)
    for call in (
        lambda: allpairs.all_pairs(s, f, **how),
        lambda: allpairs.ranks_of_best_positive(s, f, torch.arange(20) // 2, **how),
        lambda: allpairs.ranks_of_best_positive(Euclidean(), f, torch.arange(20) // 2, **how),
    ):
        with pytest.raises(UserError, match=message) as error:
            call()
        assert "\n" not in str(error.value)
