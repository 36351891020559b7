"""The toy of Fig. 3: what it is built to show."""

import pytest
import torch

from pddm_lite import methods
from pddm_lite.paper.fig3_mining import toy
from pddm_lite.pddm import Euclidean


@pytest.fixture(scope="module")
def trained():
    p, classes = toy.points()
    return p, classes, toy.trained_unit(p, classes)


def test_the_toy_is_heterogeneous_and_one_point_has_strayed(trained):
    p, classes, _ = trained
    D = torch.cdist(p, p)
    wide = {c: D[classes == c][:, classes == c].max() for c in toy.POINTS}
    gap = D[classes == 2][:, classes == 3].min()
    assert wide[1] > 4 * wide[2] and wide[1] > 2 * gap  # one threshold does not serve both
    assert gap > wide[2] / 2  # yet 2 and 3 keep a gap of the size of their own spread
    others = D[toy.STRAY].masked_fill(classes == 4, torch.inf)
    own = D[toy.STRAY].masked_fill((classes != 4) | (D[toy.STRAY] == 0), torch.inf)
    assert others.min() < own.min() / 2


def test_euclidean_mining_takes_looseness_for_hardness(trained):
    p, classes, _ = trained
    q = toy.mined(p, classes, Euclidean())
    assert classes[q.i].item() == classes[q.j].item() == 1


def test_the_unit_is_the_same_each_time_and_leaves_the_generator_alone(trained):
    p, classes, unit = trained
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    again = toy.trained_unit(p, classes)
    assert torch.equal(torch.rand(1), expected)
    f = toy.lift(p)
    assert torch.allclose(unit.all_pairs(f), again.all_pairs(f), atol=1e-5)


def test_an_arrow_is_a_step_that_lowers_the_loss(trained):
    p, classes, unit = trained
    frame = toy.arrows(p, classes, unit)
    assert len(frame) == len(toy.LOSSES) * len(p)
    for name, method in toy.LOSSES.items():
        step = torch.tensor(frame[frame["loss"] == name][["dx", "dy"]].to_numpy())
        similarity = unit if "PDDM" in method else Euclidean()
        e = toy.settings(method)
        before = methods.objective(toy.lift(p), classes, similarity, e)
        moved = p + (1e-5 * step / step.norm()).float()
        after = methods.objective(toy.lift(moved), classes, similarity, e)
        assert step.norm() > 0
        # E_m's scale of S is the batch's: it moves with the points and carries no gradient
        assert after.loss < before.loss or similarity.learned
    roles = frame[frame["role"] != ""].groupby("loss")["role"].apply("".join)
    assert {name: "".join(sorted(r)) for name, r in roles.items()} == {
        name: "ijkl" for name in toy.LOSSES if name.startswith("Double")
    }


def test_effort_is_shares(trained):
    effort = toy.effort(toy.arrows(*trained)).set_index("loss")
    assert effort.filter(like="class ").sum(axis=1).tolist() == pytest.approx([1] * 5)
    assert effort["turn"].dropna().between(0, 180).all()
