"""Files of weights, ImageNet's and the shipped ones; what is said of one that does not fit."""

import urllib.error
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from said import one_line
from torch import nn

from pddm_lite.networks import backbones
from pddm_lite.networks.backbones import HALF, load
from pddm_lite.networks.smallnet import WEIGHTS as SHIPPED
from pddm_lite.networks.smallnet import SmallNet
from pddm_lite.store.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
MOBILENET = ROOT.parent / "shared" / "weights" / "mobilenet_v2_imagenet_fp16.pth"
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Evil:
    def __reduce__(self):
        return (print, ("this must not run",))


def renamed(state):
    return {f"encoder.{k}": v for k, v in state.items()}


WRONG_FILES = {
    "a text file": (
        lambda p: p.write_text("<html>404</html>", encoding="utf-8"),
        ["not a file of tensors"],
    ),
    "a torn file": (
        lambda p: p.write_bytes(SHIPPED.read_bytes()[:5000]),
        ["not a file of tensors"],
    ),
    "a pickled object": (lambda p: torch.save(Evil(), p), ["not a file of tensors"]),
    "a tensor": (lambda p: torch.save(torch.ones(2), p), ["not a state dict"]),
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


def wrapped(prefix):
    return {f"{prefix}{k}": v for k, v in SmallNet().state_dict().items()}


@pytest.mark.parametrize(
    "checkpoint",
    [
        lambda: wrapped("module."),
        lambda: wrapped("_orig_mod."),
        lambda: {"model": wrapped("")},
        lambda: {"state_dict": wrapped(""), "epoch": 3, "optimizer": {"lr": [1.0]}},
        lambda: {"state_dict": wrapped("module."), "epoch": 3},
        lambda: {"model": {"state_dict": wrapped("module._orig_mod.")}},
        lambda: {"model_state_dict": wrapped("")},
    ],
)
def test_weights_in_a_checkpoint_and_of_a_wrapped_network_load(checkpoint, tmp_path):
    torch.manual_seed(5)
    expected = wrapped("")
    torch.manual_seed(5)
    torch.save(checkpoint(), tmp_path / "w.pt")
    net = load("smallnet", str(tmp_path / "w.pt")).net
    assert all(torch.equal(v, expected[k]) for k, v in net.state_dict().items())


@pytest.mark.parametrize("case", WRONG_FILES)
def test_a_file_that_does_not_fit_is_a_line_for_the_user(tmp_path, capsys, case):
    make, named = WRONG_FILES[case]
    path = tmp_path / "wrong.pt"
    make(path)
    with pytest.raises(UserError) as error:
        load("smallnet", str(path))
    one_line(error, "wrong.pt", "smallnet", *named)
    assert "must not run" not in capsys.readouterr().out


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
    for stored, resize, crop in ((0, 257, 225), (255, 257, 225), (144, 147, 129), (1, 38, 33)):
        i = load("resnet18", str(tmp_path / "folded.pth"), stored).input
        assert (i.mean, i.std, i.resize, i.crop) == (HALF, HALF, resize, crop)
    state["bn1.running_var"][3] = 1.5
    torch.save(state, tmp_path / "plain.pth")
    i = load("resnet18", str(tmp_path / "plain.pth")).input
    assert (i.mean, i.std, i.crop) == (*IMAGENET, 224)
    torch.save(SmallNet().state_dict(), tmp_path / "small.pth")  # has no other convention
    assert load("smallnet", str(tmp_path / "small.pth")).input.crop == 64


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


def test_weights_by_the_name_that_torchvision_gives_them(monkeypatch):
    from torchvision import models

    net = models.resnet50(weights=None)
    asked = []
    monkeypatch.setattr(
        "torchvision.models._api.load_state_dict_from_url",
        lambda url, **_: asked.append(url) or net.state_dict(),
    )
    for weights in ("IMAGENET1K_V1", "IMAGENET1K_V2", "imagenet"):
        assert load("resnet50", weights, crop=32).weights == weights
    old, new, default = asked
    assert old != new == default
    with pytest.raises(UserError) as error:
        load("resnet50", "IMAGENET1K_V3")
    one_line(error, "IMAGENET1K_V3", "resnet50", "imagenet, IMAGENET1K_V1, IMAGENET1K_V2, none.")
    with pytest.raises(UserError) as error:
        load("alexnet", "IMAGENET1K_V2")  # it has but one
    one_line(error, "alexnet", "imagenet, IMAGENET1K_V1, none.")


def test_safetensors(tmp_path):
    path = tmp_path / "s.safetensors"
    path.write_bytes(b"no such thing")
    with pytest.raises(UserError) as error:
        load("smallnet", str(path))
    one_line(error, "s.safetensors", "not a file of tensors", "smallnet")
    state = SmallNet().state_dict()
    save_file(state, path)
    b = load("smallnet", str(path))
    assert all(torch.equal(v, state[k]) for k, v in b.net.state_dict().items())


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
    for stored in (144, 128):  # as when the results were made
        assert str(load("mobilenet_v2", str(MOBILENET), stored).input) == (
            "Input(resize=147, crop=129, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))"
        )
    b = load("mobilenet_v2", str(MOBILENET), stored=64)
    assert (b.weights, b.features) == (MOBILENET.name, 1280)
    assert (b.input.mean, b.input.std) == (HALF, HALF) and b.input.crop == 65
    norms = [m for m in b.net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and all((m.running_var == 1).all() for m in norms)
    with torch.no_grad():
        out = b.net(torch.rand(2, 3, 65, 65) * 2 - 1)
    assert out.shape == (2, 1280) and torch.isfinite(out).all() and out.std() > 0.01
    assert backbones._batch_norm_folded(b.net.state_dict())
