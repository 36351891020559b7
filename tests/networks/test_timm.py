"""Models of timm: their features, crops and weights, and what is said where they are not there."""

import sys

import pytest
import torch
from said import one_line

from pddm_lite.networks.backbones import HALF, load
from pddm_lite.networks.features import normalise
from pddm_lite.store.errors import UserError

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.fixture
def timm():
    return pytest.importorskip("timm")


def test_without_timm_the_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError) as error:
        load("timm:resnet18")
    one_line(error, "timm:resnet18", "pip install 'pddm-lite[timm]'")


@pytest.mark.parametrize(
    ("name", "stored", "crop", "features", "expected"),
    [
        ("test_resnet", 0, 0, 96, (183, 160)),
        ("test_resnet", 64, 0, 96, (73, 64)),
        ("test_vit", 144, 0, 64, (146, 128)),
        ("test_vit", 0, 48, 64, (55, 48)),
        ("vit_tiny_patch16_224", 64, 0, 192, (73, 64)),
        ("vit_small_patch14_dinov2", 60, 0, 384, (64, 56)),  # own 518, patches of 14
        ("mobilenetv3_small_100", 32, 0, 1024, (37, 32)),  # net.num_features says 576
        ("levit_128s", 144, 0, 384, (256, 224)),  # of one size
    ],
)
def test_a_model_of_timm(timm, name, stored, crop, features, expected):
    b = load(f"timm:{name}", "none", stored, crop)
    assert (b.name, b.features) == (f"timm:{name}", features)
    assert (b.input.resize, b.input.crop) == expected
    with torch.no_grad():
        out = b.net(torch.randn(2, 3, b.input.crop, b.input.crop))
    assert out.shape == (2, features) and not torch.equal(out[0], out[1])


def test_the_input_of_a_model_of_timm(timm):
    i = load("timm:vit_tiny_patch16_224", "none", crop=32).input
    assert i.interpolation == "bicubic"
    shades = torch.tensor([[[[0] * 3, [255] * 3]]], dtype=torch.uint8)
    assert normalise(shades, i)[0, :, 0].T.tolist() == [[-1] * 3, [1] * 3]
    i = load("timm:mobilenetv3_small_100", "none", crop=32).input
    assert (i.mean, i.std) == IMAGENET
    assert load("smallnet", "none").input.interpolation == "bilinear"


@pytest.mark.parametrize(
    ("name", "crop", "parts"),
    [
        ("vit_tiny_patch16_224", 100, ["patch of 16 px, as 112 is", "its own is 224"]),
        ("levit_128s", 100, ["its own is 224"]),
        ("test_vit", 8, ["patch of 16 px, as 16 is"]),
    ],
)
def test_a_crop_that_a_model_of_timm_cannot_take(timm, name, crop, parts):
    with pytest.raises(UserError) as error:
        load(f"timm:{name}", "none", crop=crop)
    one_line(error, f"crop {crop}:", name, *parts)


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("vit_smal", "vit_small_patch"),
        ("dinov2", "patch14_dinov2"),
        ("resnet18.nope", "resnet18.a1_in1k"),
        ("rasnet18", "resnet18"),
        ("", "timm.list_models()"),
    ],
)
def test_an_unknown_model_of_timm_suggests_the_nearest(timm, wrong, near):
    with pytest.raises(UserError) as error:
        load(f"timm:{wrong}")
    one_line(error, f"'{wrong}'", near)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_a_file_of_a_model_of_timm(timm, tmp_path, name):
    torch.manual_seed(0)
    source = timm.create_model(name, num_classes=7).eval()
    state = source.state_dict()
    if name == "test_vit":
        state["mask_token"] = torch.zeros(1, 64)  # as in the release of DINOv2
    torch.save(state, tmp_path / "t.pth")
    b = load(f"timm:{name}", str(tmp_path / "t.pth"))
    x = torch.randn(2, 3, 160, 160)
    with torch.no_grad():
        torch.testing.assert_close(b.net(x), source.forward_head(source.forward_features(x), True))
    small = load(f"timm:{name}", str(tmp_path / "t.pth"), crop=64)
    assert small.input.crop == 64 and small.input.mean == HALF
    for other in ("test_convnext", "test_vit3"):
        with pytest.raises(UserError) as error:
            load(f"timm:{other}", str(tmp_path / "t.pth"))
        one_line(error, f"not of timm:{other}")


def test_weights_of_timm_that_cannot_be_fetched(timm, monkeypatch):
    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", offline)
    for weights in ("", "imagenet"):
        with pytest.raises(UserError) as error:
            load("timm:test_vit", weights)
        one_line(error, "timm:test_vit", "OSError", "--weights FILE", "--weights none")


def test_weights_that_timm_fetches(timm, monkeypatch):
    state = timm.create_model("test_vit").state_dict()
    monkeypatch.setattr(
        "timm.models._builder.load_state_dict_from_hf", lambda *_, **__: dict(state)
    )
    b = load("timm:test_vit")
    assert b.weights == "imagenet" and torch.equal(b.net.cls_token, state["cls_token"])
