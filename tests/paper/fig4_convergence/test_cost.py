"""The cost of a batch: counts against the real miner, the fit against made-up times, the store."""

import numpy as np
import pandas as pd
import pytest
import torch

from pddm_lite import losses, mining
from pddm_lite.paper import drawing
from pddm_lite.paper.fig4_convergence import cost, figures, tables
from pddm_lite.pddm import PDDM

SIZES = (16, 32, 64, 128, 256, 512, 1024)
TINY = (8, 12, 16, 20), 2, 1  # sizes, seeds, repeats


def made_up(way=cost.WAYS, sizes=SIZES, seeds=3, **powers):
    """costs whose seconds are 1 ms + m^p us, p by way; LiftedStruct's p is 2, others' 1."""
    rows = []
    for w in way:
        p = powers.get(w.split(",")[0], 2 if w == cost.LIFTED else 1)
        for s in range(seeds):
            rows += [(w, m, s, cost.WAYS[w].pairs(m), 1e-3 + 1e-6 * m**p) for m in sizes]
    return pd.DataFrame(rows, columns=cost.COLUMNS)


# ------------------------------------------------------------------------------------ counted


class Counted(PDDM):
    """PDDM that remembers which pairs it was asked for."""

    def pairs(self, f, i, j):
        self.asked += [tuple(sorted(p)) for p in zip(i.tolist(), j.tolist(), strict=True)]
        return super().pairs(f, i, j)


@pytest.mark.parametrize("way, number", [(cost.PDDM, 1), (cost.EVERY, 0)])
@pytest.mark.parametrize("m", [8, 16, 64])
def test_pairs_are_those_that_the_miner_scores_each_once(way, number, m):
    torch.manual_seed(m)
    unit = Counted(8)
    unit.asked = []
    labels = torch.arange(m // cost.IMAGES).repeat_interleave(cost.IMAGES)
    mining.hard_quadruplets(losses.F.normalize(torch.randn(m, 8)), labels, unit, number)
    assert len(unit.asked) == len(set(unit.asked)) == cost.WAYS[way].pairs(m)
    assert cost.WAYS[way].experiment.quadruplets == number


def test_the_papers_batch_by_hand():
    # 16 classes x 4: 6 positive pairs each; two rows of 60 negatives; all are 64 * 63 / 2
    assert cost.WAYS[cost.PDDM].pairs(64) == cost.WAYS[cost.EUCLIDEAN].pairs(64) == 96 + 120
    for way in (cost.EVERY, cost.FISHER, cost.LIFTED):
        assert cost.WAYS[way].pairs(64) == 2016


def test_the_fisher_criterion_and_liftedstruct_need_all_pairs(monkeypatch):
    seen, real = [], losses.fisher
    monkeypatch.setattr(losses, "fisher", lambda S, same: seen.append(len(S)) or real(S, same))
    cost.step(cost.WAYS[cost.FISHER], 12, 0)()
    dense = losses.squared_distances(torch.eye(12))
    assert seen == [cost.WAYS[cost.FISHER].pairs(12)] == [len(torch.triu_indices(12, 12, 1).T)]
    assert dense.triu(1).count_nonzero() == cost.WAYS[cost.LIFTED].pairs(12)


# ------------------------------------------------------------------------------------- fitted


@pytest.mark.parametrize("p", [0.5, 1, 1.5, 2, 2.7])
@pytest.mark.parametrize("fixed", [0, 1, 50])
def test_the_exponent_is_found_beside_any_fixed_cost(p, fixed):
    times = fixed + 0.01 * np.array(SIZES, float) ** p
    assert cost.exponent(SIZES, times) == pytest.approx(p, abs=1e-3)
    assert cost.exponent(SIZES[::-1], 7 * times[::-1]) == pytest.approx(p, abs=1e-3)


def test_the_exponent_of_what_does_not_grow_or_of_too_little_is_none():
    assert np.isnan(cost.exponent(SIZES, [1.0] * 7)) and np.isnan(cost.exponent(SIZES, SIZES[::-1]))
    assert np.isnan(cost.exponent(SIZES[:3], SIZES[:3]))


def test_where_the_curves_cross():
    ways, rows = (cost.PDDM, cost.LIFTED), []
    for way, times in zip(ways, ([2.0, 4, 8, 16], [1.0, 2, 16, 64]), strict=True):
        rows += [(way, m, 0, 1, t) for m, t in zip((16, 32, 64, 128), times, strict=True)]
    frame = pd.DataFrame(rows, columns=cost.COLUMNS)
    # the log2 of the ratio is -1 at 32 and +1 at 64: half-way on a logarithmic axis
    assert cost.level(frame) == pytest.approx(32 * 2**0.5)
    assert np.isnan(cost.level(frame[frame["m"] < 64]))


# ------------------------------------------------------------------------- shown and said


def test_the_table_has_the_numbers_put_in():
    table = tables.cost_table(made_up()).set_index("way")
    assert list(table.index) == list(cost.WAYS)
    assert table.loc[cost.PDDM, "pairs at m = 64"] == "216"
    assert table.loc[cost.PDDM, "ms at m = 64"] == "1.06 ± 0.00"
    assert table.loc[cost.LIFTED, "ms at the largest m"] == f"{1 + 1.024 * 1024:.2f} ± 0.00"
    assert table.loc[cost.LIFTED, "exponent of CPU time [95 % interval]"] == "2.00 [2.00, 2.00]"


@pytest.mark.parametrize("sizes, seeds", [(SIZES, 3), (SIZES[:4], 1), (SIZES[2:4], 2)])
def test_the_figure_is_labelled_and_shows_what_its_table_says(sizes, seeds):
    fig, frame = figures.batch_cost(made_up(sizes=sizes, seeds=seeds))
    fig.draw_without_rendering()
    assert all(ax.get_xlabel() and ax.get_ylabel() for ax in fig.axes) and len(fig.axes) == 2
    counted, timed = fig.axes
    colour = drawing.COLOURS["PDDM+Quadruplet"]
    for ax, column in ((counted, "pairs"), (timed, "ms")):
        (line,) = [x for x in ax.lines if x.get_color() == colour and x.get_linestyle() == "-"]
        own = frame[(frame["way"] == cost.PDDM) & (frame["seed"] == 0)]
        assert line.get_ydata().tolist() == pytest.approx(own[column].tolist())
    said = [t.get_text() for t in timed.texts if t.get_text().startswith("p = ")]
    assert said == (["p = 2.0"] + ["p = 1.0"] * 4 if len(sizes) > 3 else [])


# -------------------------------------------------------------------------- measured and stored


@pytest.fixture
def plan(monkeypatch):
    """A tiny plan, and how often it was measured."""
    calls, real = [], cost.measure
    monkeypatch.setitem(cost.PLANS, "smoke", TINY)
    monkeypatch.setattr(cost, "measure", lambda *a: calls.append(a) or real(*a))
    return calls


def test_a_measurement_has_every_way_size_and_seed():
    threads = torch.get_num_threads()
    frame = cost.measure(*TINY, show=False)
    assert list(frame.columns) == cost.COLUMNS
    assert len(frame) == len(cost.WAYS) * 4 * 2 == len(frame.drop_duplicates(["way", "m", "seed"]))
    assert (frame["seconds"] > 0).all() and torch.get_num_threads() == threads
    small = cost.measure((cost.WAYS[cost.FISHER].most * 2,), 1, 1, show=False)
    assert set(small["way"]) == {w for w in cost.WAYS if cost.WAYS[w].most >= small["m"][0]}


def test_it_is_measured_once_a_machine(plan, tmp_path, monkeypatch):
    first = cost.measured(tmp_path, "smoke", show=False)
    again = cost.measured(tmp_path, "smoke", show=False)
    pd.testing.assert_frame_equal(first, again, check_exact=True)
    assert len(plan) == 1 and first.attrs["cpu"] == again.attrs["cpu"] != ""
    real = cost.environment
    monkeypatch.setattr(cost, "environment", lambda: real() | {"cpu": "another"})
    assert cost.measured(tmp_path, "smoke", show=False).attrs["cpu"] == "another"
    assert len(plan) == 2
    monkeypatch.setattr(cost, "COST", cost.COST + 1)
    cost.measured(tmp_path, "smoke", show=False)
    assert len(plan) == 3
