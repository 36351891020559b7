"""Table 2's rivals against their formulas in plain loops, and on the synthetic world."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from pddm_lite.paper.printed import TABLE_2
from pddm_lite.paper.table2_zero_shot.hierarchy import Hierarchy
from pddm_lite.paper.table2_zero_shot.rivals import (
    DIFFERENCES,
    RIVALS,
    SPIRIT,
    amp,
    class_vectors,
    conse,
    devise,
    inner_nodes,
    pst,
    seen_probabilities,
)
from pddm_lite.paper.table2_zero_shot.zero_shot import Task, evaluate, relatives


@pytest.fixture
def made(random_task):
    """fn(seed): a random task, and 40 images' probabilities of its seen classes."""

    def make(seed):
        t, rng = random_task(seed)
        return t, torch.from_numpy(rng.dirichlet(np.full(len(t.seen), 0.5), size=40))

    return make


def below(t, a):
    return [s for s in t.seen if a in t.hierarchy.above(s)]


def at_or_above(t, c):
    return [a for a in t.hierarchy.above(c) if below(t, a)]


def cosine(t, b, c):
    """Of two classes' vectors: the information content of the nodes that both lie under."""

    def content(nodes):
        return sum(math.log(len(t.seen) / len(below(t, a))) for a in nodes)

    B, C = at_or_above(t, b), at_or_above(t, c)
    length = math.sqrt(content(B) * content(C))
    return content([a for a in B if a in C]) / length if length else 0.0


@pytest.mark.parametrize("seed", range(4))
def test_class_vectors_share_information_content(seed, made):
    t, _ = made(seed)
    s = class_vectors(t)
    want = [[cosine(t, b, c) for c in t.classes] for b in t.classes]
    torch.testing.assert_close(s @ s.T, torch.tensor(want, dtype=s.dtype))


@pytest.mark.parametrize("top", [1, 3, 99])
def test_conse_is_the_cosine_to_the_mean_of_the_likeliest(top, made):
    t, p = made(0)
    s, values = class_vectors(t), conse(t, None, p, top).values
    for i in range(5):
        likely = sorted(range(len(t.seen)), key=lambda c: -p[i, c])[:top]
        f = sum(p[i, c] * s[c] for c in likely) / sum(p[i, c] for c in likely)
        for c, v in enumerate(s[len(t.seen) :]):
            want = f @ v / max(f.norm() * v.norm(), 1e-12)
            assert values[i, c].item() == pytest.approx(want.item(), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_inner_nodes_as_attributes(seed, made):
    t, p = made(seed)
    values = inner_nodes(t, None, p).values
    for i in range(5):
        for c, name in enumerate(t.unseen):
            want = 0.0
            for a in at_or_above(t, name):
                T = below(t, a)
                node = max(sum(p[i, t.seen.index(s)].item() for s in T), 1e-6)
                want += math.log(node / (len(T) / len(t.seen)))
            assert values[i, c].item() == pytest.approx(want)


def test_pst_converges_to_its_closed_form(made):
    """Y = (1 - alpha) (I - alpha D^(-1/2) A D^(-1/2))^(-1) Y_0, with the graph built by loops."""
    t, p = made(1)
    k, alpha, N = 4, 0.6, len(p)
    r = p.sqrt().numpy()
    d = np.array([[np.linalg.norm(a - b) for b in r] for a in r])
    near = [sorted((j for j in range(N) if j != i), key=lambda j: d[i, j])[:k] for i in range(N)]
    sigma = np.mean([d[i, near[i][-1]] for i in range(N)])
    A = np.zeros((N, N))
    for i in range(N):
        for j in near[i]:
            A[i, j] = A[j, i] = np.exp(-(d[i, j] ** 2) / (2 * sigma**2))
    degree = A.sum(axis=1) ** -0.5
    start = p.numpy() @ relatives(t).numpy().T
    want = (1 - alpha) * np.linalg.solve(
        np.eye(N) - alpha * degree[:, None] * A * degree[None, :], start
    )
    got = pst(t, None, p, neighbours=k, alpha=alpha).values.numpy()
    np.testing.assert_allclose(got, want, atol=1e-8)
    assert np.abs(got - start).max() > 0.01
    twice = pst(t, None, torch.cat([p, p]), neighbours=1)  # distance 0 to the nearest
    assert torch.isfinite(twice.values).all()


@pytest.mark.parametrize("neighbours", [2, 5, 99])
def test_amp_is_where_the_walk_ends(neighbours, made):
    """The chain, absorbing states and all, taken many steps on."""
    t, p = made(2)
    S, C = len(t.seen), len(t.classes)
    d = np.array([[1 - cosine(t, a, b) for b in t.classes] for a in t.classes])
    P = np.eye(C)
    for a in range(S):
        P[a] = 0
        for group in (range(S), range(S, C)):
            weight = {b: math.exp(-d[a, b] / d[:S].mean()) if b != a else 0.0 for b in group}
            kth = sorted(weight.values())[-min(neighbours, len(group))]
            P[a, list(group)] = [w if w > kth - 1e-12 else 0 for w in weight.values()]
        P[a] /= P[a].sum()
    start = np.concatenate([p.numpy(), np.zeros((len(p), C - S))], axis=1)
    end = start @ np.linalg.matrix_power(P, 500)
    assert np.abs(end[:, :S]).max() < 1e-9
    got = amp(t, None, p, neighbours).values
    np.testing.assert_allclose(got.numpy(), end[:, S:], atol=1e-9)
    assert got.sum(dim=1).numpy() == pytest.approx(1)


# ------------------------------------------------------------------------ the synthetic world


@pytest.fixture(scope="module")
def world(birds):
    t, x, y = birds()
    return t, x, y, seen_probabilities(t, x)


def test_seen_probabilities_know_the_seen_classes(world):
    t, x, y, p = world
    assert p.shape == (200, 80) and p.sum(dim=1).numpy() == pytest.approx(1)
    own = seen_probabilities(t, t.features)
    assert (own.argmax(dim=1) == t.labels).double().mean() > 0.8
    moved = replace(t, features=3 * t.features + 5)  # neither scale nor origin matters
    torch.testing.assert_close(seen_probabilities(moved, 3 * x + 5), p, atol=1e-3, rtol=0.05)


@pytest.mark.parametrize("name", RIVALS)
def test_rivals_beat_chance_and_need_the_hierarchy(name, world, birds):
    t, x, y, p = world
    got = evaluate(RIVALS[name](t, x, p), y)
    assert got.flat[1] > 5 * got.chance[1] and got.flat[5] > 3 * got.chance[5]
    assert got.tied == 0
    other, _, _ = birds(shift=7)
    lost = evaluate(RIVALS[name](other, x, p), y)
    assert lost.flat[1] < 2 * lost.chance[1]


def test_devise_is_seeded_and_knows_no_scale(world):
    t, x, _, _ = world
    assert torch.equal(devise(t, x).values, devise(t, x).values)
    assert not torch.equal(devise(t, x).values, devise(t, x, seed=1).values)
    moved = replace(t, features=3 * t.features + 5)  # neither scale nor origin matters
    torch.testing.assert_close(
        devise(moved, 3 * x + 5).values, devise(t, x).values, atol=0.01, rtol=0
    )


@pytest.mark.parametrize("name", RIVALS)
def test_classes_in_one_place_are_tied_to_every_rival(name, world):
    """Two unseen species in one family: no rival can tell them apart."""
    t, x, y, p = world
    (family,) = (p for p, c in t.hierarchy.pairs() if c == t.unseen[0])
    names, pairs = (*t.unseen[:-1], "twin"), [*t.hierarchy.pairs(), (family, "twin")]
    two = Task(Hierarchy(pairs), t.seen, names, t.means, t.features, t.labels)
    found = RIVALS[name](two, x, p)
    assert evaluate(found, y).tied == 2
    assert found.ties[0] == found.ties[19]


def test_rivals_are_table_2s():
    names = {name.removeprefix(SPIRIT) for name in RIVALS}  # [21] is our rule on other features
    assert set(RIVALS) == set(DIFFERENCES) and names == set(TABLE_2["zero-shot"]) - {"PDDM", "[21]"}
