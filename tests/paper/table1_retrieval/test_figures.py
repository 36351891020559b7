"""Retrieved images drawn: the table is what is drawn, right and wrong told by more than colour."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from pddm_lite.data import ImageSet
from pddm_lite.measures import neighbours
from pddm_lite.paper.table1_retrieval import figures
from pddm_lite.pddm import PDDM, r

LABELS = np.repeat(np.arange(6), 10)


def made(n=60, d=8):
    """What neighbours reads of a runs.Run; its images lie at places 100, 101, ..."""
    torch.manual_seed(0)
    f = r(torch.randn(6, d)[torch.from_numpy(LABELS)] + 0.8 * torch.randn(n, d))
    similarity = PDDM(d).eval()
    return SimpleNamespace(
        embeddings={"f": f.numpy(), "labels": LABELS, "index": np.arange(100, 100 + n)},
        similarity=lambda: similarity,
    )


def pictures():
    labels = np.r_[np.zeros(100, int), LABELS]
    names = ("001.a_b", "b" * 40, "c", "d", "e", "f")

    def read(i):  # the red channel tells which one it is
        return Image.new("RGB", (30, 20), (i, 0, 0))

    return ImageSet("x", "X set", labels, names, read, "", 0)


@pytest.fixture(scope="module")
def found():
    return neighbours.find(made())


def words(fig):
    return [t.get_text() for ax in fig.axes for t in ax.texts]


def test_pictures_scores_and_marks_are_those_of_the_table(found):
    fig, frame = figures.retrieved(found, pictures(), side=20)
    assert list(frame.columns) == figures.COLUMNS and len(frame) == 48
    (ax,) = fig.axes
    canvas = ax.images[0].get_array()
    drawn = [i for i in np.unique(canvas[..., 0]) if i != 255]
    assert set(drawn) == set(frame["query"]) | set(frame["retrieved"])
    texts = words(fig)
    assert texts.count("✓") == frame["right"].sum() and texts.count("✗") == (~frame["right"]).sum()
    by = [t for ax in fig.axes for t in ax.texts if t.get_text().startswith("by D: ")]
    assert [int(t.get_text()[6:]) for t in by] == frame["place"].tolist()
    assert [t.get_weight() == "bold" for t in by] == (frame["place"] > 8).tolist()
    right = frame.groupby("query", sort=False)["right"].sum()
    labels = [t.get_text().split()[0] for t in ax.get_yticklabels()]
    assert labels == right.astype(str).tolist()


@pytest.mark.parametrize(
    "values, digits", [([0.1, 0.9], 2), ([0, 0.04], 3), ([5, 90], 1), ([2], 1)]
)
def test_decimals_tell_scores_apart(values, digits):
    assert figures._digits(pd.Series(values)) == digits


def test_the_plane_joins_each_query_to_what_it_retrieved(found):
    planes = {"d": neighbours.plane(found, pictures(), most=20)}
    fig, frame = figures.places({"d": found}, planes, {"d": "X set"})
    roles = frame["role"].value_counts()
    assert roles["query"] == 6 and set(frame["image"][frame["role"] == "query"]) == set(
        found.queries
    )
    at = planes["d"].set_index("image")[["x", "y"]].astype(float)
    ways = {tuple(np.round(x.get_xydata().ravel(), 3)) for x in fig.axes[0].lines if
            len(x.get_xydata()) == 2}  # fmt: skip
    for x in found.shown.itertuples():
        assert tuple(np.round(at.loc[[x.query, x.retrieved]].to_numpy().ravel(), 3)) in ways
    assert words(fig) == ["1", "2", "3", "4", "5", "6"]
    assert not fig.axes[0].images  # safe to publish


def test_without_the_method_the_figure_says_so():
    fig, frame = figures.places({}, {}, {})
    assert "not run" in words(fig)[0] and frame.empty
