"""Figures, tables and words of zero-shot recognition, on made-up results."""

import pandas as pd
import pytest

from pddm_lite.paper import printed as paper
from pddm_lite.paper.table2 import METHODS, PDDM, PLAIN
from pddm_lite.paper.table2_zero_shot import figures, tables
from pddm_lite.paper.table2_zero_shot.rivals import DIFFERENCES, RIVALS
from pddm_lite.paper.table2_zero_shot.unseen import (
    ERRORS,
    LEARNED,
    NO_SEED,
    RESULTS,
    RULE,
    SHUFFLED,
    TRUE,
)
from pddm_lite.paper.table2_zero_shot.zero_shot import RULES

TITLES = {"d": "one data set", "e": "another"}
PLAIN_ONES = (PLAIN, NO_SEED)
AMP = "in the spirit of AMP"


def measured(
    methods=METHODS, data=tuple(TITLES), seeds=(0, 1), rivals=tuple(RIVALS), of=PLAIN_ONES
):
    """What unseen.measured returns: flat = 10 x method + seed + draw, and 30 more in top-5."""
    results, errors = [], []
    sorts = [(m, s) for m in methods for s in seeds] + [(PLAIN, NO_SEED), (LEARNED, 0)]
    for d in data:
        ways = [(f, s, by, TRUE) for f, s in sorts for by in RULES]
        ways += [(f, s, RULE, SHUFFLED) for f, s in sorts]
        ways += [(*of, by, TRUE) for by in rivals]
        for n, (f, s, by, h) in enumerate(ways):
            for draw in range(2):
                about = (d, f, s, f"{f} {s}", draw, by, h)
                apart = 0.1 * n * (f == PLAIN or by in RIVALS)
                level = 10 * [*METHODS, PLAIN, LEARNED].index(f) + s + draw + apart
                for k in (1, 5):
                    flat = level + 30 * (k == 5) if h == TRUE else 2.0 * k
                    results.append((*about, k, flat, 2.5 * k, 97.25, 4, 40))
                for distance, share, chance in ((0, 40, 10), (2, 40, 30), (6, 20, 60)):
                    errors.append((*about, distance, share, chance))
    return pd.DataFrame(results, columns=RESULTS), pd.DataFrame(errors, columns=ERRORS)


STUDIES = {
    "whole": measured(),
    "one method, one seed": measured((PDDM,), ("d",), (0,)),
    "no rivals": measured(("Triplet",), ("d",), rivals=()),
    "nothing": (pd.DataFrame(columns=RESULTS), pd.DataFrame(columns=ERRORS)),
}


@pytest.mark.parametrize("study", STUDIES)
def test_the_whole_and_a_part_are_drawn(study):
    results, errors = STUDIES[study]
    for f, table in ((figures.right, results), (figures.astray, errors)):
        fig, frame = f(table, TITLES)
        fig.draw_without_rendering()
        assert fig.axes and fig.get_suptitle() == ""
        assert all(ax.get_xlabel() for ax in fig.axes)
        assert len(frame) == 0 if study == "nothing" else len(frame) > 0


def test_the_figure_shows_means_over_draws_and_the_papers_numbers_apart():
    fig, frame = figures.right(STUDIES["whole"][0], TITLES)
    own = frame[(frame["data"] == "d") & (frame["row"] == PDDM) & (frame["hierarchy"] == TRUE)]
    top = own[own["k"] == 5].set_index("seed")["flat"]
    place = 30 + 10 * METHODS.index(PDDM)
    assert top.to_dict() == {0: place + 0.5, 1: place + 1.5}
    words = [t.get_text() for t in fig.axes[0].texts]
    assert f"{place + 1:.1f}" in words
    assert "guessing 12.5, shuffled 10.0,\nceiling 97.3" in fig.axes[0].get_xlabel()
    printed = next(line for line in fig.axes[2].lines if len(line.get_xdata()) > 2)
    assert sorted(printed.get_xdata()) == sorted(paper.TABLE_2["zero-shot"].values())


def test_errors_are_shares_over_draws_and_distances_of_wrong_answers_alone():
    errors = STUDIES["whole"][1]
    _, frame = figures.astray(errors, TITLES)
    own = frame[(frame["data"] == "d") & (frame["features"] == PDDM) & (frame["seed"] == 0)]
    assert own.set_index("distance")["share"].to_dict() == {0: 40, 2: 40, 6: 20}
    far = tables.misses(errors)
    # wrong: 40 at 2 steps and 20 at 6; guesses: 30 at 2 and 60 at 6
    assert far["distance"].to_numpy() == pytest.approx((40 * 2 + 20 * 6) / 60)
    assert far["chance"].to_numpy() == pytest.approx((30 * 2 + 60 * 6) / 90)


def test_a_distance_that_only_some_draws_have_counts_as_none_in_the_others():
    errors = STUDIES["one method, one seed"][1]
    errors = errors[(errors["draw"] == 0) | (errors["distance"] < 6)]
    _, frame = figures.astray(errors, TITLES)
    own = frame[frame["features"] == PDDM].set_index("distance")
    assert own["share"].to_dict() == {0: 40, 2: 40, 6: 10}


def test_the_table_has_a_row_each_the_floors_and_the_papers_numbers():
    table = tables.zero_shot_table(STUDIES["whole"][0], "d").set_index("row")
    beside = [tables.FLOOR, tables.GUESSING, tables.CEILING]
    rivals = [*reversed(RIVALS), "[21]"]
    assert list(table.index) == [*METHODS[::-1], PLAIN, *rivals, *beside]
    assert table.loc["[21]", "features"] == LEARNED
    assert table.loc["[21]", tables.PAPER] == "35.7"
    assert table.loc[tables.CEILING, ["top-1", "top-5"]].tolist() == ["97.3", "97.3"]
    place = 30 + 10 * METHODS.index(PDDM)
    assert table.loc[PDDM, "top-5"] == f"{place + 1:.1f} ± 0.7"
    assert table.loc[PDDM, tables.PAPER] == "48.2"
    assert table.loc[AMP, tables.PAPER] == "41.0"
    assert table.loc[PLAIN, "top-1"] and "±" not in table.loc[PLAIN, "top-1"]
    assert table.loc[tables.GUESSING, ["top-1", "top-5"]].tolist() == ["2.5", "12.5"]
    assert table.loc[PDDM, "tied"] == "4 of 40" and table.loc[PDDM, "seeds"] == "2"
    assert table.loc[PLAIN, "seeds"] == table.loc[AMP, "seeds"] == ""  # plain features have none
    table = tables.zero_shot_table(measured(of=("Softmax", 0))[0], "d").set_index("row")
    assert table.loc[AMP, ["features", "seeds"]].tolist() == ["Softmax", "1"]


def test_rules_and_differences():
    results = STUDIES["whole"][0]
    table = tables.rules_table(results, "d").set_index("features")
    assert list(table) == list(RULES)
    assert set(table.index) == {*METHODS, PLAIN, LEARNED, tables.CEILING}
    assert table.loc[tables.CEILING].tolist() == ["97.3"] * len(RULES)
    lines = tables.differences(results).splitlines()
    assert len(lines) == len(DIFFERENCES) and lines[0].startswith("ConSE: vectors from")
    assert tables.differences(STUDIES["no rivals"][0]) == ""
