"""What the place v is to a trained unit: pairs moved over the sphere, and scores without their v.

Two features of length 1 with difference delta and mean v are v + delta/2 and v - delta/2, where
v is orthogonal to delta and |v|^2 = 1 - |delta|^2 / 4. Every other v of that kind gives a pair
with the same difference at another place; a metric that sees u alone cannot tell the two apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ...measures.scores import separation
from ...pddm import LMDM, PDDM, Similarity, r
from ...training.runs import Run
from ...training.study import Study
from ..wording import spread

UNITS = ("PDDM score", "PDDM+Quadruplet", "PDDM+Triplet")  # rows that train a unit, the first best
RIVALS = ("Euclidean+Quadruplet", "LMDM score")  # see u alone
UNTRAINED = "untrained PDDM"
CONSTANT = 1e-9  # scores that vary by less do so by rounding


@dataclass(frozen=True, eq=False)
class Trained:
    """A similarity in float64 and eval mode, and the test features it was trained beside."""

    run: Run
    similarity: Similarity
    f: Tensor  # [n, d], length 1
    labels: np.ndarray  # [n]

    def score(self, delta: Tensor, v: Tensor) -> Tensor:
        """S of the pairs v + delta/2, v - delta/2: any leading shape, [..., d] -> [...]."""
        with torch.no_grad():
            return self.similarity(v + delta / 2, v - delta / 2)

    def pairs(self, ends: np.ndarray) -> tuple[Tensor, Tensor]:
        """delta and v of the pairs `ends` [P, 2] of rows of f."""
        f_i, f_j = self.f[ends[:, 0]], self.f[ends[:, 1]]
        return f_i - f_j, (f_i + f_j) / 2

    @cached_property
    def scores(self) -> pd.DataFrame:
        """3,000 real pairs of each kind: kind, S where they are (own), and S of the same pairs
        all moved to one place, the mean of all features (one)."""
        parts = {kind: self.pairs(e) for kind, e in sample_pairs(self.labels).items()}
        middle = self.f.mean(dim=0)
        frames = [
            pd.DataFrame(
                {
                    "kind": kind,
                    "own": self.score(delta, v),
                    "one": self.score(delta, mean_at(delta, middle)),
                }
            )
            for kind, (delta, v) in parts.items()
        ]
        return pd.concat(frames, ignore_index=True)

    @property
    def sd(self) -> float:
        """Standard deviation of S over these pairs, the unit in which scores can be compared; 1 for
        a collapsed unit, which has one score for all."""
        sd = self.scores["own"].std()
        return sd if sd > CONSTANT else 1.0


def unit_of(study: Study) -> str:
    """The study's row that trains a PDDM unit; UNTRAINED where it has none."""
    return next((m for m in UNITS if m in study.methods), UNTRAINED)


def load(study: Study, names: Sequence[str] = ()) -> dict[tuple[str, str, int], Trained]:
    """(data, name, seed) -> similarity and features, of the study's methods among `names`.

    By default the rivals and the unit. An untrained unit sits on the study's first method's
    features.
    """
    out = {}
    for name in names or (*RIVALS, unit_of(study)):
        if name in study.methods or name == UNTRAINED:
            source = study.methods[:1] if name == UNTRAINED else [name]
            for (data, _, seed), run in study.runs(source).items():
                arrays = run.embeddings
                # stored in half precision, and LiftedStruct's are free: back to length 1
                f = r(torch.from_numpy(arrays["f"]).double())
                one = Trained(run, run.similarity().double(), f, arrays["labels"])
                out[data, name, seed] = untrained(one, seed) if name == UNTRAINED else one
    return out


def untrained(t: Trained, seed: int) -> Trained:
    """A PDDM unit with random weights on the same features."""
    torch.manual_seed(seed)
    return replace(t, similarity=PDDM(t.f.shape[1]).double().eval())


def sample_pairs(labels: np.ndarray, number: int = 3000) -> dict[str, np.ndarray]:
    """ "positive" and "negative": `number` pairs [P, 2] of each kind, drawn with replacement.

    A positive pair is a random image with another of its class.
    """
    rng = np.random.default_rng(0)
    order = np.argsort(labels, kind="stable")
    _, start, size = np.unique(labels[order], return_index=True, return_counts=True)
    start, size = np.repeat(start, size), np.repeat(size, size)  # of each image's class
    i = rng.choice(np.flatnonzero(size > 1), number)
    step = 1 + rng.integers(size[i] - 1)
    j = start[i] + (i - start[i] + step) % size[i]
    n = len(labels)
    a, b = rng.integers(n, size=(2, 4 * number))
    apart = np.flatnonzero(labels[a] != labels[b])[:number]
    return {
        "positive": np.stack([order[i], order[j]], axis=1),
        "negative": np.stack([a[apart], b[apart]], axis=1),
    }


def mean_at(delta: Tensor, towards: Tensor) -> Tensor:
    """The v nearest to the direction `towards` at which a pair with this difference has length 1.

    v is orthogonal to delta and |v|^2 = 1 - |delta|^2 / 4. Leading shapes broadcast.
    """
    square = delta.square().sum(-1, keepdim=True)
    c = towards - (towards * delta).sum(-1, keepdim=True) / square.clamp(min=1e-12) * delta
    return r(c) * (1 - square / 4).clamp(min=0).sqrt()


def slide(v: Tensor, w: Tensor, t: Tensor) -> Tensor:
    """The way from v to w along the sphere, t in [0, 1]: [len(t), d]. It keeps |v| and v ⟂ delta,
    so that every pair on the way has the same difference and length 1."""
    cosine = (r(v) @ r(w)).clamp(-1, 1)
    angle = torch.arccos(cosine)
    if angle < 1e-6:
        return v.expand(len(t), -1)
    t = t[:, None]
    return (torch.sin((1 - t) * angle) * v + torch.sin(t * angle) * w) / torch.sin(angle)


def class_means(t: Trained, most: int = 100) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """Means [C, d] and looseness [C] of at most `most` classes of two images or more; their labels.

    Looseness is the root mean square distance of two images of the class.
    """
    names, counts = np.unique(t.labels, return_counts=True)
    names = names[counts > 1]
    names = names[np.linspace(0, len(names) - 1, min(most, len(names))).astype(int)]
    own = [t.f[torch.from_numpy(t.labels == c)] for c in names]
    loose = [(2 * x.var(dim=0).sum()).sqrt().item() for x in own]
    return torch.stack([x.mean(dim=0) for x in own]), np.array(loose), names


def explained(own: pd.Series, one: pd.Series) -> float:
    """Share of the variance of `own` that is left without own - one; 0 for a constant."""
    return 1 - (own - one).var() / own.var() if own.std() > CONSTANT else 0.0


def places(t: Trained, number: int = 200) -> pd.DataFrame:
    """The same differences of real positive pairs, put at every class: class, looseness, score.

    score is the mean over the differences; `moved` the standard deviation of a difference's score
    over the classes, the same in every row.
    """
    means, loose, names = class_means(t)
    delta, _ = t.pairs(sample_pairs(t.labels, number)["positive"])
    S = torch.stack([t.score(delta, mean_at(delta, m)) for m in means])  # [classes, differences]
    moved = S.std(dim=0, correction=0).mean().item()
    return pd.DataFrame({"class": names, "looseness": loose, "score": S.mean(1), "moved": moved})


def numbers(t: Trained) -> dict[str, float]:
    """What the place is to one unit; gap and moved in standard deviations over real pairs."""
    kinds, p = dict(list(t.scores.groupby("kind"))), places(t)
    out = {f"by_u_{kind}": explained(x["own"], x["one"]) for kind, x in kinds.items()}
    for v in ("own", "one"):
        out[f"auc_{v}"] = separation(kinds["positive"][v], kinds["negative"][v])["auc"]
    gap = kinds["positive"]["own"].median() - kinds["negative"]["own"].median()
    flat = p["looseness"].std() == 0 or p["score"].std() < CONSTANT
    out |= {"gap": gap / t.sd, "moved": p["moved"][0] / t.sd, "classes": len(p)}
    return out | {"looseness": np.nan if flat else p["looseness"].corr(p["score"])}


def table(units: Mapping[tuple[str, str, int], Trained]) -> pd.DataFrame:
    """`numbers` of every unit: a row a data set, method and seed, data set by data set."""
    data = list(dict.fromkeys(d for d, _, _ in units))
    ordered = sorted(units.items(), key=lambda item: data.index(item[0][0]))
    rows = [{"data": d, "method": m, "seed": s, **numbers(t)} for (d, m, s), t in ordered]
    return pd.DataFrame(rows)


WORDS = {  # column of `table` -> what a reader is told, and its digits
    "by_u_positive": ("variance explained by u, pairs of one class", 3),
    "by_u_negative": ("variance explained by u, pairs of two classes", 3),
    "auc_own": ("AUC of 3,000 sampled pairs a kind, each pair at its own position", 3),
    "auc_one": ("AUC of these pairs, all at one position", 3),
    "gap": ("medians of the two kinds of pairs apart (sd)", 2),
    "moved": ("one difference over all classes (sd)", 2),
    "looseness": ("r of score there and looseness", 2),
}


def summary(table: pd.DataFrame, titles: Mapping[str, str]) -> pd.DataFrame:
    """Mean ± standard deviation over the seeds: a row a number, a column a data set and unit."""
    columns = {
        f"{titles[d]}: {m}": {words: spread(own[c], n) for c, (words, n) in WORDS.items()}
        for (d, m), own in table.groupby(["data", "method"], sort=False)
    }
    return pd.DataFrame(columns)


def compared(units: Mapping[str, Trained], ends: np.ndarray, other: int) -> pd.DataFrame:
    """One pair [2] where it is and with its difference put at class `other`: a row a metric."""
    rows = []
    for name, t in units.items():
        delta, v = (x[0] for x in t.pairs(ends[None]))
        there = mean_at(delta, t.f[torch.from_numpy(t.labels == other)].mean(dim=0))
        here, moved = t.score(delta, v).item(), t.score(delta, there).item()
        rows.append((name, here, moved, (moved - here) / t.sd))
    columns = ["metric", "S where it is", "S at the other class", "change (sd)"]
    return pd.DataFrame(rows, columns=columns)


# ---------------------------------------------------------------------------------- the toy


def toy_unit(place: float = 0.4) -> PDDM:
    """A PDDM unit of the plane (d = 2) with weights set by hand; place = 0 makes it blind to v.

    u' = (sin, cos) of arctan 2 (u_1 + u_2): the bias 1 lets the distance survive r();
    v' = (sin, cos) of arctan max(0, 3 v_1 - 2): 0 at the left, near 1 at the right;
    S = -(u'_1 + place v'_1).
    """
    unit = PDDM(2, dropout=0.0)
    _set(unit, W_u=[[2, 2], [0, 0]], W_v=[[3, 0], [0, 0]], W_c=[[1, 0, place, 0], [0, 0, 0, 0]])
    with torch.no_grad():
        unit.W_v.bias[0] = -2
    return unit.eval()


def toy_blind() -> LMDM:
    """The toy's unit without v."""
    unit = LMDM(2, dropout=0.0)
    _set(unit, W_u=[[2, 2], [0, 0]], W_c=[[1, 0], [0, 0]])
    return unit.eval()


def _set(unit: PDDM, **weights) -> None:
    state = {name: torch.zeros_like(p) for name, p in unit.state_dict().items()}
    state |= {f"{name}.weight": torch.tensor(w, dtype=torch.float) for name, w in weights.items()}
    state["W_s.weight"][0, 0] = -1
    for name in ("W_u.bias", "W_v.bias"):
        if name in state:
            state[name][1] = 1
    unit.load_state_dict(state)


def toy_data() -> tuple[np.ndarray, np.ndarray]:
    """Points of the plane and their classes: 0 and 1 loose, at the left; 2 to 10 tight, right."""
    rng, images = np.random.default_rng(0), 40
    loose = [(0.3, 0.2), (0.3, 0.9)]
    tight = [(x, y) for x in (1.35, 1.60, 1.85) for y in (0.30, 0.55, 0.80)]
    sizes = [0.12] * len(loose) + [0.03] * len(tight)
    centres = np.repeat([*loose, *tight], images, axis=0)
    points = centres + rng.normal(size=centres.shape) * np.repeat(sizes, images)[:, None]
    return points, np.repeat(np.arange(len(sizes)), images)
