"""Networks by name, their inputs, and what is said of a file of weights that does not fit."""

import sys
import urllib.error
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pddm_lite.networks import backbones
from pddm_lite.networks.backbones import HALF, NETWORKS, load
from pddm_lite.networks.features import normalise
from pddm_lite.networks.smallnet import WEIGHTS as SHIPPED
from pddm_lite.networks.smallnet import SmallNet
from pddm_lite.store.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
MOBILENET = ROOT.parent / "shared" / "weights" / "mobilenet_v2_imagenet_fp16.pth"
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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


# ------------------------------------------------------------------------------------ timm


def test_without_timm_the_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError) as error:
        load("timm:resnet18")
    one_line(error, "timm:resnet18", "pip install 'pddm-lite[timm]'")


@pytest.fixture
def timm():
    return pytest.importorskip("timm")


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
