"""Training end to end: what moves, what is cropped, and what is in half precision."""

import dataclasses

import numpy as np
import pytest
import torch
from micro import Convolution, experiment, image_set, pictures, run

from pddm_lite.networks.embedding import Embedding


@pytest.mark.parametrize("head_init", ["random", "pca"])
def test_finetuning_moves_the_network_but_not_its_batch_norm_statistics(head_init):
    data = image_set(images=4)
    torch.manual_seed(0)
    net = Convolution()
    net.norm.running_mean += 0.2
    before = {k: v.clone() for k, v in net.state_dict().items()}
    e = experiment(
        mode="finetune", steps=3, eval_every=1, holdout=0.0, embedding_size=4, head_init=head_init
    )
    a, b = (run(e, data, pictures(data), net) for _ in range(2))
    state = a.model.backbone.state_dict()
    for k, v in before.items():
        assert torch.equal(net.state_dict()[k], v), k  # the caller's network is left alone
        moved = not torch.equal(state[k], v)
        assert moved == (
            k not in ("norm.running_mean", "norm.running_var", "norm.num_batches_tracked")
        )
        assert torch.equal(state[k], b.model.backbone.state_dict()[k])
    assert len(a.history) == 4 and np.isfinite(a.history["loss"]).all()


def test_training_crops_and_flips_and_evaluation_does_not():
    data = image_set(images=4)
    source = pictures(data, side=6)  # crops of 4: 9 places, flipped or not
    idx = np.arange(3)
    mean, std = (
        torch.tensor(v)[:, None, None] for v in (source.net_input.mean, source.net_input.std)
    )
    whole = (source.x[idx].permute(0, 3, 1, 2).float() / 255 - mean) / std
    centre = source.batch(idx, train=False)
    torch.testing.assert_close(centre, whole[:, :, 1:5, 1:5])
    torch.manual_seed(0)
    seen = [set() for _ in idx]
    views = [(t, s, flip) for t in range(3) for s in range(3) for flip in (False, True)]
    for _ in range(200):
        for k, crop in enumerate(source.batch(idx, train=True)):
            at = [v for v in views if torch.allclose(crop, view(whole[k], *v), atol=1e-5)]
            assert len(at) == 1
            seen[k].add(at[0])
    assert all(s == set(views) for s in seen)


def view(image, top, left, flip):
    crop = image[:, top : top + 4, left : left + 4]
    return crop.flip(2) if flip else crop


def test_bfloat16_is_the_networks_alone():
    data = image_set(images=4)
    e = experiment(mode="finetune", steps=2, eval_every=1, head_init="random")
    net = Convolution()
    plain = run(e, data, pictures(data), net)
    half = run(dataclasses.replace(e, bf16=True), data, pictures(data), net)
    assert all(p.dtype == torch.float32 for p in half.model.parameters())
    a, b = plain.history["loss"], half.history["loss"]
    assert not a.equals(b) and np.allclose(a, b, atol=0.1)


def test_a_free_embedding_starts_at_the_same_scale_whatever_the_networks_features():
    """LiftedStruct's 15 is of features of length 1: raw ones of length 50 broke it at once."""
    torch.manual_seed(0)
    images, net = torch.randn(6, 3, 12, 12), Convolution().eval()
    model = Embedding(5, 4, net, free=15.0)
    before = model(images)
    model.backbone = torch.nn.Sequential(net, Times(50))
    torch.testing.assert_close(model(images), before)
    assert model.raw(images).norm(dim=1).tolist() == pytest.approx([1] * 6)


class Times(torch.nn.Module):
    def __init__(self, by):
        super().__init__()
        self.by = by

    def forward(self, x):
        return self.by * x
