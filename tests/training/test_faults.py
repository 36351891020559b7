"""What goes wrong in training is one line that names its step, or a collapse that is told."""

import math

import pytest
import torch
from micro import FEATURES, Convolution, clusters, experiment, image_set, pictures, run
from torch import nn

from pddm_lite.data.base import split
from pddm_lite.networks.backbones import Input
from pddm_lite.store.errors import UserError
from pddm_lite.training.faults import TrainingError, check_finite
from pddm_lite.training.inputs import Frozen


@pytest.mark.parametrize("name", ["PDDM+Quadruplet", "Triplet", "LiftedStruct"])
def test_nan_is_caught_at_its_step(name):
    data = image_set()
    calls = []

    class Poisoned(Frozen):
        def batch(self, idx, train):
            calls.append(train)
            x = super().batch(idx, train)
            return x * torch.nan if train and calls.count(True) == 7 else x

    with pytest.raises(TrainingError, match=r"^step 7: the embedding f is not finite"):
        run(experiment(method=name), data, Poisoned(clusters(data).x, FEATURES))


@pytest.mark.parametrize("head_init", ["random", "pca"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_features_that_are_not_finite_are_caught(head_init, value):
    data = image_set()
    source = clusters(data)
    e = experiment(head_init=head_init, holdout=0.34)
    source.x[split(data, e.holdout, e.seed).fit[4], 2] = value
    with pytest.raises((TrainingError, UserError), match="finite") as error:
        run(e, data, source)
    assert "\n" not in str(error.value)


def test_check_finite_names_the_first_of_what_is_not_finite():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    ok, wrong = torch.ones(2), torch.tensor([1.0, torch.inf])
    check_finite(3, {"a": ok}, {"embedding": model})  # no gradient yet: nothing to say
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    check_finite(3, {"a": ok}, {"embedding": model})
    with pytest.raises(TrainingError, match="^step 3: b is not finite"):
        check_finite(3, {"a": ok, "b": wrong, "c": wrong}, {})
    model[1].weight.grad[0, 1] = torch.nan
    with pytest.raises(TrainingError, match=r"^step 4: the gradient of embedding\.1\.weight"):
        check_finite(4, {"a": ok}, {"unit": nn.Linear(1, 1), "embedding": model})


def test_a_run_whose_features_are_all_equal_is_told_to_have_collapsed():
    data = image_set()
    source = Frozen(torch.ones(len(data), FEATURES), FEATURES)
    e = experiment(head_init="random", lr=0.0, eval_every=5)
    message = run(e, data, source).collapse
    assert message.startswith("collapsed from step 0: ")
    assert "features fell together" in message and "one score to every pair" in message
    assert run(experiment(head_init="random", eval_every=5, lr=1e-3)).collapse == ""


def test_a_full_gpu_names_the_batch_and_the_crop_that_fit(monkeypatch):
    """A network that takes at most 6 pictures stands in for the GPU."""
    data = image_set(images=4)
    source = pictures(data, side=80)
    source.net_input = Input(80, 64)

    class Small(Convolution):
        def forward(self, x):
            if len(x) > 6 and self.training:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return super().forward(x)

    e = experiment(
        mode="finetune",
        classes_per_batch=5,
        samples_per_class=3,
        batch_size=15,
        steps=2,
        head_init="random",
    )
    with pytest.raises(TrainingError) as error:
        run(e, data, source, Small())
    text = str(error.value)
    assert "\n" not in text and "full at m = 15, crop 64 px" in text
    assert (
        "m = 6 fits (--set batch_size=6 --set classes_per_batch=2)" in text
        and "crop of 32 px" in text
    )


def test_another_number_of_processes_than_the_run_is_for_is_refused():
    data = image_set()
    with pytest.raises(UserError, match="one of 2 processes.*but 1 train.*torchrun"):
        run(experiment(ranks=2), data, clusters(data))
