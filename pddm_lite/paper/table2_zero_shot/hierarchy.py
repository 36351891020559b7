"""Is-a hierarchies of classes: WordNet's, the synthetic world's and Omniglot's.

How a class without an image gets a mean from its relatives is zero_shot.py.

A hierarchy is a directed acyclic graph and not always a tree: in WordNet a node may have several
parents. Edges point from parent to child. Three measures are used, all in steps (edges):

    steps(c, a)    fewest steps up from c to its ancestor a; 0 to itself
    depth(v)       most steps from a root down to v, so that a child is deeper than each parent
    distance(b, c) = min over common ancestors a of steps(b, a) + steps(c, a)

The distance goes up and then down, as the path distance of WordNet's own tools does: two classes
are not near for having a child in common.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import numpy as np

from ...store.errors import UserError, unknown

IS_A = re.compile(r"(n\d{8}) (n\d{8})")  # a line of WordNet's lists: parent, child
WORDS = re.compile(r"(n\d{8})\t(.*\S.*)")  # wnid, names
FAR = 16383  # steps to a node that is no ancestor; the sum of two still fits 16 bits


class Hierarchy:
    """Nodes and their parents, in an order in which every parent comes before its children.

    Args:
        pairs: (parent, child); a pair that comes twice counts once.
        title: what it is, for messages.
        words: names of nodes for people to read; a node without one is called by its id.

    Attributes:
        nodes: ids, [V] parents before children.
        parents: [V] places of each node's parents in `nodes`.
        depth: int64 [V], most steps from a root down to the node; 0 for a root.

    Raises:
        UserError: no pairs, or a cycle among them.
    """

    def __init__(
        self,
        pairs: Iterable[tuple[str, str]],
        title: str = "hierarchy",
        words: Mapping[str, str] | None = None,
    ):
        above: dict[str, list[str]] = {}
        for parent, child in dict.fromkeys(pairs):
            above.setdefault(parent, [])
            above.setdefault(child, []).append(parent)
        if not above:
            raise UserError(f"{title}: it has no is-a pair; give pairs of a parent and a child.")
        try:
            self.nodes = tuple(TopologicalSorter(above).static_order())
        except CycleError as err:
            circle = " -> ".join(err.args[1])  # each is a parent of the next, back to the first
            raise UserError(
                f"{title}: the is-a pairs run in a circle, {circle}; take one of them out."
            ) from None
        self.title, self.words = title, words or {}
        self.place = {node: v for v, node in enumerate(self.nodes)}
        self.parents = [[self.place[p] for p in above[node]] for node in self.nodes]
        self.depth = np.zeros(len(self.nodes), dtype=np.int64)
        for v, parents in enumerate(self.parents):
            for p in parents:
                self.depth[v] = max(self.depth[v], self.depth[p] + 1)

    def __len__(self) -> int:
        return len(self.nodes)

    def name(self, node: str) -> str:
        """What people call the node."""
        return self.words.get(node, node)

    def places(self, classes: Sequence[str]) -> list[int]:
        """Places of the classes in `nodes`; UserError names one that the hierarchy lacks."""
        for c in classes:
            if c not in self.place:
                if len(self) > 1000:  # the nearest of 74,000 ids says nothing
                    raise UserError(f"{self.title} has no class '{c}'; check the id's spelling.")
                raise unknown(f"class of {self.title}", c, self.nodes)
        return [self.place[c] for c in classes]

    def steps(self, classes: Sequence[str]) -> np.ndarray:
        """Fewest steps up from each class to every node: int16 [V, classes], FAR if not above it.

        From the leaves up:  steps(c, v) = min over children w of v of steps(c, w) + 1.
        """
        steps = np.full((len(self), len(classes)), FAR, dtype=np.int16)
        steps[self.places(classes), np.arange(len(classes))] = 0
        for v in reversed(range(len(self))):
            for p in self.parents[v]:
                np.minimum(steps[p], steps[v] + 1, out=steps[p])
        return np.minimum(steps, FAR)

    def distances(self, a: Sequence[str], b: Sequence[str]) -> np.ndarray:
        """Path distance of every class of a to every one of b: int16 [a, b], in steps; FAR if none.

        From the roots down, F(c, v) = min(steps(c, v), min over parents p of v of F(c, p) + 1): go
        up first, then down. Quick with few classes in a hierarchy that is restricted to them.
        """
        down = self.steps(a)
        for v, parents in enumerate(self.parents):
            for p in parents:
                np.minimum(down[v], down[p] + 1, out=down[v])
        return np.minimum(down[self.places(b)].T, FAR)

    def above(self, node: str) -> set[str]:
        """The node and all its ancestors."""
        todo, found = self.places([node]), set()
        while todo:
            if (v := todo.pop()) not in found:
                found.add(v)
                todo += self.parents[v]
        return {self.nodes[v] for v in found}

    def restricted(self, classes: Sequence[str]) -> Hierarchy:
        """The hierarchy of these classes and what lies above them: small, so all is quick.

        Depths, steps and distances among the classes stay as they are.

        Raises:
            UserError: a class that the hierarchy lacks, or one that does not reach the root that
                most of the classes have in common.
        """
        if len(self.places(classes)) < 2:
            raise UserError(f"{self.title}: it takes at least two classes, not {len(classes)}.")
        above = {c: self.above(c) for c in classes}
        kept = set().union(*above.values())
        roots = [node for node in self.nodes if node in kept and not self.parents[self.place[node]]]
        root = max(roots, key=lambda r: sum(r in nodes for nodes in above.values()))
        lone = [c for c in classes if root not in above[c]]
        if lone:
            raise UserError(
                f"{self.title}: class '{lone[0]}' ({self.name(lone[0])}) has no path to the rest, "
                f"which lie below '{root}' ({self.name(root)}); leave it out or add its is-a pair."
            )
        pairs = [(p, c) for p, c in self.pairs() if c in kept]
        return Hierarchy(pairs, self.title, self.words)

    def pairs(self) -> list[tuple[str, str]]:
        """All (parent, child)."""
        return [(self.nodes[p], c) for c, v in self.place.items() for p in self.parents[v]]


def wordnet(folder: str | Path) -> Hierarchy:
    """WordNet's nouns from is_a.txt ("parent child" a line) and words.txt ("wnid<TAB>names").

    Args:
        folder: with the two files, as image-net.org gave them out; a wnid is n and 8 digits.

    Raises:
        UserError: a file that is not there, a line that is empty or of another form (by file and
            line number), a cycle.
    """
    folder = Path(folder)
    pairs = list(_rows(folder / "is_a.txt", IS_A, "parent and child"))
    words = dict(_rows(folder / "words.txt", WORDS, "wnid, tab and names"))
    return Hierarchy(pairs, "WordNet", words)


def _rows(path: Path, pattern: re.Pattern, form: str) -> Iterator[tuple[str, str]]:
    """The two parts of each line of the file."""
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as err:
        raise UserError(f"{path} cannot be read ({err}); fetch WordNet's lists again.") from None
    for number, line in enumerate(lines, start=1):
        found = pattern.fullmatch(line)
        if not found:
            raise UserError(
                f"{path}, line {number}: {line[:40]!r} is not {form}, a wnid being n and 8 digits."
            )
        yield found.groups()


def taxonomy(
    root: str, classes: Sequence[str], families: Sequence[str], orders: Sequence[str]
) -> Hierarchy:
    """The synthetic world's: root -> order -> family -> species.

    Args:
        root: the kind, "birds" or "cars".
        classes, families, orders: names [C] of each species, its family and its order, as
            `pddm_lite.data.synthetic.World` has them.
    """
    pairs = [(root, order) for order in orders]
    pairs += zip(orders, families, strict=True)
    pairs += zip(families, classes, strict=True)
    return Hierarchy(pairs, f"the taxonomy of {root}")


def alphabets(classes: Sequence[str]) -> Hierarchy:
    """Omniglot's: root -> alphabet -> character, from class names "<Alphabet>/<character>".

    The official halves share no alphabet: between them only the root is in common.

    Raises:
        UserError: a class name without an alphabet.
    """
    for c in classes:
        if not re.fullmatch(r"[^/]+/[^/]+", c):
            raise UserError(f"Omniglot: class '{c}' is not called <Alphabet>/<character>.")
    pairs = [("Omniglot", c.split("/")[0]) for c in classes]
    return Hierarchy(pairs + [(c.split("/")[0], c) for c in classes], "Omniglot")
