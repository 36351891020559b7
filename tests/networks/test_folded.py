import copy

import pytest
import torch

from pddm_lite.networks import backbones, folded


@pytest.mark.parametrize("name", ["smallnet", "mobilenet_v2", "resnet18", "googlenet"])
def test_a_folded_network_has_the_same_values_gradients_and_names(name):
    torch.manual_seed(0)
    plain = backbones.load(name, "none").net.double()
    for m in plain.modules():  # statistics and weights that are not those of a fresh norm
        if isinstance(m, torch.nn.BatchNorm2d):
            for t in (m.running_mean, m.weight.data, m.bias.data):
                t.normal_()
            m.running_var.uniform_(0.5, 2)
    quick = copy.deepcopy(folded.quick(copy.deepcopy(plain)))  # as a run copies it
    x = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    found = []
    for net in (plain.eval(), quick.eval()):
        f = net(x)
        f.square().sum().backward()
        found.append((f, {k: p.grad for k, p in net.named_parameters()}))
    (f, grads), (g, others) = found
    torch.testing.assert_close(f, g)
    assert grads.keys() == others.keys()
    for k, grad in grads.items():
        if grad is not None:
            torch.testing.assert_close(grad, others[k], msg=k)
    assert list(plain.state_dict()) == list(quick.state_dict())


def test_statistics_still_learn_where_batch_norm_trains():
    torch.manual_seed(0)
    plain = backbones.load("smallnet", "none").net
    quick = folded.quick(copy.deepcopy(plain))
    x = torch.randn(4, 3, 64, 64)
    torch.testing.assert_close(plain.train()(x), quick.train()(x))
    for k, value in plain.state_dict().items():
        torch.testing.assert_close(value, quick.state_dict()[k], msg=k)
