"""t-SNE: the same places twice, classes that lie apart stay apart, whole classes in the sample."""

import numpy as np
import pytest

from pddm_lite.measures.tsne import sample, tsne

LABELS = np.repeat(np.arange(20), 10)


def test_the_same_features_have_the_same_places_and_classes_apart_stay_apart():
    rng = np.random.default_rng(0)
    f = rng.normal(0, 0.05, (60, 8)) + np.repeat(np.eye(8)[:3], 20, 0)
    xy = tsne(f.astype(np.float32))
    assert xy.shape == (60, 2) and np.array_equal(xy, tsne(f.astype(np.float32)))
    centres = xy.reshape(3, 20, 2).mean(1)
    spread = np.linalg.norm(xy.reshape(3, 20, 2) - centres[:, None], axis=2).max()
    apart = np.linalg.norm(centres[:, None] - centres, axis=2)[np.triu_indices(3, 1)].min()
    assert apart > spread


@pytest.mark.parametrize("keep", [(), (5,), (0, 199, 57)])
def test_a_sample_has_whole_classes_and_those_kept(keep):
    chosen = sample(LABELS, 65, keep)
    classes, counts = np.unique(LABELS[chosen], return_counts=True)
    assert (counts == 10).all() and len(chosen) == 60
    assert set(LABELS[list(keep)]) <= set(classes)
    assert (np.diff(chosen) > 0).all() and np.array_equal(chosen, sample(LABELS, 65, keep))
