"""Exercises check themselves: right answers, near misses with a hint, and never an error."""

import numpy as np
import pytest
import torch

from pddm_lite.exercises import EXERCISES, FIRST, answer, check
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


@pytest.mark.parametrize("name", EXERCISES)
def test_the_answer_does_not_print_by_itself(name, capsys):
    text = EXERCISES[name].answer
    check(name, None)
    assert text not in capsys.readouterr().out
    answer(name)
    assert capsys.readouterr().out.strip() == text


def test_unknown_answer_is_said(capsys):
    answer("99.9")
    assert "10.1" in capsys.readouterr().out


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
