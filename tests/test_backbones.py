"""Networks by name, their inputs, and what is said of a file of weights that does not fit."""

import urllib.error
from pathlib import Path

import pytest
import torch
from torch import nn

from pddm_lite import backbones
from pddm_lite.backbones import HALF, NETWORKS, SHIPPED, load
from pddm_lite.errors import UserError
from pddm_lite.smallnet import SmallNet

ROOT = Path(__file__).resolve().parents[1]
MOBILENET = ROOT.parent / "shared" / "weights" / "mobilenet_v2_imagenet_fp16.pth"
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize(
    ("name", "features", "side"),
    [
        ("smallnet", 256, 64),
        ("mobilenet_v2", 1280, 33),
        ("googlenet", 1024, 65),
        ("resnet18", 512, 33),
    ],
)
def test_a_network_without_weights_gives_its_features(name, features, side):
    b = load(name, "none", stored=32 if side == 33 else 64)
    assert (b.name, b.weights, b.features, b.input.crop) == (name, "none", features, side)
    assert not b.net.training
    with torch.no_grad():
        out = b.net(torch.randn(2, 3, side, side))
    assert out.shape == (2, features) and torch.isfinite(out).all()
    assert not torch.equal(out[0], out[1])
    heads = [m for m in b.net.modules() if isinstance(m, nn.Linear)]
    assert heads == []  # the classifier is cut off


@pytest.mark.parametrize(
    ("name", "stored", "resize", "crop", "half"),
    [
        ("smallnet", 0, 64, 64, True),
        ("smallnet", 500, 64, 64, True),
        ("resnet18", 0, 257, 225, False),
        ("resnet18", 256, 257, 225, False),
        ("resnet18", 255, 257, 225, False),
        ("resnet18", 128, 147, 129, False),
        ("resnet18", 64, 74, 65, False),
        ("resnet18", 32, 38, 33, False),
        ("resnet18", 1, 38, 33, False),
        ("googlenet", 0, 257, 225, True),  # it would re-normalise its input by itself
    ],
)
def test_the_input_of_each_network(name, stored, resize, crop, half):
    i = load(name, "none", stored).input
    assert (i.resize, i.crop) == (resize, crop)
    assert (i.mean, i.std) == ((HALF, HALF) if half else IMAGENET)
    assert HALF == (0.5, 0.5, 0.5)
    if name == "googlenet":
        assert load(name, "none").net.transform_input is False


def test_every_network_states_its_length():
    for name in NETWORKS:
        build, classifier = NETWORKS[name]
        net, features = build()
        assert features > 0 and (classifier == "" or hasattr(net, classifier))


def one_line(error, *named):
    message = str(error.value)
    assert "\n" not in message and len(message) < 400
    for part in named:
        assert part in message, message


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("mobilenetv2", "mobilenet_v2"),
        ("GoogleNet", "googlenet"),
        ("resnet52", "resnet50"),
        ("smalnet", "smallnet"),
    ],
)
def test_an_unknown_network_suggests_the_nearest(wrong, near):
    with pytest.raises(UserError) as error:
        load(wrong)
    one_line(error, f"Did you mean '{near}'?", *NETWORKS)


class Evil:
    def __reduce__(self):
        return (print, ("this must not run",))


def renamed(state):
    return {f"module.{k}": v for k, v in state.items()}


WRONG_FILES = {
    "a text file": (lambda p: p.write_text("<html>404</html>"), ["not a file of tensors"]),
    "an empty file": (lambda p: p.write_bytes(b""), ["not a file of tensors"]),
    "a torn file": (
        lambda p: p.write_bytes(SHIPPED.read_bytes()[:5000]),
        ["not a file of tensors"],
    ),
    "a pickled object": (lambda p: torch.save(Evil(), p), ["not a file of tensors"]),
    "a whole network": (lambda p: torch.save(SmallNet(), p), ["not a file of tensors"]),
    "a list": (lambda p: torch.save([torch.ones(2)], p), ["not a state dict"]),
    "a tensor": (lambda p: torch.save(torch.ones(2), p), ["not a state dict"]),
    "numbers": (lambda p: torch.save({"a": 1}, p), ["not a state dict"]),
    "names that are no text": (lambda p: torch.save({1: torch.ones(2)}, p), []),
    "nothing": (lambda p: torch.save({}, p), ["not of smallnet", "missing"]),
    "another network": (
        lambda p: torch.save(nn.Linear(3, 2).state_dict(), p),
        ["not of smallnet", "2 unknown"],
    ),
    "other names": (
        lambda p: torch.save(renamed(SmallNet().state_dict()), p),
        ["not of smallnet", "missing", "unknown"],
    ),
    "other shapes": (
        lambda p: torch.save({k: v[..., None] for k, v in SmallNet().state_dict().items()}, p),
        ["not of smallnet", "of another shape"],
    ),
}


@pytest.mark.parametrize("case", WRONG_FILES)
def test_a_file_that_does_not_fit_is_a_line_for_the_user(tmp_path, capsys, case):
    make, named = WRONG_FILES[case]
    path = tmp_path / "wrong.pt"
    make(path)
    with pytest.raises(UserError) as error:
        load("smallnet", str(path))
    one_line(error, "wrong.pt", "smallnet", *named)
    assert "must not run" not in capsys.readouterr().out


def test_a_missing_file_and_a_folder(tmp_path):
    for path in (tmp_path / "no.pt", tmp_path):
        with pytest.raises(UserError) as error:
            load("resnet18", str(path))
        one_line(error, str(path), "no such file", "resnet18")


@pytest.mark.parametrize("wrap", [False, True])
def test_a_file_of_the_network_is_loaded_with_or_without_its_classifier(tmp_path, wrap):
    from torchvision import models

    torch.manual_seed(0)
    source = models.resnet18(weights=None, num_classes=7)  # another classifier than ImageNet's
    with torch.no_grad():
        source.bn1.running_mean += 0.1
    state = {k: v.half() if v.is_floating_point() else v for k, v in source.state_dict().items()}
    source.load_state_dict(state)
    source.fc = nn.Identity()
    x = torch.randn(2, 3, 33, 33)
    with torch.no_grad():
        want = source.eval()(x)
    bare = {k: v for k, v in state.items() if not k.startswith("fc.")}
    for s in (state, bare):
        torch.save({"state_dict": s, "epoch": 3} if wrap else s, tmp_path / "r.pth")
        b = load("resnet18", str(tmp_path / "r.pth"))
        with torch.no_grad():
            torch.testing.assert_close(b.net(x), want)
        assert b.weights == "r.pth" and (b.input.mean, b.input.std) == IMAGENET
        assert next(b.net.parameters()).dtype == torch.float32


def test_folded_batch_norm_is_recognised(tmp_path):
    from torchvision import models

    state = models.resnet18(weights=None).state_dict()  # as built: mean 0, variance 1
    torch.save(state, tmp_path / "folded.pth")
    i = load("resnet18", str(tmp_path / "folded.pth")).input
    assert (i.mean, i.std) == (HALF, HALF)
    state["bn1.running_var"][3] = 1.5
    torch.save(state, tmp_path / "plain.pth")
    i = load("resnet18", str(tmp_path / "plain.pth")).input
    assert (i.mean, i.std) == IMAGENET


def test_imagenet_weights_that_cannot_be_fetched(monkeypatch):
    def offline(*_, **__):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    for weights in ("", "imagenet"):
        with pytest.raises(UserError) as error:
            load("resnet18", weights)
        one_line(error, "resnet18", "URLError", "--weights FILE", "--weights none")
    with pytest.raises(UserError, match="smallnet has no ImageNet weights"):
        load("smallnet", "imagenet")


def test_imagenet_weights_are_taken_without_their_classifiers(monkeypatch):
    from torchvision import models

    net = models.googlenet(weights=None, aux_logits=True, init_weights=False)
    state = net.state_dict()
    monkeypatch.setattr(
        "torchvision.models._api.load_state_dict_from_url", lambda *_, **__: dict(state)
    )
    b = load("googlenet")
    assert b.weights == "imagenet" and (b.input.mean, b.input.std) == (HALF, HALF)
    assert torch.equal(b.net.conv1.conv.weight, net.conv1.conv.weight)


@pytest.mark.skipif(not SHIPPED.exists(), reason="the shipped weights of smallnet are not there")
def test_the_shipped_weights_of_smallnet():
    b, bare = load("smallnet"), load("smallnet", "none")
    assert b.weights == SHIPPED.name and (b.input.mean, b.input.std) == (HALF, HALF)
    assert b.net.state_dict().keys() == bare.net.state_dict().keys()
    g = torch.Generator().manual_seed(0)
    x = torch.rand(4, 3, 64, 64, generator=g) * 2 - 1
    with torch.no_grad():
        got = b.net(x)
        assert got.shape == (4, 256) and torch.isfinite(got).all() and (got >= 0).all()
        assert (got - bare.net(x)).abs().max() > 0.01


@pytest.mark.skipif(
    not MOBILENET.exists(), reason="../shared/weights/mobilenet_v2_imagenet_fp16.pth is not there"
)
def test_the_real_mobilenet_has_its_batch_norm_folded():
    b = load("mobilenet_v2", str(MOBILENET), stored=64)
    assert (b.weights, b.features) == (MOBILENET.name, 1280)
    assert (b.input.mean, b.input.std) == (HALF, HALF) and b.input.crop == 65
    norms = [m for m in b.net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and all((m.running_var == 1).all() for m in norms)
    with torch.no_grad():
        out = b.net(torch.rand(2, 3, 65, 65) * 2 - 1)
    assert out.shape == (2, 1280) and torch.isfinite(out).all() and out.std() > 0.01
    assert backbones._batch_norm_folded(b.net.state_dict())
