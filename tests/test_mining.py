"""Hard quadruplets and semi-hard triplets against exhaustive search in plain loops."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from pddm_lite.mining import hard_quadruplets, positive_pairs, random_negatives, semihard_triplets
from pddm_lite.pddm import LMDM, PDDM, Euclidean, Mahalanobis

D = 6


def similarity(kind, seed=0):
    torch.manual_seed(seed)
    if kind == "euclidean":
        return Euclidean()
    s = {"mahalanobis": Mahalanobis, "lmdm": LMDM, "pddm": PDDM}[kind](D).double().eval()
    for p in s.parameters():
        torch.nn.init.normal_(p, std=0.5)
    if kind == "pddm":  # all scores far below 0
        with torch.no_grad():
            s.W_s.bias.fill_(-50.0)
    return s


def batch(sizes, seed):
    """Unit features [m, D] and shuffled labels with classes of the given sizes."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.tensor([c * 7 + 3 for c, n in enumerate(sizes) for _ in range(n)])
    labels = labels[torch.randperm(len(labels), generator=g)]
    return F.normalize(torch.randn(len(labels), D, generator=g, dtype=torch.float64), dim=1), labels


def search(S, labels, number):
    """Quadruplets (i, j, k, l), and the pairs whose scores are needed to find them, by loops."""
    m = len(labels)
    positives = [(i, j) for i, j in itertools.combinations(range(m), 2) if labels[i] == labels[j]]
    order = sorted(positives, key=lambda p: S[p[0]][p[1]])
    if number:
        order = order[:number]

    def hardest_negative(of):
        best, at = -math.inf, None
        for n in range(m):
            if labels[n] != labels[of] and S[of][n] > best:
                best, at = S[of][n], n
        return at

    scored = set(positives)
    for pair in order:
        for end in pair:
            scored |= {(min(end, n), max(end, n)) for n in range(m) if labels[n] != labels[end]}
    return [(i, j, hardest_negative(i), hardest_negative(j)) for i, j in order], scored


BATCHES = [(2, 1), (2, 2), (4, 4, 4), (1, 5, 2), (3, 1, 1, 1), (7, 2, 4), (4,) * 6, (1, 1, 1, 9, 2)]


@pytest.mark.parametrize("kind", ["euclidean", "mahalanobis", "lmdm", "pddm"])
@pytest.mark.parametrize("number", [1, 3, 1000, 0])
def test_quadruplets_are_those_of_exhaustive_search(kind, number):
    shared = 0
    for seed, sizes in enumerate(BATCHES * 4):
        s = similarity(kind, seed)
        f, labels = batch(sizes, seed)
        S, y = s.all_pairs(f).tolist(), labels.tolist()
        want, scored = search(S, y, number)
        q = hard_quadruplets(f, labels, s, number)
        got = list(zip(*(x.tolist() for x in q[:4]), strict=True))
        if number in (0, 1000) or number >= len(
            positive_pairs(labels)[0]
        ):  # every pair: in the order of positive_pairs
            want = sorted(want)
        assert got == want, (seed, sizes)
        for i, j, k, l in got:
            assert y[i] == y[j] and i < j and y[k] != y[i] and y[l] != y[j]
            shared += k == l
        low, high = (pick(S[a][b] for a, b in scored) for pick in (min, max))
        assert q.low.item() == pytest.approx(low, abs=1e-12)
        assert q.high.item() == pytest.approx(high, abs=1e-12)
        if kind == "pddm":
            assert high < 0
        assert not (q.low.requires_grad or q.high.requires_grad)
    assert shared > 0  # k = l is allowed, and these batches have it


class Counting(Euclidean):
    def __init__(self):
        super().__init__()
        self.asked = []

    def pairs(self, f, i, j):
        self.asked.append([tuple(sorted(p)) for p in zip(i.tolist(), j.tolist(), strict=True)])
        return super().pairs(f, i, j)

    def all_pairs(self, f):
        raise AssertionError("mining must not score all pairs")


def test_the_papers_batch_costs_216_pairs():
    f, labels = batch((4,) * 16, seed=3)
    s = Counting()
    q = hard_quadruplets(f, labels, s, number=1)
    assert [len(a) for a in s.asked] == [96, 120]
    asked = sum(s.asked, [])
    assert len(set(asked)) == 216  # none twice
    _, scored = search(Euclidean().all_pairs(f).tolist(), labels.tolist(), 1)
    assert set(asked) == scored
    assert len(q.i) == 1


@pytest.mark.parametrize("number", [2, 5, 0])
def test_no_pair_is_scored_twice_or_in_vain(number):
    f, labels = batch((4, 3, 5, 2), seed=1)
    s = Counting()
    hard_quadruplets(f, labels, s, number)
    asked = sum(s.asked, [])
    _, scored = search(Euclidean().all_pairs(f).tolist(), labels.tolist(), number)
    assert len(asked) == len(set(asked)) and set(asked) == scored


@pytest.mark.parametrize(
    "labels", [[0, 1, 2, 3], [5, 5, 5], [0], []], ids=["no positive", "no negative", "one", "empty"]
)
def test_a_batch_without_positives_or_negatives_is_refused(labels):
    f = torch.randn(len(labels), D)
    with pytest.raises(ValueError, match="two images of one class and an image of another"):
        hard_quadruplets(f, torch.tensor(labels, dtype=torch.int64), Euclidean())


def test_positive_pairs_are_ordered_and_complete():
    for seed, sizes in enumerate(BATCHES):
        _, labels = batch(sizes, seed)
        y = labels.tolist()
        want = [p for p in itertools.combinations(range(len(y)), 2) if y[p[0]] == y[p[1]]]
        i, j = positive_pairs(labels)
        assert list(zip(i.tolist(), j.tolist(), strict=True)) == want


def loop_semihard(d, y):
    out, fallbacks = [], 0
    for a, p in itertools.permutations(range(len(y)), 2):
        if y[a] != y[p]:
            continue
        negatives = [n for n in range(len(y)) if y[n] != y[a]]
        farther = [n for n in negatives if d[a][n] > d[a][p]]
        fallbacks += not farther
        if farther:
            out.append((a, p, min(farther, key=lambda n: d[a][n])))
        else:
            out.append((a, p, max(negatives, key=lambda n: d[a][n])))
    return out, fallbacks


def test_semihard_triplets_are_those_of_the_loops_and_fall_back_to_the_farthest():
    fallbacks = 0
    for seed, sizes in enumerate(BATCHES * 4):
        _, labels = batch(sizes, seed)
        g = torch.Generator().manual_seed(seed)
        d = torch.rand(len(labels), len(labels), generator=g, dtype=torch.float64)
        d = (d + d.T).fill_diagonal_(0)
        want, fell_back = loop_semihard(d.tolist(), labels.tolist())
        fallbacks += fell_back
        got = zip(*(x.tolist() for x in semihard_triplets(d, labels)), strict=True)
        assert sorted(got) == sorted(want)
    assert fallbacks > 10


def test_a_negative_as_far_as_the_positive_is_not_farther():
    d = torch.tensor([[0.0, 1, 1, 2], [1, 0, 1, 1], [1, 1, 0, 9], [2, 1, 9, 0]])
    a, p, n = semihard_triplets(d, torch.tensor([0, 0, 1, 2]))
    assert list(zip(a.tolist(), p.tolist(), n.tolist(), strict=True)) == [(0, 1, 3), (1, 0, 2)]


def test_random_negatives_reach_every_other_class_and_never_the_own():
    labels = torch.tensor([0, 0, 1, 1, 1, 2])
    torch.manual_seed(0)
    anchors = torch.arange(6).repeat(400)
    drawn = random_negatives(labels, anchors)
    assert (labels[drawn] != labels[anchors]).all()
    for a in range(6):
        counts = torch.bincount(drawn[anchors == a], minlength=6)[labels != labels[a]]
        # uniform: 400 draws over at most 5 images, four standard deviations
        mean = 400 / len(counts)
        assert (counts - mean).abs().max() < 4 * mean**0.5 + 1


class Scores:
    """A similarity read from a table, so that ties are exact."""

    def __init__(self, S):
        self.S = S

    def pairs(self, f, i, j):
        return self.S[i, j]


def semihard_negative(S, labels, i, S_ij):
    """The rule in plain words: of the negatives below S_ij the most similar, the first of equals;
    where none is below, the least similar of all."""
    negatives = [n for n in range(len(labels)) if labels[n] != labels[i]]
    below = [n for n in negatives if S[i][n] < S_ij]
    best = None
    for n in below or negatives:
        nearer = best is None or (S[i][n] > S[i][best] if below else S[i][n] < S[i][best])
        best = n if nearer else best
    return best


@pytest.mark.parametrize("kind", ["euclidean", "mahalanobis", "lmdm", "pddm", "ties"])
@pytest.mark.parametrize("number", [1, 3, 0])
def test_semihard_negatives_are_those_of_exhaustive_search(kind, number):
    none_below = some_below = 0
    for seed, sizes in enumerate(BATCHES * 4):
        f, labels = batch(sizes, seed)
        S = torch.randint(0, 4, (len(labels),) * 2, generator=torch.Generator().manual_seed(seed))
        S = S.double() if kind == "ties" else similarity(kind, seed).all_pairs(f)
        S = S.triu() + S.triu(1).T
        s = Scores(S)  # one number a pair, whatever else is scored with it
        q = hard_quadruplets(f, labels, s, number, "semihard")
        hardest = hard_quadruplets(f, labels, s, number)
        assert torch.equal(q.i, hardest.i) and torch.equal(q.j, hardest.j)  # the same pairs
        assert q.low == hardest.low and q.high == hardest.high
        for i, j, k, l in zip(*(x.tolist() for x in q[:4]), strict=True):
            row, S_ij = S.tolist(), S[i, j].item()
            for end, negative in ((i, k), (j, l)):
                want = semihard_negative(row, labels.tolist(), end, S_ij)
                assert negative == want
                some_below += row[end][negative] < S_ij
                none_below += row[end][negative] >= S_ij
    assert some_below and none_below  # both halves of the rule were met
