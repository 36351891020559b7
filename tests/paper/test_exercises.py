"""Exercises check themselves: right answers, near misses with a hint, and never an error."""

import numpy as np
import pytest
import torch

from pddm_lite.mining import positive_pairs
from pddm_lite.paper.exercises import EXERCISES, check
from pddm_lite.paper.fig1b_scores import exercises as exercises_scores
from pddm_lite.paper.fig2_unit.exercises import FIRST
from pddm_lite.paper.fig3_mining import exercises as exercises_mining
from pddm_lite.pddm import LMDM, PDDM, Euclidean

RIGHT = {
    "10.1": [66_049, 4 * 128**2 + 4 * 128 + 1, np.int64(66_049), "66049"],
    "10.2": [
        [[0.6, 0, 0.8], [-0.6, 0, 0.8]],
        np.array([[-0.6, -0.8, 0], [0.6, -0.8, 0]]),
        [(0.6, 0.5657, -0.5657), (-0.6, 0.5657, -0.5657)],
    ],
    "10.3": [0.7, (4 - 1.2) / 4],
    "10.4": [1, 1.0, True],
    "20.1": [0.55, 0.6, np.float32(0.51)],
    "20.2": [0.8, "0.8", 20 / 25],
    "20.3": ["ACE", "e, c, a", ["A", "C", "E"], {"C", "E", "A"}],
    "20.4": [3, 3.0],
    "30.1": [[2, 3, 1, 4], (3, 2, 4, 1), np.array([2, 3, 1, 4])],
    "30.2": [104],
    "30.3": [[1.2, 0.5]],
    "30.4": ["A", " a "],
}
WRONG = {
    "10.1": [(65_664, "biases"), (66_049 - 128**2, "W_c"), (128, "inputs"), (float("nan"), "")],
    "10.2": [
        (FIRST.tolist(), "v is the same"),
        (FIRST[::-1], "v is the same"),
        ([[1, 0, 0], [0, 1, 0]], "u is not"),
        ([[0.6, 0, 0], [-0.6, 0, 0]], "length 1"),
        ([1, 2, 3], "two features"),
    ],
    "10.3": [(1.2, "length 1"), (-0.7, ""), (float("inf"), "")],
    "10.4": [(2, "r do"), (0.5, "")],
    "20.1": [(0.65, "2 positive"), (0.5, "2 negative"), (0.0, "0 positive"), (float("nan"), "")],
    "20.2": [(0.2, "share"), (20, "share")],
    "20.3": [("ABCDE", "order"), ("AC", "not all"), ("ACEX", "no X"), ("D", "under D")],
    "20.4": [(0, "for both"), (4, "one")],
    "30.1": [([0, 1, 4, 2], "of one class"), ([2, 3, 4, 1], "is right"), ([0, 0, 0, 0], "")],
    "30.2": [(48, "two parts"), (56, "two parts"), (1024, "all positive")],
    "30.3": [([0.46, 0.33], "of class 1"), ([1.0], "")],
    "30.4": [("B", "plain ruler"), ("C", "local ruler")],
}
ODD = ["abc", [], {}, object(), 1j, [[1], [2, 3]], print, np.array([]), "", b"x", float("nan")]


def said(capsys, *arguments):
    assert check(*arguments) is None
    return capsys.readouterr().out


@pytest.mark.parametrize("name", EXERCISES)
def test_right_wrong_and_untried(name, capsys):
    for value in RIGHT[name]:
        assert said(capsys, name, value) == f"{name}: right.\n"
    for value, hint in WRONG[name]:
        out = said(capsys, name, value)
        assert out.startswith(f"{name}: not yet: ") and hint in out
    assert "in place of None" in said(capsys, name, None)


@pytest.mark.parametrize("name", [*EXERCISES, "99.9"])
def test_never_raises(name, capsys):
    for value in ODD:
        assert said(capsys, name, value).startswith(f"{name}: not yet: ")


def test_every_exercise_has_its_cases():
    assert set(RIGHT) == set(WRONG) == set(EXERCISES)


def test_the_batch_of_exercise_30_has_one_answer():
    S, c = exercises_mining.SCORES, exercises_mining.LABELS
    assert torch.equal(S, S.T)
    i, j = positive_pairs(c)
    assert S[i, j].sort().values.diff().min() > 0  # no tie
    for row in range(6):
        assert S[row][c != c[row]].sort().values.diff()[-1] > 0


def test_a_threshold_for_each_class_of_exercise_20_gets_none_wrong():
    tight, loose = exercises_scores.TIGHT, exercises_scores.LOOSE
    wrong = exercises_scores.wrong_pairs
    assert wrong(0.25, tight) == wrong(0.8, loose) == 0
    assert wrong(0.25, tight, loose) == wrong(0.8, tight, loose) == 3


def test_the_answers_are_true_of_the_unit():
    assert sum(p.numel() for p in PDDM(128).parameters()) == 66_049
    assert sum(p.numel() for p in LMDM(128).parameters()) == 33_153
    first, second = torch.tensor(FIRST).float(), torch.tensor(RIGHT["10.2"][0])
    differ = []
    for seed in range(9):  # so short a unit may be dead
        torch.manual_seed(seed)
        for metric in (PDDM(3), LMDM(3), Euclidean()):
            a, b = (metric.eval()(*pair[:, None]) for pair in (first, second))
            differ += [type(metric).__name__] * (not torch.allclose(a, b, atol=1e-6))
    assert set(differ) == {"PDDM"}
    unit = PDDM(8, zero_bias=True).eval()
    u = torch.rand(5, 8)
    once, twice = (unit._hidden(unit.W_u(k * u), unit.W_v(u))[0] for k in (1, 2))
    torch.testing.assert_close(once, twice)
