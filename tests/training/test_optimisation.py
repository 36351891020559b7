"""The head's start and the optimiser's step, each against one written out."""

import pytest
import torch
from micro import FEATURES, Convolution, clusters, experiment, image_set, run
from sklearn.decomposition import PCA

from pddm_lite.data import sampler
from pddm_lite.data.base import split
from pddm_lite.methods import build_similarity, objective
from pddm_lite.networks.embedding import Embedding
from pddm_lite.store.errors import UserError
from pddm_lite.training.experiments import make
from pddm_lite.training.optimisation import optimiser


def test_the_pca_start_is_sklearns_up_to_sign_and_keeps_distances_at_full_length():
    x = clusters(image_set()).x
    for d in (1, 3, FEATURES):
        model = Embedding(FEATURES, d)
        model.start_from_pca(x)
        with torch.no_grad():
            got = model.head(x)
        pca = PCA(d, svd_solver="full").fit(x.double().numpy())
        want = torch.from_numpy(pca.transform(x.double().numpy())).float()
        sign = (got * want).sum(0).sign()
        torch.testing.assert_close(got, want * sign, rtol=0, atol=1e-4)
        model.start_from_pca(x.flip(0))  # the order of the images has no say in the sign
        torch.testing.assert_close(model.head(x), got, rtol=0, atol=1e-4)
    got, x = got.double(), x.double()
    torch.testing.assert_close(torch.cdist(got, got), torch.cdist(x, x), rtol=0, atol=1e-4)


def test_the_pca_start_is_taken_from_the_fit_classes_alone():
    data = image_set()
    source = clusters(data)
    e = experiment(head_init="pca", lr=0.0, steps=1)
    got = run(e, data, source).model.head.weight.detach()
    fit_only = source.x[split(data, e.holdout, e.seed).fit]
    want = torch.from_numpy(PCA(6, svd_solver="full").fit(fit_only.numpy()).components_)
    torch.testing.assert_close((got * want).sum(1).abs(), torch.ones(6), rtol=0, atol=1e-4)


def test_the_pca_start_needs_enough_features():
    with pytest.raises(UserError, match=f"embedding_size <= {FEATURES}") as error:
        run(experiment(head_init="pca", embedding_size=FEATURES + 1))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_weights_decay_and_biases_do_not_each_at_its_rate(kind):
    e = experiment(optimizer=kind, lr=0.01, metric_lr=5.0, backbone_lr=0.1, weight_decay=0.03)
    model, unit = Embedding(5, 6, Convolution()), build_similarity(e)
    rates = {"head": 0.01, "unit": 0.05, "backbone": 0.001}
    where = {id(p): (n, "unit") for n, p in unit.named_parameters()}
    where |= {id(p): (n, n.split(".")[0]) for n, p in model.named_parameters()}
    optim = optimiser(e, model, unit)
    seen = []
    for group in optim.param_groups:
        for p in group["params"]:
            name, part = where[id(p)]
            seen.append(id(p))
            assert group["lr"] == pytest.approx(rates[part]), name
            is_weight = name.endswith("weight") and "norm" not in name
            assert group["weight_decay"] == (0.03 if is_weight else 0), name
    assert sorted(seen) == sorted(where)  # every parameter, once
    assert type(optim).__name__.lower() == kind
    if kind == "sgd":
        assert all(group["momentum"] == 0.9 for group in optim.param_groups)


def test_a_step_of_sgd_is_the_step_written_out():
    data = image_set()
    e = experiment(
        optimizer="sgd", momentum=0.0, weight_decay=0.1, lr=0.5, steps=1, holdout=0.0, seed=3
    )
    e = make(**{**vars(e), "head_init": "random", "dropout": 0.0, "average": 0.0})
    source = clusters(data)
    after = run(e, data, source)
    torch.manual_seed(e.seed)
    model = Embedding(FEATURES, e.embedding_size)
    unit = build_similarity(e)
    idx = split(data, 0, 3).fit[
        next(sampler.class_balanced(data.labels[split(data, 0, 3).fit], 4, 3, e.seed))
    ]
    objective(model(source.x[idx]), torch.from_numpy(data.labels[idx]), unit, e).loss.backward()
    for old, new, rate in ((model, after.model, 0.5), (unit, after.similarity, 0.5 * e.metric_lr)):
        for (name, p), q in zip(old.named_parameters(), new.parameters(), strict=True):
            decay = 0.1 * p if p.ndim > 1 else 0
            torch.testing.assert_close(q, p - rate * (p.grad + decay), msg=name)
