"""f of any images by a finished run: its stored embeddings again, and one line where it cannot."""

import dataclasses

import numpy as np
import pytest
import torch
from fakes import SMALL, coloured

from pddm_lite.networks.embedding import Embedding
from pddm_lite.store.errors import UserError
from pddm_lite.training.embedder import embed_images, plain_features
from pddm_lite.training.experiments import make
from pddm_lite.training.inputs import inputs
from pddm_lite.training.loop import embed
from pddm_lite.training.runs import fit_or_load


@pytest.fixture(scope="module")
def data():
    return coloured()


def fitted(folder, data, **changes):
    usual = dict(data=data.name, mode="frozen", backbone="smallnet", lr=1e-2)
    return fit_or_load(make(**usual | SMALL | changes), data, folder, bar=False)


@pytest.mark.parametrize("name", ["PDDM+Quadruplet", "LiftedStruct"])  # on the sphere, and free
def test_a_frozen_run_gives_its_stored_embeddings_again(tmp_path, data, name):
    run = fitted(tmp_path, data, method=name)
    stored = run.embeddings
    f = embed_images(run, data, data.test, tmp_path)
    assert f.dtype == torch.float32 and f.shape == stored["f"].shape
    np.testing.assert_allclose(f.numpy(), stored["f"], rtol=1e-3, atol=1e-3)  # kept in float16
    assert np.ptp(stored["f"], axis=0).max() > 0.01


def test_other_images_are_measured_in_the_units_of_the_images_trained_on(tmp_path, data):
    """The same pictures under another name give the same f: nothing of it is of their own set."""
    run, twin = fitted(tmp_path, data), dataclasses.replace(data, fingerprint="twin")
    twin = dataclasses.replace(twin, train_classes=1)
    f = embed_images(run, twin, np.arange(len(twin)), tmp_path, source=data)
    own = embed_images(run, data, np.arange(len(data)), tmp_path)
    assert torch.equal(f, own)
    x = plain_features(run.experiment, twin, data, tmp_path)
    assert x[data.train].norm(dim=1).mean() == pytest.approx(1.0, abs=1e-5)


def test_a_run_that_trained_its_network_needs_the_network(tmp_path, data):
    run = fitted(tmp_path, data, mode="finetune", steps=1, eval_every=1)
    kept = run.store.path(run.id) / "backbone.pt"
    kept.unlink(missing_ok=True)
    with pytest.raises(UserError, match=r"keeps no backbone.pt; make it again by --force") as err:
        embed_images(run, data, data.test, tmp_path)
    assert "\n" not in str(err.value)

    # with the weights of a network in it, f is that network's
    source, net = inputs(run.experiment, data, tmp_path / "features", "cpu", False)
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(1.1)
    torch.save(net.state_dict(), kept)
    f = embed_images(run, data, data.test, tmp_path)
    model = Embedding(source.features, run.experiment.embedding_size, net)
    model.head.load_state_dict(run.store.state(run.id, "head.pt"))
    torch.testing.assert_close(f, embed(model, source, data.test))

    torch.save({"layers.0.weight": torch.zeros(2, 2)}, kept)
    with pytest.raises(UserError, match="belongs to another network than smallnet") as err:
        embed_images(run, data, data.test, tmp_path)
    assert "\n" not in str(err.value)


def test_a_run_of_other_data_is_refused(tmp_path, data):
    run, other = fitted(tmp_path, data), coloured("other", seed=1)
    with pytest.raises(UserError, match="was trained on seen, not on other"):
        embed_images(run, other, other.test, tmp_path)
