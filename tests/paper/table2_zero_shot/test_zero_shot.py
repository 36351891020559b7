"""Zero-shot recognition: each rule against plain loops, ties, and the embedded world end to end."""

import itertools

import numpy as np
import pytest
import torch

from pddm_lite.data.synthetic import FAMILIES, ORDERS, geometry
from pddm_lite.paper.table2_zero_shot.hierarchy import FAR, Hierarchy, taxonomy
from pddm_lite.paper.table2_zero_shot.zero_shot import (
    RULES,
    Scores,
    Task,
    by_means,
    error_distances,
    evaluate,
    relatives,
    same,
)
from pddm_lite.store.errors import UserError

# The tree: all -> (animal -> (cat -> lion, tiger, lynx), (dog -> fox, wolf)), (car -> van, bus)
# and, for two parents, all -> pet -> fox.
PAIRS = [
    tuple(pair.split())
    for pair in (
        "all animal, animal cat, cat lion, cat tiger, cat lynx, animal dog, dog fox, dog wolf, "
        "all car, car van, car bus, all pet, pet fox, pet guppy"
    ).split(", ")
]


def task(seen, unseen, pairs=PAIRS, means=None):
    seen, unseen = tuple(seen.split()), tuple(unseen.split())
    means = torch.eye(len(seen)) if means is None else means
    return Task(Hierarchy(pairs), seen, unseen, means)


def weights(rule, seen, unseen):
    """{seen class: weight} of the one unseen class."""
    t = task(seen, unseen)
    (row,) = relatives(t, rule).tolist()
    return {c: pytest.approx(w) for c, w in zip(t.seen, row, strict=True) if w > 0}


def test_rules_by_hand():
    # cat: lion, tiger. animal: lion, tiger, wolf. all: and bus.
    seen = "lion tiger wolf bus"
    assert weights("siblings", seen, "lynx") == {"lion": 1 / 2, "tiger": 1 / 2}
    assert weights("nearest", seen, "lynx") == {"lion": 1 / 2, "tiger": 1 / 2}
    by_three = {
        "lion": (1 / 2 + 1 / 3 + 1 / 4) / 3,
        "tiger": (1 / 2 + 1 / 3 + 1 / 4) / 3,
        "wolf": (1 / 3 + 1 / 4) / 3,
        "bus": 1 / 4 / 3,
    }
    assert weights("ancestors", seen, "lynx") == by_three
    by_depth = {  # the depths of cat, animal and all are 2, 1 and 0: weights 3, 2 and 1
        "lion": (3 / 2 + 2 / 3 + 1 / 4) / 6,
        "tiger": (3 / 2 + 2 / 3 + 1 / 4) / 6,
        "wolf": (2 / 3 + 1 / 4) / 6,
        "bus": 1 / 4 / 6,
    }
    assert weights("depth", seen, "lynx") == by_depth


def test_rules_with_two_parents():
    # fox is a dog (wolf) and a pet (guppy): both parents count, each class once.
    assert weights("siblings", "wolf guppy bus", "fox") == {"wolf": 1 / 2, "guppy": 1 / 2}
    # without wolf, dog has none: the nearest ancestor with any is pet
    assert weights("siblings", "lion guppy bus", "fox") == {"guppy": 1}
    assert weights("nearest", "lion guppy bus", "fox") == {"guppy": 1}
    # dog, animal: {wolf}; pet: {guppy}; all: {wolf, guppy, bus}
    want = {"wolf": (2 + 1 / 3) / 4, "guppy": (1 + 1 / 3) / 4, "bus": 1 / 3 / 4}
    assert weights("ancestors", "wolf guppy bus", "fox") == want


def test_a_chain_of_single_children_counts_once_in_the_rule_of_distinct_sets():
    pairs = [("all", "a"), ("a", "b"), ("b", "x"), ("b", "y"), ("all", "z")]
    found = {}
    for rule in ("ancestors", "distinct"):
        found[rule] = relatives(task("y z", "x", pairs), rule).tolist()[0]
    # b and a have y alone; all has y and z
    assert found["ancestors"] == pytest.approx([(1 + 1 + 1 / 2) / 3, 1 / 2 / 3])
    assert found["distinct"] == pytest.approx([(1 + 1 / 2) / 2, 1 / 2 / 2])


def test_an_unseen_inner_node_takes_what_is_below_it():
    assert weights("siblings", "lion tiger wolf", "cat") == {"lion": 1 / 2, "tiger": 1 / 2}
    assert weights("nearest", "lion tiger wolf bus", "animal") == {
        c: 1 / 3 for c in ("lion", "tiger", "wolf")
    }


# ------------------------------------------------------------ random graphs against plain loops


def random_task(seed, nodes=30, seen=9, unseen=7):
    rng = np.random.default_rng(seed)
    pairs = [
        (f"n{p}", f"n{c}")
        for c in range(1, nodes)
        for p in rng.choice(c, size=min(c, 1 + int(rng.random() < 0.3)), replace=False)
    ]
    names = [f"n{i}" for i in rng.permutation(np.arange(3, nodes))]
    means = torch.from_numpy(rng.normal(size=(seen, 4)))
    return Task(
        Hierarchy(pairs), tuple(names[:seen]), tuple(names[seen : seen + unseen]), means
    ), rng


def by_loop(t, rule, u):
    """The unseen class's mean, by the formulas above the rules."""
    h = t.hierarchy

    def above(c):
        steps = h.steps([c])[:, 0].tolist()
        return {a: n for a, n in zip(h.nodes, steps, strict=True) if n < FAR}

    def below(a):
        return [s for s in t.seen if a in above(s)]

    def mean(classes):
        return sum(t.means[t.seen.index(s)] for s in classes) / len(classes)

    A = {a: n for a, n in above(u).items() if below(a)}
    if rule == "ancestors":
        return sum(mean(below(a)) for a in A) / len(A)
    if rule == "distinct":
        sets = {tuple(below(a)) for a in A}
        return sum(mean(classes) for classes in sets) / len(sets)
    if rule == "depth":
        w = {a: h.depth[h.place[a]] + 1 for a in A}
        return sum(w[a] * mean(below(a)) for a in A) / sum(w.values())
    if rule == "siblings":
        near = [a for a in A if A[a] == min(A.values())]
        return mean([s for s in t.seen if any(s in below(a) for a in near)])
    if rule == "nearest":
        away = h.distances([u], t.seen)[0]
        return mean([s for s, n in zip(t.seen, away, strict=True) if n == min(away)])
    raise AssertionError(rule)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(8))
def test_means_are_those_of_plain_loops(rule, seed):
    t, rng = random_task(seed)
    mu = [by_loop(t, rule, u) for u in t.unseen]
    W = relatives(t, rule)
    torch.testing.assert_close(W @ t.means, torch.stack(mu))
    torch.testing.assert_close(W.sum(dim=1), torch.ones(len(t.unseen), dtype=W.dtype))
    x = torch.from_numpy(rng.normal(size=(5, 4)))
    found = by_means(t, x, rule)
    away = torch.cdist(x, torch.cat([t.means, torch.stack(mu)])).square()
    torch.testing.assert_close(x.square().sum(1, keepdim=True) - found.values, away)
    for a in range(len(t.classes)):  # classes are tied exactly if they have the same mean
        for b in range(len(t.classes)):
            equal = torch.allclose(found.values[:, a], found.values[:, b], atol=1e-9)
            assert (found.ties[a] == found.ties[b]) == equal


def shares(values, k):
    """Of each class, in how many of all orders of tied classes it is among the k first."""
    found, orders = [0] * len(values), 0
    for order in itertools.permutations(range(len(values))):
        if all(values[a] >= values[b] for a, b in itertools.pairwise(order)):
            orders += 1
            for c in order[:k]:
                found[c] += 1
    return [n / orders for n in found]


@pytest.mark.parametrize("seed", range(4))
def test_evaluation_is_that_of_plain_loops(seed):
    t, rng = random_task(seed, unseen=5)
    S, U, N = len(t.seen), len(t.unseen), 12
    values = torch.from_numpy(rng.integers(0, 4, size=(N, S + U)).astype(float))  # many ties
    values[:, : S - 1] = -1.0  # so few that all orders can be tried
    labels = torch.from_numpy(rng.integers(0, U, size=N))
    apart = torch.arange(S + U)
    got = evaluate(t, Scores(values, apart), labels, ks=(1, 3, 5))
    v, h = values.tolist(), t.hierarchy
    for k in (1, 3, 5):
        flat, general, hp = [], [], []
        for i, y in enumerate(labels.tolist()):
            first = shares(v[i][S:], k)
            flat.append(first[y])
            general.append(shares(v[i][S - 1 :], k)[1 + y])
            # the correct set grows in rings around the true class until it has k classes
            away = h.distances([t.unseen[y]], t.unseen)[0].tolist()
            R, correct = 0, []
            while len(correct) < k:
                correct = [c for c in range(U) if away[c] <= R]
                R += 1
            hp.append(sum(first[c] for c in correct) / k)
        assert got.flat[k] == pytest.approx(100 * np.mean(flat))
        assert got.general[k] == pytest.approx(100 * np.mean(general))
        assert got.hierarchical[k] == pytest.approx(100 * np.mean(hp))
        assert got.chance[k] == pytest.approx(100 * k / U)
    assert got.hierarchical[1] == pytest.approx(got.flat[1]) and got.tied == 0


def test_the_tied_stand_in_random_order():
    t = task("lion tiger bus", "lynx fox van cat")
    labels = torch.tensor([0, 1, 2])
    # A score that says nothing is as good as guessing.
    got = evaluate(t, Scores(torch.zeros(3, 7), torch.arange(7)), labels, ks=(1, 3, 4))
    assert got.flat == got.chance == {1: 25, 3: 75, 4: 100}
    assert got.ceiling == {1: 100, 3: 100, 4: 100}  # these ties are the score's, not the method's
    # lynx and fox are the same to the method; the numbers differ by rounding, as they may.
    values = torch.tensor([[0, 0, 0, 1 + 1e-7, 1, 0.5, 0]] * 3)
    for values_ in (values, values[:, [0, 1, 2, 4, 3, 5, 6]]):
        got = evaluate(t, Scores(values_, torch.tensor([0, 1, 2, 3, 3, 4, 5])), labels, ks=(1, 2))
        assert got.tied == 2
        assert got.flat == pytest.approx({1: 100 / 3, 2: 200 / 3})
        assert got.ceiling == pytest.approx({1: 100 * (1 / 2 + 1 / 2 + 1) / 3, 2: 100})
    apart = evaluate(t, Scores(values, torch.arange(7)), labels, ks=(1, 2))
    assert apart.tied == 0 and apart.flat[1] == pytest.approx(100 / 3)
    # lynx tied with lion, which is seen: first of the unseen ones, second of all.
    values = torch.tensor([[1.0, 0, 0, 1 + 1e-7, 0.5, 0, 0]])
    both = Scores(values, torch.tensor([0, 1, 2, 0, 3, 4, 5]))
    got = evaluate(t, both, labels[:1], ks=(1, 2))
    assert got.tied == 0 and got.flat[1] == 100 and got.general == {1: 50, 2: 100}


def test_an_unseen_class_with_one_relative_is_tied_with_it():
    t = task("lion bus", "lynx van", means=torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    scores = by_means(t, torch.tensor([[0.0, 1.0]]), "nearest")
    got = evaluate(t, scores, torch.tensor([0]), ks=(1, 2))
    assert got.flat[1] == 100 and got.general == {1: 50, 2: 100} and got.tied == 0


def test_scores_of_unseen_classes_alone():
    t = task("lion bus", "lynx van")
    got = evaluate(t, Scores(torch.tensor([[1.0, 0.0]]), torch.arange(4)), torch.tensor([0]), (1,))
    assert got.flat == {1: 100} and got.general is None


def test_error_distances_are_those_of_plain_loops():
    # unseen: lynx and tiger (2 steps apart), fox (4 from both), van (4 from the cats and from fox)
    t = task("lion wolf bus guppy", "lynx tiger fox van")
    values = torch.tensor([[9.0, 1, 0, 0], [2, 2, 0, 0], [0, 0, 1, 3], [0, 0, 0, 5]])
    values = torch.cat([torch.zeros(4, 4), values], dim=1)
    ties = torch.tensor([0, 1, 2, 3, 4, 4, 5, 6])  # lynx and tiger are the same: they share
    labels = torch.tensor([0, 0, 2, 3])
    found = error_distances(t, Scores(values, ties), labels).set_index("distance")
    apart = t.hierarchy.distances(t.unseen, t.unseen)
    share, chance = dict.fromkeys(found.index, 0.0), dict.fromkeys(found.index, 0.0)
    answers = [{0: 0.5, 1: 0.5}, {0: 0.5, 1: 0.5}, {3: 1.0}, {3: 1.0}]
    for y, answer in zip(labels.tolist(), answers, strict=True):
        for c in range(4):
            share[apart[y, c]] += 100 / 4 * answer.get(c, 0.0)
            chance[apart[y, c]] += 100 / 4 / 4
    assert found["share"].to_dict() == pytest.approx(share)
    assert found["chance"].to_dict() == pytest.approx(chance)
    assert found["share"][0] == pytest.approx(50) and found["share"][2] == pytest.approx(25)
    assert found.index.is_monotonic_increasing and found.sum()[["share", "chance"]].eq(100).all()


def test_same_numbers_rows_to_twelve_digits():
    third = torch.tensor([[1 / 3, 2 / 3], [1 / 3 + 1e-16, 2 / 3], [1 / 3 + 1e-6, 2 / 3]]).double()
    a, b, c = same(third).tolist()
    assert a == b != c


# ------------------------------------------------------------------- the embedded world


def birds(shift=0):
    """100 species, 20 of them unseen, one a family; the unseen ones' families moved by `shift`."""
    g = geometry("birds", species=100, images=10, seed=1)
    x, y = torch.from_numpy(g.latents).double(), torch.from_numpy(g.labels)
    family = [f if c < 80 else (f + shift) % FAMILIES for c, f in enumerate(g.families.tolist())]
    names = [f"species {c}" for c in range(100)]
    h = taxonomy("birds", names, [f"family {f}" for f in family], [f"{f % ORDERS}" for f in family])
    means = torch.stack([x[y == c].mean(dim=0) for c in range(80)])
    seen = y < 80
    t = Task(h, tuple(names[:80]), tuple(names[80:]), means, x[seen], y[seen])
    return t, x[~seen], y[~seen] - 80


@pytest.mark.parametrize("rule", RULES)
def test_relatives_recognise_unseen_species(rule):
    t, x, y = birds()
    got = evaluate(t, by_means(t, x, rule), y)
    assert got.tied == 0 and got.chance == {1: 5, 5: 25}
    assert got.flat[1] > 8 * got.chance[1] and got.flat[5] > 90
    assert got.hierarchical[5] > 2 * got.chance[5]
    assert got.general[1] < got.flat[1]


def test_a_shuffled_hierarchy_falls_to_chance():
    """Moved round by 0 to 19 families, each image finds its class exactly once: 1/20 on average."""
    top = {k: [] for k in (1, 5)}
    for shift in range(FAMILIES):
        t, x, y = birds(shift)
        got = evaluate(t, by_means(t, x, "siblings"), y)
        for k in top:
            top[k].append(got.flat[k])
    for k, found in top.items():
        assert np.mean(found) == pytest.approx(100 * k / FAMILIES)
        assert found[0] == max(found)
        assert np.mean(found[1:]) < 100 * k / FAMILIES


def test_errors():
    with pytest.raises(UserError, match="'lynx' is both seen and unseen"):
        task("lion lynx", "lynx")
    with pytest.raises(UserError, match="seen classes are none, or one comes twice"):
        task("lion lion", "lynx")
    with pytest.raises(UserError, match="unseen classes are none"):
        task("lion", "")
    with pytest.raises(UserError, match=r"means are \[3, 2\], but must be \[2, d\]"):
        task("lion bus", "lynx", means=torch.zeros(3, 2))
    with pytest.raises(UserError, match="unknown class of hierarchy 'lyn'. Did you mean 'lynx'"):
        task("lion bus", "lyn")
    with pytest.raises(UserError, match="class 'bolt' .* no path to the rest"):
        task("lion bus", "bolt", [*PAIRS, ("tool", "bolt")])
    t = task("lion bus", "lynx van")
    with pytest.raises(UserError, match="unknown rule of relatives 'sibling'. Did you mean"):
        relatives(t, "sibling")
    scores, labels = Scores(torch.zeros(1, 4), torch.arange(4)), torch.tensor([0])
    for k in (0, 5):
        with pytest.raises(UserError, match=f"top-{k} of 2 unseen classes is not defined"):
            evaluate(t, scores, labels, (1, k))
    for wrong in (torch.tensor([2]), torch.tensor([-1]), torch.tensor([0, 0])):
        with pytest.raises(UserError, match="a label of 0 to 1"):
            evaluate(t, scores, wrong, (1,))
    with pytest.raises(UserError, match="not finite"):
        evaluate(t, Scores(torch.full((1, 4), torch.nan), torch.arange(4)), labels, (1,))
    with pytest.raises(UserError, match="not finite"):
        error_distances(t, Scores(torch.full((1, 4), torch.nan), torch.arange(4)), labels)
