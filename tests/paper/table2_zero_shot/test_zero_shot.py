"""Zero-shot recognition: the rules against plain loops, ties, the synthetic world end to end."""

import itertools

import numpy as np
import pytest
import torch

from pddm_lite.data.synthetic import FAMILIES
from pddm_lite.paper.table2_zero_shot.hierarchy import FAR, Hierarchy
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


def test_rules_by_hand():
    # fox has two parents. dog, animal: {wolf}; pet: {guppy}; all: {wolf, guppy, bus}
    t = task("wolf guppy bus", "fox")
    want = [(2 + 1 / 3) / 4, (1 + 1 / 3) / 4, 1 / 3 / 4]
    assert relatives(t).tolist()[0] == pytest.approx(want)
    # a chain of single children: b and a have y alone, all has y and z
    t = task("y z", "x", [("all", "a"), ("a", "b"), ("b", "x"), ("b", "y"), ("all", "z")])
    assert relatives(t).tolist()[0] == pytest.approx([(1 + 1 + 1 / 2) / 3, 1 / 2 / 3])
    assert relatives(t, "distinct").tolist()[0] == pytest.approx([(1 + 1 / 2) / 2, 1 / 2 / 2])


def by_loop(t, rule, u):
    """The unseen class's mean, by the formulas above the rules."""

    def above(c):
        steps = t.hierarchy.steps([c])[:, 0].tolist()
        return [a for a, n in zip(t.hierarchy.nodes, steps, strict=True) if n < FAR]

    sets = [tuple(s for s in t.seen if a in above(s)) for a in above(u)]
    sets = [classes for classes in sets if classes]
    means = [
        sum(t.means[t.seen.index(s)] for s in classes) / len(classes)
        for classes in (sets if rule == "ancestors" else set(sets))
    ]
    return sum(means) / len(means)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(8))
def test_means_are_those_of_plain_loops(rule, seed, random_task):
    t, rng = random_task(seed)
    mu = torch.stack([by_loop(t, rule, u) for u in t.unseen])
    W = relatives(t, rule)
    torch.testing.assert_close(W @ t.means, mu)
    torch.testing.assert_close(W.sum(dim=1), torch.ones(len(t.unseen), dtype=W.dtype))
    x = torch.from_numpy(rng.normal(size=(5, 4)))
    found = by_means(t, x, rule)
    away = torch.cdist(x, mu).square()
    torch.testing.assert_close(x.square().sum(1, keepdim=True) - found.values, away)
    for a in range(len(t.unseen)):  # classes are tied exactly if they have the same mean
        for b in range(len(t.unseen)):
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
    rng = np.random.default_rng(seed)
    values = torch.from_numpy(rng.integers(0, 4, size=(12, 5)).astype(float))  # many ties
    labels = torch.from_numpy(rng.integers(0, 5, size=12))
    got = evaluate(Scores(values, torch.arange(5)), labels, ks=(1, 3, 5))
    for k in (1, 3, 5):
        flat = [shares(v, k)[y] for v, y in zip(values.tolist(), labels.tolist(), strict=True)]
        assert got.flat[k] == pytest.approx(100 * np.mean(flat))
        assert got.chance[k] == pytest.approx(100 * k / 5)
    assert got.tied == 0


def test_the_tied_stand_in_random_order():
    labels = torch.tensor([0, 1, 2])  # of lynx, fox, van and cat
    # A score that says nothing is as good as guessing.
    got = evaluate(Scores(torch.zeros(3, 4), torch.arange(4)), labels, ks=(1, 3, 4))
    assert got.flat == got.chance == {1: 25, 3: 75, 4: 100}
    assert got.ceiling == {1: 100, 3: 100, 4: 100}  # these ties are the score's, not the method's
    # lynx and fox are the same to the method; the numbers differ by rounding, as they may.
    values = torch.tensor([[1 + 1e-7, 1, 0.5, 0]] * 3)
    for values_ in (values, values[:, [1, 0, 2, 3]]):
        got = evaluate(Scores(values_, torch.tensor([3, 3, 4, 5])), labels, ks=(1, 2))
        assert got.tied == 2
        assert got.flat == pytest.approx({1: 100 / 3, 2: 200 / 3})
        assert got.ceiling == pytest.approx({1: 100 * (1 / 2 + 1 / 2 + 1) / 3, 2: 100})
    apart = evaluate(Scores(values, torch.arange(4)), labels, ks=(1, 2))
    assert apart.tied == 0 and apart.flat[1] == pytest.approx(100 / 3)


def test_error_distances_are_those_of_plain_loops():
    # unseen: lynx and tiger (2 steps apart), fox (4 from both), van (4 from the cats and from fox)
    t = task("lion wolf bus guppy", "lynx tiger fox van")
    values = torch.tensor([[9.0, 1, 0, 0], [2, 2, 0, 0], [0, 0, 1, 3], [0, 0, 0, 5]])
    ties = torch.tensor([4, 4, 5, 6])  # lynx and tiger are the same: they share
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
    assert found.index.is_monotonic_increasing


def test_same_numbers_rows_to_twelve_digits():
    third = torch.tensor([[1 / 3, 2 / 3], [1 / 3 + 1e-16, 2 / 3], [1 / 3 + 1e-6, 2 / 3]]).double()
    a, b, c = same(third).tolist()
    assert a == b != c


@pytest.mark.parametrize("rule", RULES)
def test_relatives_recognise_unseen_species_and_a_shuffled_hierarchy_does_not(rule, birds):
    """Moved round by 0 to 19 families, each image finds its class exactly once: 1/20 on average."""
    found = []
    for shift in range(FAMILIES):
        t, x, y = birds(shift)
        found.append(evaluate(by_means(t, x, rule), y))
    own = found[0]
    assert own.tied == 0 and own.chance == {1: 5, 5: 25}
    assert own.flat[1] > 8 * own.chance[1] and own.flat[5] > 90
    for k in (1, 5):
        top = [r.flat[k] for r in found]
        assert top[0] == max(top) and np.mean(top) == pytest.approx(100 * k / FAMILIES)


def test_errors():
    with pytest.raises(UserError, match="class 'bolt' .* no path to the rest"):
        task("lion bus", "bolt", [*PAIRS, ("tool", "bolt")])
    t = task("lion bus", "lynx van")
    labels = torch.tensor([0])
    broken = Scores(torch.full((1, 2), torch.nan), torch.arange(2))
    for call in (lambda: evaluate(broken, labels), lambda: error_distances(t, broken, labels)):
        with pytest.raises(UserError, match="not finite"):
            call()
