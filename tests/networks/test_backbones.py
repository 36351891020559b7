"""Networks by name: their features, sizes and the range of their inputs."""

import pytest
import torch
from said import one_line
from torch import nn

from pddm_lite.networks.backbones import NETWORKS, load
from pddm_lite.networks.features import normalise
from pddm_lite.store.errors import UserError

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize(
    ("name", "features", "side"),
    [
        ("smallnet", 256, 64),
        ("alexnet", 4096, 64),
        ("mobilenet_v2", 1280, 32),
        ("googlenet", 1024, 64),
        ("resnet18", 512, 32),
        ("resnet50", 2048, 32),
    ],
)
def test_a_network_without_weights_gives_its_features(name, features, side):
    b = load(name, "none", stored=side)
    assert (b.name, b.weights, b.features, b.input.crop) == (name, "none", features, side)
    assert not b.net.training
    x = torch.randn(2, 3, side, side)
    with torch.no_grad():
        out = b.net(x)
        assert torch.equal(out, b.net(x))  # no dropout
    assert out.shape == (2, features) and torch.isfinite(out).all()
    assert not torch.equal(out[0], out[1])
    heads = [m for m in b.net.modules() if isinstance(m, nn.Linear) and m.out_features == 1000]
    assert heads == []  # the classifier is cut off


@pytest.mark.parametrize(
    ("name", "stored", "crop", "expected"),
    [
        ("smallnet", 0, 0, (64, 64)),
        ("smallnet", 32, 0, (64, 64)),
        ("smallnet", 0, 56, (64, 56)),
        ("resnet18", 0, 0, (256, 224)),
        ("resnet18", 255, 0, (256, 224)),
        ("resnet18", 144, 0, (146, 128)),
        ("resnet18", 1, 0, (37, 32)),
        ("resnet18", 144, 97, (111, 97)),  # what is asked for is not scaled
        ("googlenet", 0, 0, (256, 224)),
        ("googlenet", 0, 227, (259, 227)),  # the paper's
    ],
)
def test_the_sizes_of_each_network(name, stored, crop, expected):
    i = load(name, "none", stored, crop).input
    assert (i.resize, i.crop) == expected


def pictures(side, n=2):
    g = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, side, side, 3), generator=g, dtype=torch.uint8)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_range_of_each_input(name):
    shades = torch.tensor([[[[0] * 3, [255] * 3]]], dtype=torch.uint8)  # black, white
    black, white = normalise(shades, NETWORKS[name][1])[0, :, 0].T
    if name in ("smallnet", "googlenet"):
        torch.testing.assert_close(black, torch.tensor([-1.0, -1.0, -1.0]))
        torch.testing.assert_close(white, torch.tensor([1.0, 1.0, 1.0]))
    else:  # ImageNet's mean and deviation, as in torchvision's documentation
        torch.testing.assert_close(
            black, torch.tensor([-2.1179, -2.0357, -1.8044]), atol=1e-4, rtol=0
        )
        torch.testing.assert_close(white, torch.tensor([2.2489, 2.4286, 2.6400]), atol=1e-4, rtol=0)


def test_googlenet_sees_what_torchvision_would_show_it(tmp_path):
    from torchvision import models
    from torchvision.transforms.functional import normalize

    torch.manual_seed(0)
    # as torchvision builds it for its own weights
    theirs = models.googlenet(
        weights=None, transform_input=True, aux_logits=True, init_weights=False
    )
    with torch.no_grad():
        theirs.conv1.bn.running_mean += 0.1  # or it would pass for folded
    torch.save(theirs.state_dict(), tmp_path / "googlenet.pth")  # the auxiliary ones too
    theirs.fc = nn.Identity()
    b = load("googlenet", str(tmp_path / "googlenet.pth"), crop=64)
    images = pictures(64)
    shown = normalize(images.permute(0, 3, 1, 2) / 255, *IMAGENET)
    with torch.no_grad():
        want, got = theirs.eval()(shown), b.net(normalise(images, b.input))
        wrong = b.net(shown)
    assert (got - want).norm() < 1e-5 * want.norm()
    assert (wrong - want).norm() > 0.1 * want.norm()


@pytest.mark.parametrize(("name", "stored", "crop"), [("alexnet", 32, 0), ("googlenet", 0, 14)])
def test_a_crop_that_a_network_cannot_take(name, stored, crop):
    with pytest.raises(UserError) as error:
        load(name, "none", stored, crop)
    one_line(error, f"crop {crop or stored}:", name, "its own is 224")


@pytest.mark.parametrize("crop", [-1, 1.5, "64", True, None])
def test_a_crop_that_is_no_number_of_pixels(crop):
    with pytest.raises(UserError) as error:
        load("smallnet", "none", crop=crop)
    one_line(error, "crop must be", repr(crop))


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("mobilenetv2", "mobilenet_v2"),
        ("GoogleNet", "googlenet"),
    ],
)
def test_an_unknown_network_suggests_the_nearest(wrong, near):
    with pytest.raises(UserError) as error:
        load(wrong)
    one_line(error, f"Did you mean '{near}'?", *NETWORKS)
