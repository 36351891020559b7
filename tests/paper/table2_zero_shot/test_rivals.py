"""Table 2's rivals against their formulas in plain loops, and on the embedded world."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from pddm_lite.data.synthetic import FAMILIES, ORDERS, geometry
from pddm_lite.paper.printed import TABLE_2
from pddm_lite.paper.table2_zero_shot.hierarchy import Hierarchy, taxonomy
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
from pddm_lite.store.errors import UserError


def random_task(seed, nodes=30, seen=9, unseen=7):
    rng = np.random.default_rng(seed)
    pairs = [
        (f"n{p}", f"n{c}")
        for c in range(1, nodes)
        for p in rng.choice(c, size=min(c, 1 + int(rng.random() < 0.3)), replace=False)
    ]
    names = [f"n{i}" for i in rng.permutation(np.arange(3, nodes))]
    means = torch.from_numpy(rng.normal(size=(seen, 4)))
    t = Task(Hierarchy(pairs), tuple(names[:seen]), tuple(names[seen : seen + unseen]), means)
    p = torch.from_numpy(rng.dirichlet(np.full(seen, 0.5), size=40))
    return t, p


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
def test_class_vectors_share_information_content(seed):
    t, _ = random_task(seed)
    s = class_vectors(t)
    want = [[cosine(t, b, c) for c in t.classes] for b in t.classes]
    torch.testing.assert_close(s @ s.T, torch.tensor(want, dtype=s.dtype))


@pytest.mark.parametrize("top", [1, 3, 99])
def test_conse_is_the_cosine_to_the_mean_of_the_likeliest(top):
    t, p = random_task(0)
    s, values = class_vectors(t), conse(t, None, p, top).values
    for i in range(5):
        likely = sorted(range(len(t.seen)), key=lambda c: -p[i, c])[:top]
        f = sum(p[i, c] * s[c] for c in likely) / sum(p[i, c] for c in likely)
        for c in range(len(t.classes)):
            want = f @ s[c] / max(f.norm() * s[c].norm(), 1e-12)
            assert values[i, c].item() == pytest.approx(want.item(), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_inner_nodes_as_attributes(seed):
    t, p = random_task(seed)
    values = inner_nodes(t, None, p).values
    for i in range(5):
        for c, name in enumerate(t.classes):
            want = 0.0
            for a in at_or_above(t, name):
                T = below(t, a)
                node = max(sum(p[i, t.seen.index(s)].item() for s in T), 1e-6)
                want += math.log(node / (len(T) / len(t.seen)))
            assert values[i, c].item() == pytest.approx(want)


def test_pst_converges_to_its_closed_form():
    """Y = (1 - alpha) (I - alpha D^(-1/2) A D^(-1/2))^(-1) Y_0, with the graph built by loops."""
    t, p = random_task(1)
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
    start = np.concatenate([p.numpy(), p.numpy() @ relatives(t, "depth").numpy().T], axis=1)
    want = (1 - alpha) * np.linalg.solve(
        np.eye(N) - alpha * degree[:, None] * A * degree[None, :], start
    )
    got = pst(t, None, p, rule="depth", neighbours=k, alpha=alpha).values.numpy()
    np.testing.assert_allclose(got, want, atol=1e-8)
    assert np.abs(got - start).max() > 0.01
    twice = pst(t, None, torch.cat([p, p]), neighbours=1)  # distance 0 to the nearest
    assert torch.isfinite(twice.values).all()


@pytest.mark.parametrize("neighbours", [2, 5, 99])
def test_amp_is_where_the_walk_ends(neighbours):
    """The chain, absorbing states and all, taken many steps on."""
    t, p = random_task(2)
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


# ------------------------------------------------------------------------ the embedded world


def birds(shift=0):
    """100 species, 20 of them unseen, one a family; the unseen ones' families moved by `shift`."""
    g = geometry("birds", species=100, images=10, seed=1)
    x, y = torch.from_numpy(g.latents), torch.from_numpy(g.labels)
    family = [f if c < 80 else (f + shift) % FAMILIES for c, f in enumerate(g.families.tolist())]
    names = [f"species {c}" for c in range(100)]
    h = taxonomy("birds", names, [f"family {f}" for f in family], [f"{f % ORDERS}" for f in family])
    means = torch.stack([x[y == c].mean(dim=0) for c in range(80)])
    seen = y < 80
    t = Task(h, tuple(names[:80]), tuple(names[80:]), means, x[seen], y[seen])
    return t, x[~seen], y[~seen] - 80


@pytest.fixture(scope="module")
def world():
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
def test_rivals_beat_chance_and_need_the_hierarchy(name, world):
    t, x, y, p = world
    got = evaluate(t, RIVALS[name](t, x, p), y)
    assert got.flat[1] > 5 * got.chance[1] and got.flat[5] > 3 * got.chance[5]
    assert got.tied == 0
    assert (got.general is None) == name.endswith("AMP")
    other, _, _ = birds(shift=7)
    lost = evaluate(other, RIVALS[name](other, x, p), y)
    assert lost.flat[1] < 2 * lost.chance[1]


def test_devise_is_seeded_and_ranks_the_seen_classes(world):
    t, x, y, _ = world
    assert torch.equal(devise(t, x).values, devise(t, x).values)
    assert not torch.equal(devise(t, x).values, devise(t, x, seed=1).values)
    moved = replace(t, features=3 * t.features + 5)  # neither scale nor origin matters
    torch.testing.assert_close(
        devise(moved, 3 * x + 5).values, devise(t, x).values, atol=0.01, rtol=0
    )
    seen = devise(t, t.features).values[:, :80]
    rank = (seen >= seen.gather(1, t.labels[:, None])).sum(dim=1)
    assert (rank <= 5).double().mean() > 0.8


@pytest.mark.parametrize("name", RIVALS)
def test_classes_in_one_place_are_tied_to_every_rival(name, world):
    """Two unseen species in one family: no rival can tell them apart."""
    t, x, y, p = world
    (family,) = (p for p, c in t.hierarchy.pairs() if c == t.unseen[0])
    names, pairs = (*t.unseen[:-1], "twin"), [*t.hierarchy.pairs(), (family, "twin")]
    two = Task(Hierarchy(pairs), t.seen, names, t.means, t.features, t.labels)
    found = RIVALS[name](two, x, p)
    assert evaluate(two, found, y).tied == 2
    assert found.ties[80] == found.ties[99]


def test_rivals_are_table_2s():
    names = {name.removeprefix(SPIRIT) for name in RIVALS}  # [21] is our rule on other features
    assert set(RIVALS) == set(DIFFERENCES) and names == set(TABLE_2["zero-shot"]) - {"PDDM", "[21]"}


def test_what_is_partly_from_memory_is_named_so():
    remembered = {name for name, what in DIFFERENCES.items() if "memory" in what or "ours" in what}
    assert remembered == {n for n in RIVALS if n.startswith(SPIRIT)}
    assert {n.removeprefix(SPIRIT) for n in remembered} == {"PST", "[25]", "AMP"}


def test_errors(world):
    t, x, _, _ = world
    bare = replace(t, features=None)
    for train in (seen_probabilities, devise):
        with pytest.raises(UserError, match="give Task the training features and labels"):
            train(bare, x)
        with pytest.raises(UserError, match="labels must be 0 to 79, each seen class there"):
            train(replace(t, labels=t.labels.clamp(max=78)), x)
