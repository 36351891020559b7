"""Hierarchies against plain walks over all paths: a small graph, random ones, WordNet itself."""

from pathlib import Path

import numpy as np
import pytest

from pddm_lite.data.synthetic import world
from pddm_lite.paper.table2_zero_shot.hierarchy import FAR, Hierarchy, alphabets, taxonomy, wordnet
from pddm_lite.store.errors import UserError

SHARED = Path(__file__).parents[4] / "shared" / "data"
WORDNET = SHARED / "wordnet"
needs_wordnet = pytest.mark.skipif(
    not WORDNET.exists(), reason="../shared/data/wordnet is not there"
)

# A dog is a canine and a pet: two parents, at depths 3 and 1.
PAIRS = (
    "all animal, animal mammal, mammal canine, canine dog, canine fox, all pet, pet dog, "
    "pet goldfish, animal fish, fish goldfish, dog poodle"
)


def graph(text=PAIRS, **more):
    return Hierarchy([tuple(pair.split()) for pair in text.split(", ")], **more)


def random_graph(seed, nodes=25):
    """A connected graph with one root, n0, where about a third of the nodes have two parents."""
    rng = np.random.default_rng(seed)
    pairs = [
        (f"n{p}", f"n{c}")
        for c in range(1, nodes)
        for p in rng.choice(c, size=min(c, 1 + int(rng.random() < 0.33)), replace=False)
    ]
    return Hierarchy([pairs[i] for i in rng.permutation(len(pairs))])


def lengths_up(h, a):
    """Ancestor (and a itself) -> lengths of all paths up to it, by walking every path."""
    found, ends = {a: [0]}, [(a, 0)]
    while ends:
        node, n = ends.pop()
        for parent, child in h.pairs():
            if child == node:
                found.setdefault(parent, []).append(n + 1)
                ends.append((parent, n + 1))
    return found


def distance(h, a, b):
    return int(h.distances([a], [b])[0, 0])


@pytest.mark.parametrize("seed", range(6))
def test_all_measures_are_those_of_walking_every_path(seed):
    h = random_graph(seed)
    assert any(len(p) > 1 for p in h.parents)
    up = {a: lengths_up(h, a) for a in h.nodes}
    steps, D = h.steps(h.nodes), h.distances(h.nodes[::2], h.nodes)
    for i, a in enumerate(h.nodes):
        assert h.above(a) == set(up[a])
        assert h.depth[i] == max(up[a]["n0"])
        for j, b in enumerate(h.nodes):
            assert steps[j, i] == min(up[a].get(b, [FAR]))
            common = [c for c in up[a] if c in up[b]]
            want = min(min(up[a][c]) + min(up[b][c]) for c in common)
            assert distance(h, a, b) == want
            if i % 2 == 0:
                assert D[i // 2, j] == want


@pytest.mark.parametrize("seed", range(4))
def test_restriction_keeps_every_measure(seed):
    h = random_graph(seed, 40)
    classes = [f"n{i}" for i in range(20, 40, 3)]
    small = h.restricted(classes)
    assert len(small) < len(h)
    assert set(small.nodes) == {b for c in classes for b in lengths_up(h, c)}
    assert (small.distances(classes, classes) == h.distances(classes, classes)).all()
    for c in classes:
        assert small.above(c) == h.above(c)
        assert small.depth[small.place[c]] == h.depth[h.place[c]]


def test_errors_name_what_is_wrong():
    with pytest.raises(UserError, match="has no is-a pair"):
        Hierarchy([])
    with pytest.raises(UserError, match=r"circle, (b -> c -> b|c -> b -> c);"):
        graph("a b, b c, c b")
    with pytest.raises(UserError, match="circle, a -> a;"):
        graph("a a")
    with pytest.raises(UserError, match="^unknown class of zoo 'foks'. Did you mean 'fox'"):
        distance(graph(title="zoo"), "dog", "foks")
    with pytest.raises(UserError, match=r"class 'y' \(a Y\) has no path to the rest.*'all'"):
        graph(PAIRS + ", x y", words={"y": "a Y"}).restricted(["y", "dog", "fox"])
    with pytest.raises(UserError, match="at least two classes"):
        graph().restricted(["dog"])


def small_wordnet(folder, is_a=None, words=None):
    (folder / "is_a.txt").write_text(
        is_a or "n00000001 n00000002\nn00000001 n00000003\n", encoding="utf-8"
    )
    (folder / "words.txt").write_text(
        words or "n00000001\tthing, entity\nn00000002\tdog\n", encoding="utf-8"
    )
    return wordnet(folder)


def test_wordnet_files(tmp_path):
    h = small_wordnet(tmp_path)
    assert distance(h, "n00000002", "n00000003") == 2
    assert [h.name(n) for n in ("n00000001", "n00000003")] == ["thing, entity", "n00000003"]


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "n00000001",
        "n00000001 n0000002",
        "n00000001 n00000002 n00000003",
        "n00000001\tn00000002",
    ],
)
def test_a_bad_line_of_pairs_is_named(tmp_path, bad):
    with pytest.raises(UserError, match=r"is_a\.txt, line 2: .* is not parent and child"):
        small_wordnet(tmp_path, is_a=f"n00000001 n00000002\n{bad}\nn00000001 n00000003\n")


def test_a_bad_line_of_words_is_named(tmp_path):
    for bad in ("", "n00000001 dog", "n00000001\t ", "dog\tn00000001"):
        with pytest.raises(UserError, match=r"words\.txt, line 1: .* is not wnid, tab and names"):
            small_wordnet(tmp_path, words=f"{bad}\nn00000002\tdog\n")
    with pytest.raises(UserError, match="nowhere/is_a.txt cannot be read"):
        wordnet(tmp_path / "nowhere")


@needs_wordnet
def test_wordnet_itself():
    h = wordnet(WORDNET)
    fox, dog, car = "n02119789", "n02084071", "n04285008"
    assert h.name(fox).startswith("kit fox") and h.name(car).startswith("sports car")
    assert distance(h, fox, dog) == 3 < distance(h, fox, car)
    assert len(h.parents[h.place[dog]]) == 2
    assert "entity" in {h.name(a) for a in h.above(car)}
    with pytest.raises(UserError, match="WordNet has no class 'n99999999'"):
        h.restricted([fox, "n99999999"])
    west_indies = "n08747054"  # one of the few roots besides entity
    with pytest.raises(UserError, match=rf"class '{west_indies}' \(West Indies.*no path"):
        h.restricted([fox, dog, west_indies])
    inner = {p for parents in h.parents for p in parents}
    leaves = [n for v, n in enumerate(h.nodes) if v not in inner]
    classes = [n for n in leaves[::60] if "n00001740" in h.above(n)]
    small = h.restricted(classes)
    D = small.distances(classes, classes)
    assert (D == D.T).all() and (D.diagonal() == 0).all() and D.max() < FAR
    for a, b in ((0, 1), (5, 500), (100, 90)):
        assert D[a, b] == distance(h, classes[a], classes[b])


def test_the_synthetic_taxonomy():
    w = world("birds", species=45, images=1)
    h = taxonomy("birds", w.class_names, w.families, w.orders)
    assert len(h) == 1 + 5 + 20 + 45
    assert h.above(w.class_names[0]) == {w.class_names[0], w.families[0], w.orders[0], "birds"}
    D = h.distances(w.class_names, w.class_names)
    for i in range(45):
        for j in range(45):
            same = (i == j, w.families[i] == w.families[j], w.orders[i] == w.orders[j], True)
            assert D[i, j] == 2 * same.index(True)


def test_alphabets():
    h = alphabets(["Greek/character01", "Greek/character02", "Latin/character01"])
    assert distance(h, "Greek/character01", "Greek/character02") == 2
    assert distance(h, "Greek/character01", "Latin/character01") == 4
    with pytest.raises(UserError, match="class 'character01' is not called <Alphabet>/<character>"):
        alphabets(["Greek/character01", "character01"])
