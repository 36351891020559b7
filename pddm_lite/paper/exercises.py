"""Exercises of the notebooks that check themselves: `check("10.1", value)`, `answer("10.1")`.

Neither ever raises, so that a notebook with open exercises runs through. The exercises of a
notebook are in the slices: fig2_unit (10), fig1b_scores (20), fig3_mining (30).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Judge = Callable[[object], str]  # what is still wrong with a value, "" where nothing is; may raise


@dataclass(frozen=True)
class Exercise:
    judge: Judge
    answer: str


EXERCISES: dict[str, Exercise] = {}  # those of the modules imported


def exercise(number: str, answer: str) -> Callable[[Judge], Judge]:
    """Decorator of the judge of exercise `number`; `answer` says what is right, and why."""

    def enter(judge: Judge) -> Judge:
        EXERCISES[number] = Exercise(judge, answer)
        return judge

    return enter


def equals(right: float, hint: str) -> Judge:
    """A judge for which one number is right."""

    def judge(value: object) -> str:
        return "" if abs(float(value) - right) <= 1e-6 * max(1.0, abs(right)) else hint

    return judge


def check(number: str, value: object) -> None:
    """Print "right", or "not yet" and a hint. None is an exercise not tried."""
    if number not in EXERCISES:
        print(f"{number}: not yet: there is no such exercise; there are {', '.join(EXERCISES)}.")
        return
    if value is None:
        print(f"{number}: not yet: put your answer in place of None and run this cell.")
        return
    try:
        wrong = EXERCISES[number].judge(value)
    except Exception:  # whatever a student may type: it is no answer of the kind asked for
        wrong = "this is not the kind of value that is asked for."
    print(f"{number}: not yet: {wrong}" if wrong else f"{number}: right.")


def answer(number: str) -> None:
    """Print the answer and why it is so."""
    known = f"there is no exercise {number}; there are {', '.join(EXERCISES)}."
    print(EXERCISES[number].answer if number in EXERCISES else known)
