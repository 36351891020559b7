"""Each loss against plain loops, its gradient, and the mining step against the full matrix of S."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from pddm_lite import losses
from pddm_lite.methods import build_similarity, objective
from pddm_lite.training.experiments import make


def batch(sizes=(3, 2, 4, 1), d=5, seed=0):
    g = torch.Generator().manual_seed(seed)
    labels = torch.tensor([c for c, n in enumerate(sizes) for _ in range(n)])
    labels = labels[torch.randperm(len(labels), generator=g)]
    f = torch.randn(len(labels), d, generator=g, dtype=torch.float64)
    return F.normalize(f, dim=1), labels


def loop_d2(f, i, j):
    return sum((a - b) ** 2 for a, b in zip(f[i], f[j], strict=True))


def pairs_of(y):
    every = list(itertools.combinations(range(len(y)), 2))
    return [p for p in every if y[p[0]] == y[p[1]]], [p for p in every if y[p[0]] != y[p[1]]]


def loop_contrastive(f, y, margin):
    positive, negative = pairs_of(y)
    pull = sum(loop_d2(f, *p) for p in positive) / len(positive)
    push = [max(0.0, margin - math.sqrt(loop_d2(f, *p))) ** 2 for p in negative]
    inside = sum(1 for t in push if t > 0)
    return pull + (sum(push) / inside if inside else 0.0)


def loop_triplet(f, y, margin):
    terms = []
    for a, p in itertools.permutations(range(len(y)), 2):
        if y[a] == y[p]:
            negatives = [loop_d2(f, a, n) for n in range(len(y)) if y[n] != y[a]]
            farther = [x for x in negatives if x > loop_d2(f, a, p)]
            d_an = min(farther) if farther else max(negatives)
            terms.append(max(0.0, loop_d2(f, a, p) + margin - d_an))
    return sum(terms) / len(terms)


def loop_lifted(f, y, margin):
    positive, _ = pairs_of(y)
    total = 0.0
    for i, j in positive:
        inner = 0.0
        for end in (i, j):
            for n in range(len(y)):
                if y[n] != y[end]:
                    inner += math.exp(margin - math.sqrt(loop_d2(f, end, n)))
        total += max(0.0, math.log(inner) + math.sqrt(loop_d2(f, i, j))) ** 2
    return total / (2 * len(positive))


RIVALS = {
    "contrastive": (losses.contrastive, loop_contrastive, (0.1, 0.5, 1.0, 1.9)),
    "triplet": (losses.triplet, loop_triplet, (0.05, 0.2, 1.0)),
    "lifted": (losses.lifted, loop_lifted, (0.2, 1.0, 2.0)),
}
TABLE = [(name, margin) for name, (_, _, margins) in RIVALS.items() for margin in margins]


@pytest.mark.parametrize(("name", "margin"), TABLE)
def test_rivals_equal_the_loops(name, margin):
    loss, loop, _ = RIVALS[name]
    values = set()
    for seed, sizes in enumerate([(3, 2, 4, 1), (2, 1), (4,) * 6, (1, 5, 1), (8, 8)]):
        f, labels = batch(sizes, d=2 + seed, seed=seed)
        want = loop(f.tolist(), labels.tolist(), margin)
        assert loss(f, labels, margin).item() == pytest.approx(want, abs=1e-9)
        values.add(round(want, 6))
    assert len(values) > 3


@pytest.mark.parametrize(("name", "margin"), TABLE)
def test_gradients_of_the_rivals(name, margin):
    loss = RIVALS[name][0]
    f, labels = batch(seed=7)
    f.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, labels, margin), (f,))
    (gradient,) = torch.autograd.grad(loss(f, labels, margin), f)
    assert gradient.abs().max() > 1e-3


@pytest.mark.parametrize("name", RIVALS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_duplicate_points_have_finite_gradients(name, dtype):
    for seed in range(10):
        f, labels = batch(sizes=(4, 4, 4), d=16, seed=seed)
        y = labels.tolist()
        (i, j), (k, l) = pairs_of(y)[0][0], pairs_of(y)[1][0]
        f[j], f[l] = f[i], f[k]  # a duplicate in the class and one across classes
        f = f.to(dtype).requires_grad_()
        loss = RIVALS[name][0](f, labels)
        loss.backward()
        assert torch.isfinite(loss) and torch.isfinite(f.grad).all()
        assert f.grad.abs().max() < 100
        want = RIVALS[name][1](
            f.tolist(), y, {"contrastive": 0.5, "triplet": 0.2, "lifted": 1}[name]
        )
        assert loss.item() == pytest.approx(want, abs=2e-3 if dtype == torch.float32 else 1e-6)


def test_all_points_equal_has_finite_gradients():
    for loss, _, _ in RIVALS.values():
        f = torch.full((8, 4), 0.5, requires_grad=True)
        loss(f, torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])).backward()
        assert torch.isfinite(f.grad).all()


def test_distance_is_the_square_and_on_request_the_plain_one():
    f, _ = batch((6, 6), d=7)
    for i, j in itertools.product(range(3), range(6, 12)):
        want = loop_d2(f.tolist(), i, j)
        assert losses.distance(f[i : i + 1], f[j : j + 1]).item() == pytest.approx(want)
        plain = losses.distance(f[i : i + 1], f[j : j + 1], squared=False)
        assert plain.item() == pytest.approx(math.sqrt(want))
    x = f[:3].clone().requires_grad_()
    losses.distance(x, f[:3], squared=False).sum().backward()
    assert (x.grad == 0).all()  # not infinite
    assert torch.autograd.gradcheck(
        lambda a, b: losses.distance(a, b, False), (f[:4].requires_grad_(), f[4:8])
    )


def test_squared_distances_of_all_pairs():
    f, labels = batch((5, 6), d=9)
    D = losses.squared_distances(f)
    assert (D.diagonal() == 0).all() and (losses.squared_distances(f.float()).diagonal() == 0).all()
    for i, j in itertools.product(range(11), repeat=2):
        assert D[i, j].item() == pytest.approx(loop_d2(f.tolist(), i, j), abs=1e-12)
    assert torch.autograd.gradcheck(losses.squared_distances, (f.requires_grad_(),))


def test_the_papers_identity_holds_for_the_square_of_unit_vectors():
    f, _ = batch((30, 30, 30), d=8, seed=2)
    f_i, f_j, f_k = f.split(30)
    beta = 1.0
    header = beta - 2 * (f_i * f_j).sum(1) + 2 * (f_i * f_k).sum(1)
    for squared in (True, False):
        D_ij, D_ik = (losses.distance(f_i, x, squared) for x in (f_j, f_k))
        assert torch.allclose(beta + D_ij - D_ik, header, atol=1e-12) == squared
    hinge = losses.double_header(-losses.distance(f_i, f_j), -losses.distance(f_i, f_k), None, beta)
    want = sum(max(0.0, h) for h in header.tolist()) / 30
    assert hinge.item() == pytest.approx(want, abs=1e-12)


@pytest.mark.parametrize("margin", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("headers", [1, 2])
def test_double_header_equals_the_loop(margin, headers):
    g = torch.Generator().manual_seed(1)
    S = torch.randn(3, 9, generator=g, dtype=torch.float64)
    want = 0.0
    for q in range(9):
        want += max(0.0, margin + S[1, q].item() - S[0, q].item())
        want += max(0.0, margin + S[2, q].item() - S[0, q].item()) * (headers == 2)

    def loss(closer, far_i, far_j):
        return losses.double_header(closer, far_i, far_j if headers == 2 else None, margin)

    assert loss(*S).item() == pytest.approx(want / 9, abs=1e-12)
    assert torch.autograd.gradcheck(loss, tuple(x.clone().requires_grad_() for x in S))


@pytest.mark.parametrize(
    ("low", "high", "floor", "divisor"),
    [(-3, 5, 0, 8), (-3, 5, 10, 10), (-3, 5, 1, 8), (2, 2, 0, 1e-6), (2, 2, 0.25, 0.25)],
)
def test_scale(low, high, floor, divisor):
    S = torch.tensor([low, high, 0.5, 7.0], dtype=torch.float64, requires_grad=True)
    low, high = torch.tensor(low).double(), torch.tensor(high).double()
    got = losses.scale(S, low, high, floor)
    want = [(s - low.item()) / divisor for s in S.tolist()]
    assert got.tolist() == pytest.approx(want, rel=1e-9)
    assert torch.autograd.gradcheck(lambda s: losses.scale(s, low, high, floor), (S,))


def test_a_detached_range_leaves_a_gradient_and_an_attached_one_leaves_none():
    e = make(
        data="any",
        embedding_size=5,
        quadruplets=1,
        dropout=0.0,
        random_negative_weight=0.0,
        negatives="hardest",
        range_floor=0.0,
        seed=0,
    )
    torch.manual_seed(1)
    unit = build_similarity(e).double()
    f, _ = batch((2, 1), seed=3)  # three points: i, j and one k for both
    i, j, k = torch.tensor([0]), torch.tensor([1]), torch.tensor([2])

    def gradient(detached):
        S_ij, S_ik, S_jk = unit.pairs(f, torch.cat([i, i, j]), torch.cat([j, k, k]))
        S_ik, S_jk = sorted((S_ik, S_jk), key=lambda s: s.item())
        # the extremes of the graph are those of the quadruplet (i, j, k, k)
        S = torch.stack([S_ij, S_jk])
        low, high = S.min(), S.max()
        if detached:
            low, high = low.detach(), high.detach()
        scaled = losses.scale(S, low, high)
        loss = losses.double_header(scaled[:1], scaled[1:], None, 2.0)
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, unit.parameters())])

    assert gradient(detached=True).abs().max() > 1e-3
    assert (gradient(detached=False) == 0).all()


def full_matrix_step(f, labels, unit, e):
    """The objective by way of the whole matrix of S, with gradient, and argmin and argmax on it."""
    m, y = len(f), labels.tolist()
    a, b = (x.flatten() for x in torch.meshgrid(torch.arange(m), torch.arange(m), indexing="ij"))
    S = unit(f[a], f[b]).view(m, m)
    seen = S.detach()
    positive, _ = pairs_of(y)
    positive = sorted(positive, key=lambda p: seen[p].item())
    chosen = positive[: e.quadruplets] if e.quadruplets else positive
    graph = [seen[p].item() for p in positive]
    quadruplets = []
    for i, j in chosen:
        k, l = (
            max((n for n in range(m) if y[n] != y[x]), key=lambda n, x=x: seen[x, n].item())
            for x in (i, j)
        )
        graph += [seen[x, n].item() for x in (i, j) for n in range(m) if y[n] != y[x]]
        quadruplets.append((i, j, k, l))
    low, high = min(graph), max(graph)
    E_m = E_e = 0
    for i, j, k, l in quadruplets:
        s = {p: (S[p] - low) / (high - low) for p in ((i, j), (i, k), (j, l))}
        d = {p: ((f[p[0]] - f[p[1]]) ** 2).sum() for p in s}
        for far in ((i, k), (j, l)):
            E_m = E_m + torch.clamp(e.alpha + s[far] - s[i, j], min=0)
            E_e = E_e + torch.clamp(e.beta + d[i, j] - d[far], min=0)
    return (E_m + e.lam * E_e) / len(quadruplets)


@pytest.mark.parametrize("method", ["PDDM+Quadruplet", "LMDM score", "Mahalanobis score"])
@pytest.mark.parametrize("number", [1, 4, 0])
@pytest.mark.parametrize("sizes", [(4,) * 5, (2, 5, 1, 3)])
def test_the_sparse_step_is_the_full_matrix_step(method, number, sizes):
    e = make(
        data="any",
        method=method,
        embedding_size=7,
        quadruplets=number,
        dropout=0.0,
        random_negative_weight=0.0,
        negatives="hardest",
    )
    for seed in range(3):
        torch.manual_seed(seed)
        unit = build_similarity(e).double()
        for p in unit.parameters():
            torch.nn.init.normal_(p, std=0.5)
        f, labels = batch(sizes, d=7, seed=seed)
        f.requires_grad_()
        given = (f, *unit.parameters())
        sparse = objective(f, labels, unit, e).loss
        full = full_matrix_step(f, labels, unit, e)
        assert sparse.item() == pytest.approx(full.item(), abs=1e-9)
        for got, want in zip(
            torch.autograd.grad(sparse, given, allow_unused=True),
            torch.autograd.grad(full, given, allow_unused=True),
            strict=True,
        ):
            torch.testing.assert_close(got, want, rtol=0, atol=1e-9)
        assert torch.autograd.grad(objective(f, labels, unit, e).loss, f)[0].abs().max() > 1e-3


@pytest.mark.parametrize("two", [True, False])
def test_pointwise_losses_are_those_of_their_scores_one_by_one(two):
    g = torch.Generator().manual_seed(0)
    closer, i, j = torch.randn(3, 9, generator=g).double()
    for kind, cost in (
        ("logistic", lambda y, s: math.log(1 + math.exp(-y * s))),
        ("binary", lambda y, s: max(0.0, 1 - y * s)),
    ):
        want = 0.0
        for q in range(9):
            for far in (i, j) if two else (i,):
                want += (cost(1, closer[q].item()) + cost(-1, far[q].item())) / 9
        got = losses.pointwise(closer, i, j if two else None, kind)
        assert got.item() == pytest.approx(want, abs=1e-12)


def test_the_fisher_criterion_is_the_papers_up_to_root_and_sign():
    g = torch.Generator().manual_seed(1)
    S = torch.randn(50, generator=g).double()
    same = torch.rand(50, generator=g) < 0.3
    S[same] += 1
    p, n = S[same].numpy(), S[~same].numpy()
    paper = (p.mean() - n.mean()) ** 2 / (p.var() + n.var())
    assert losses.fisher(S, same).item() == pytest.approx(-math.sqrt(paper), abs=1e-9)
    # any scale or shift of the scores is the same; scores the wrong way round are not
    assert losses.fisher(3 * S + 5, same).item() == pytest.approx(
        losses.fisher(S, same).item(), abs=1e-9
    )
    assert losses.fisher(-S, same).item() == pytest.approx(-losses.fisher(S, same).item(), abs=1e-9)
    assert torch.isfinite(losses.fisher(torch.zeros(50), same))  # a collapsed unit
