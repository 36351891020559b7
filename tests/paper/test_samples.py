"""The contact sheet of a set, whatever its classes hold."""

import numpy as np
import pytest
from PIL import Image

from pddm_lite.data.base import ImageSet
from pddm_lite.paper import drawing


@pytest.mark.parametrize(("counts", "most"), [((4, 6), 6), ((4, 4), 4), ((5, 30), 9)])
def test_a_number_stands_where_a_picture_is(counts, most):
    data = ImageSet(
        name="folder",
        title="mine",
        labels=np.repeat([0, 1], counts),
        class_names=("ant", "bee"),
        read=lambda i: Image.new("RGB", (20, 15), (i, 90, 200)),
        fingerprint="x",
        train_classes=1,
    )
    fig, frame = drawing.samples(data)
    (ax,) = fig.axes
    assert [t.get_text() for t in ax.get_xticklabels()] == [str(n + 1) for n in range(most)]
    assert frame["column"].max() == most
