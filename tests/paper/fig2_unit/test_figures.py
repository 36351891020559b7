"""Notebook 10: pairs moved over the sphere keep their difference; the figures show what they say;
the notebook's NumPy is the unit."""

from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pddm_lite.paper.fig2_unit import figures, position
from pddm_lite.paper.fig2_unit.position import Trained
from pddm_lite.pddm import LMDM, PDDM, Euclidean

TITLES = {"synthetic_birds": "synthetic birds", "folder:own": "own"}
KINDS = {"Euclidean+Quadruplet": Euclidean, "LMDM score": LMDM, "PDDM+Quadruplet": PDDM}
NOTEBOOK = Path(__file__).parents[3] / "notebooks" / "10_the_unit.ipynb"


def features(n=80, d=8, classes=10, seed=0):
    g = torch.Generator().manual_seed(seed)
    labels = np.arange(n) % classes  # not sorted by class
    centres = torch.randn(classes, d, generator=g, dtype=torch.float64)
    noise = torch.randn(n, d, generator=g, dtype=torch.float64)
    loose = torch.linspace(0.1, 0.5, classes)[labels, None]
    return F.normalize(centres[labels] + loose * noise, dim=1), labels


def made_up(name="PDDM+Quadruplet", seed=0, d=8):
    f, labels = features(d=d, seed=seed)
    torch.manual_seed(seed)
    similarity = KINDS[name]() if KINDS[name] is Euclidean else KINDS[name](d)
    return Trained(SimpleNamespace(id=name), similarity.double().eval(), f, labels)


def units(data=tuple(TITLES), names=tuple(KINDS), seeds=(0, 1)):
    return {(d, m, s): made_up(m, s) for d in data for m in names for s in seeds}


# ---------------------------------------------------------------------------------- position


def test_sampled_pairs_are_of_their_kind():
    _, labels = features()
    ends = position.sample_pairs(labels, 500)
    for kind, same in (("positive", True), ("negative", False)):
        i, j = ends[kind].T
        assert len(i) == 500 and (i != j).all() and ((labels[i] == labels[j]) == same).all()
    lonely = np.r_[labels, 99]  # a class of one image has no positive pair
    assert len(lonely) - 1 not in position.sample_pairs(lonely, 500)["positive"]
    again = position.sample_pairs(labels, 500)
    assert all((ends[kind] == again[kind]).all() for kind in ends)


def test_a_moved_pair_has_length_one_and_the_same_difference():
    t = made_up()
    delta, v = t.pairs(position.sample_pairs(t.labels, 50)["positive"])
    there = position.mean_at(delta, t.f[0])
    way = [position.slide(a, b, torch.linspace(0, 1, 5)) for a, b in zip(v, there, strict=True)]
    for place in (v, there, *torch.stack(way, dim=1)):
        for end in (place + delta / 2, place - delta / 2):
            torch.testing.assert_close(end.norm(dim=1), torch.ones(50, dtype=torch.float64))
    torch.testing.assert_close(way[0][0], v[0])
    torch.testing.assert_close(way[0][-1], there[0])
    # nearest to where it was sent: no other direction orthogonal to delta is nearer
    turned = position.mean_at(delta, t.f[0] + 0.1 * torch.randn(8, dtype=torch.float64))
    assert ((there - turned) @ t.f[0] >= -1e-12).all()


def test_only_the_unit_sees_place():
    own = {m: made_up(m) for m in KINDS}
    pair = position.sample_pairs(own["LMDM score"].labels, 1)["positive"][0]
    other = (own["LMDM score"].labels[pair[0]] + 1) % 10
    change = position.compared(own, pair, other).set_index("metric")["change (sd)"].abs()
    assert change[["Euclidean+Quadruplet", "LMDM score"]].max() < 1e-9
    assert change["PDDM+Quadruplet"] > 1e-3
    assert position.numbers(own["LMDM score"])["by_u_negative"] == pytest.approx(1)
    assert position.numbers(own["LMDM score"])["moved"] == pytest.approx(0, abs=1e-9)


def test_a_unit_that_forgives_loose_classes_is_found_out():
    """S = how near v lies to the loosest class, and these lie ever nearer to it."""
    n, d = 100, 6
    g = torch.Generator().manual_seed(0)
    labels = np.repeat(np.arange(10), n // 10)
    angle = torch.linspace(0, 1.2, 10)[labels]
    centre = torch.zeros(n, d, dtype=torch.float64)
    centre[:, 0], centre[:, 1] = angle.sin(), angle.cos()
    spread = torch.linspace(0.02, 0.2, 10)[labels, None]
    f = F.normalize(centre + spread * torch.randn(n, d, generator=g, dtype=torch.float64), dim=1)
    unit = PDDM(d).eval()
    state = {k: torch.zeros_like(p) for k, p in unit.state_dict().items()}
    state["W_v.weight"][0, 0] = state["W_v.bias"][1] = 1
    state["W_c.weight"][0, d] = state["W_s.weight"][0, 0] = 1
    unit.load_state_dict(state)
    n = position.table({("folder:own", "PDDM score", 0): Trained(None, unit.double(), f, labels)})
    assert n["looseness"].item() > 0.9


def test_a_collapsed_unit_gives_numbers_all_the_same():
    t = made_up()
    with torch.no_grad():
        t.similarity.W_s.weight.zero_()
    n = position.numbers(t)
    assert n["by_u_positive"] == 0 and n["auc_own"] == pytest.approx(0.5) and n["moved"] == 0
    assert np.isnan(n["looseness"])
    key = ("folder:own", "PDDM+Quadruplet", 0)
    figures.trained_position({key: t}, TITLES)[0].draw_without_rendering()


def test_the_summary_holds_every_data_set_and_the_untrained_unit():
    some = {k: t for k, t in units().items() if k[1] == "PDDM+Quadruplet"}
    fresh = {(d, position.UNTRAINED, s): position.untrained(t, s) for (d, _, s), t in some.items()}
    table = position.table(some | fresh)
    names = [f"{t}: {m}" for t in TITLES.values() for m in ("PDDM+Quadruplet", position.UNTRAINED)]
    assert list(position.summary(table, TITLES).columns) == names


@pytest.mark.parametrize(
    "methods, loaded, unit",
    [
        (("Triplet", "LMDM score", "PDDM score"), ["LMDM score", "PDDM score"], "PDDM score"),
        (("PDDM+Triplet", "PDDM+Quadruplet"), ["PDDM+Quadruplet"], "PDDM+Quadruplet"),
        (("LiftedStruct",), [position.UNTRAINED], position.UNTRAINED),
    ],
)
def test_a_study_without_some_methods_is_coped_with(methods, loaded, unit):
    f, labels = features()
    arrays = {"f": 3 * f.float().numpy(), "labels": labels}  # LiftedStruct's features are free
    run = SimpleNamespace(embeddings=arrays, similarity=lambda: PDDM(8).eval())
    study = SimpleNamespace(
        methods=methods, runs=lambda names: {("folder:own", m, 0): run for m in names}
    )
    assert position.unit_of(study) == unit
    units = position.load(study)
    assert [m for _, m, _ in units] == loaded
    for t in units.values():
        assert t.f.dtype == torch.float64 and not t.similarity.training
        torch.testing.assert_close(t.f.norm(dim=1), torch.ones(len(f), dtype=torch.float64))


# ----------------------------------------------------------------------------------- figures


def test_the_drawing_counts_the_layers_of_the_unit():
    fig, layers = figures.architecture(16)
    fig.draw_without_rendering()
    assert layers["parameters"].sum() == sum(p.numel() for p in PDDM(16).parameters())
    words = [t.get_text() for t in fig.axes[0].texts]
    assert words.count("32") == 1 and "d = 16" in words and "1" in words


def test_the_toy_shows_one_reach_without_v_and_several_with_it():
    fig, outlines = figures.toy()
    fig.draw_without_rendering()
    width = outlines.groupby("metric", sort=False)["width"]
    step = 0.011  # of the grid, which rounds an outline's width
    assert (width.max() - width.min())[["Euclidean", "LMDM: u alone"]].max() <= 2 * step
    assert width.max()["PDDM: u and v"] > 2 * width.min()["PDDM: u and v"]
    let_in = outlines.groupby("metric")["let_in"].first()
    assert let_in["PDDM: u and v"] < 0.05 < let_in["Euclidean"]


@pytest.mark.parametrize(
    "some",
    [
        units(),
        units(names=("PDDM+Quadruplet",), seeds=(3,)),
        units(data=("folder:own",), names=("LMDM score", "PDDM+Quadruplet")),
    ],
    ids=["all", "the unit alone, one seed", "no Euclidean"],
)
def test_the_trained_units_panels(some):
    fig, frame = figures.trained_position(some, TITLES)
    fig.draw_without_rendering()
    data = {d for d, _, _ in some}
    assert len(fig.axes) == 3 * len(data) and set(frame["data"]) == data
    assert all(ax.get_xlabel() and ax.get_ylabel() for ax in fig.axes)
    moved = frame[frame["panel"] == "one moved"].groupby("method")["change"]
    flat = moved.apply(lambda x: x.abs().max())
    assert flat.drop("PDDM+Quadruplet").lt(1e-9).all() and flat["PDDM+Quadruplet"] > 1e-3
    assert set(flat.index) == {m for _, m, _ in some}


# ---------------------------------------------------------------------------------- notebook


def test_the_notebooks_numpy_is_the_unit(capsys):
    cells = {c["id"]: c.source for c in nbformat.read(NOTEBOOK, as_version=4).cells}
    t = made_up()
    run = SimpleNamespace(id="x", metrics={"collapse": ""})
    names = dict(np=np, torch=torch, trained=Trained(run, t.similarity, t.f, t.labels))
    names |= dict(unit_name="", titles={"x": "x"}, study=SimpleNamespace(data=["x"], seeds=[0]))
    for name in ("weights", "uv", "branches", "c", "compare", "symmetric"):
        exec(cells[name], names)
    assert names["S"].shape == (80 * 79 // 2,)
    assert capsys.readouterr().out.count("largest difference") == 3
