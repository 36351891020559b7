"""A metric taken away in one file: the same scores bit for bit, and one line where it cannot be."""

from dataclasses import replace

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from fakes import SMALL, coloured
from PIL import Image

from pddm_lite.networks import backbones
from pddm_lite.own_data import metric as own_metric
from pddm_lite.own_data.metric import Metric
from pddm_lite.pddm import LMDM, PDDM, Euclidean, Mahalanobis
from pddm_lite.store import saving
from pddm_lite.store.errors import UserError
from pddm_lite.training.experiments import make
from pddm_lite.training.runs import fit_or_load


@pytest.fixture(scope="module")
def data():
    return coloured()


@pytest.fixture(scope="module")
def taken(data, tmp_path_factory):
    """fn(**changes): (run, its metric), fitted once."""
    folder, made = tmp_path_factory.mktemp("runs"), {}
    usual = {"mode": "frozen", "backbone": "smallnet", "lr": 1e-2}

    def take(**changes):
        key = tuple(sorted(changes.items()))
        if key not in made:
            e = make(data=data.name, **usual | SMALL | changes)
            run = fit_or_load(e, data, folder, bar=False)
            made[key] = run, Metric.of(run, data, folder)
        return made[key]

    return take


CASES = [
    dict(),
    dict(method="LMDM score", dropout=0.5),
    dict(method="Mahalanobis score"),
    dict(method="LiftedStruct"),  # free features, a metric that is not learned
    dict(method="Softmax"),
    dict(weights="none"),  # a random network, the same one again
    dict(mode="finetune", ema_decay=0.0),
]


@pytest.mark.parametrize("changes", CASES, ids=lambda c: "-".join(map(str, c.values())) or "PDDM")
def test_the_file_gives_the_same_scores_bit_for_bit(data, taken, tmp_path, changes):
    run, metric = taken(**changes)
    assert own_metric.check(metric, run, data) < 2e-3
    path = metric.save(tmp_path / "m.safetensors")
    torch.manual_seed(99)
    state = torch.random.get_rng_state()
    loaded = Metric.load(path)
    assert torch.equal(state, torch.random.get_rng_state())
    pictures = [data.read(i) for i in range(0, 32, 5)]
    f, g = metric.embed(pictures), loaded.embed(pictures)
    assert torch.equal(f, g) and loaded.experiment.method == run.experiment.method
    assert torch.equal(metric.unit(f[1:], f[:-1]), loaded.unit(g[1:], g[:-1]))
    assert not loaded.unit.training and not loaded.network.training
    assert path.read_bytes() == loaded.save(tmp_path / "again.safetensors").read_bytes()


def test_the_metric_is_the_runs(data, taken):
    run, metric = taken()
    f = own_metric.features(run)
    a, b = (data.read(int(data.test[n])) for n in (0, 9))
    D, S = metric.compare(a, b)
    assert (D, S) == pytest.approx(metric.compare(b, a))
    assert D == pytest.approx((f[0] - f[9]).norm().item(), abs=2e-3)
    assert S == pytest.approx(run.similarity()(f[:1], f[9:10]).item(), abs=2e-3)


def test_pictures_may_be_paths_images_arrays_and_lists_of_them(data, taken, tmp_path):
    _, metric = taken()
    images = [data.read(i) for i in (0, 9, 20)]
    paths = [tmp_path / f"{n}.png" for n in range(3)]
    for path, image in zip(paths, images, strict=True):
        image.save(path)
    expected = metric.embed(images)
    arrays = [np.asarray(image) for image in images]
    rgba = [np.dstack([a, np.full(a.shape[:2], 255, np.uint8)]) for a in arrays]
    mixed = [paths[0], images[1], arrays[2]]
    every = (paths, list(map(str, paths)), arrays, np.stack(arrays), rgba, mixed, iter(images))
    for pictures in every:
        assert torch.equal(metric.embed(pictures), expected)
    assert metric.embed(arrays[0][..., 0]).shape == (1, 8)  # grey
    D, S = metric.compare(images[0], images[1])
    for kind in (paths, [str(p) for p in paths], arrays):
        assert metric.compare(kind[0], kind[1]) == (D, S)
        several = metric.compare(kind[:2], kind[1:])
        assert several[0].shape == several[1].shape == (2,)
        assert (several[0][0].item(), several[1][0].item()) == pytest.approx((D, S), rel=1e-5)


def test_pictures_are_embedded_as_a_viewer_shows_them(data, taken, tmp_path):
    """Turned by EXIF and in 16 bits: as the data set's own reader gives them."""
    _, metric = taken()
    image, exif = data.read(0), Image.Exif()
    exif[0x0112] = 6
    image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    grey = np.asarray(image.convert("L"))
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    for name, picture in (("turned.png", image), ("deep.png", grey)):
        for given in (tmp_path / name, Image.open(tmp_path / name)):
            assert torch.equal(metric.embed(given), metric.embed(picture)), name


def test_pictures_are_embedded_a_batch_at_a_time(data, taken, monkeypatch):
    _, metric = taken()
    pictures, seen = [data.read(i % 32) for i in range(70)], []
    crops = own_metric.Metric.crops

    def counted(self, part):
        seen.append(len(part))
        return crops(self, part)

    monkeypatch.setattr(own_metric.Metric, "crops", counted)
    f = metric.embed(pictures)
    assert seen == [64, 6] and f.shape == (70, 8)
    torch.testing.assert_close(metric.embed(pictures, batch=7), f, rtol=0, atol=1e-5)
    assert max(seen[2:]) == 7


NO_PICTURES = {
    "a float array": (np.zeros((8, 8, 3)), "not array float64"),
    "a tensor": (torch.zeros(3, 8, 8), "not tensor float32"),
    "nothing": (None, "not NoneType"),
    "bytes": (b"\x89PNG", "not bytes"),
    "a list of numbers": ([1, 2], "not int"),
    "an empty list": ([], "the list is empty"),
    "no such file": ("no.png", "no.png: no such file"),
    "a folder": (".", "no such file"),
}


@pytest.mark.parametrize("case", NO_PICTURES)
def test_what_is_no_picture_is_one_line(data, taken, case):
    bad, says = NO_PICTURES[case]
    metric = taken()[1]
    for ask in (metric.embed, lambda x: metric.compare(x, data.read(0))):
        with pytest.raises(UserError, match=says) as err:
            ask(bad)
        assert "\n" not in str(err.value)


def test_a_file_that_is_no_image_and_lists_that_do_not_fit(data, taken, tmp_path):
    metric, image = taken()[1], data.read(0)
    (tmp_path / "a.png").write_text("text", encoding="utf-8")
    with pytest.raises(UserError, match="a.png: cannot be read as an image"):
        metric.embed(tmp_path / "a.png")
    for a, b in ((image, [image]), ([image] * 2, [image]), ([image], image)):
        with pytest.raises(UserError, match="two lists of the same length"):
            metric.compare(a, b)


def test_exported_programs_give_the_same_numbers(data, taken, tmp_path):
    _, metric = taken()
    f_program, S_program = metric.export()
    torch.export.save(f_program, tmp_path / "f.pt2")
    torch.export.save(S_program, tmp_path / "S.pt2")
    f_again, S_again = (torch.export.load(tmp_path / f"{n}.pt2").module() for n in "fS")
    x = metric.crops([data.read(i) for i in range(6)])
    for n in (1, 5):
        a, b = x[:n], x[-n:]
        f = metric.network(a)
        torch.testing.assert_close(f_again(a), f, rtol=0, atol=1e-6)
        S = metric.unit(f, metric.network(b))
        torch.testing.assert_close(S_again(a, b), S, rtol=0, atol=1e-6)


def test_another_runs_metric_is_noticed(data, taken):
    with pytest.raises(UserError, match="differ"):
        own_metric.check(taken()[1], taken(seed=1)[0], data)


def test_a_fine_tuned_run_of_an_older_version_cannot_be_taken_away(data, taken, tmp_path):
    run, _ = taken(mode="finetune", steps=2)
    (run.store.path(run.id) / "backbone.pt").unlink()
    with pytest.raises(UserError, match="keeps no backbone.pt"):
        Metric.of(run, data, tmp_path)


# ---------------------------------------------------------------------- the unit alone, the file


@pytest.mark.parametrize(
    "unit",
    [PDDM(6), PDDM(6, zero_bias=True), LMDM(5, dropout=0.1), Mahalanobis(4), Euclidean()],
    ids=lambda u: type(u).__name__,
)
def test_a_unit_alone_comes_back_bit_for_bit(unit, tmp_path):
    again = saving.load_unit(saving.save_unit(tmp_path / "u.safetensors", unit))
    assert type(again) is type(unit) and not again.training
    f = torch.randn(9, 6)[:, : saving.settings_of(unit)["d"] or 6]
    assert torch.equal(unit.eval().all_pairs(f), again.all_pairs(f))
    if isinstance(unit, PDDM):
        assert again.dropout.p == unit.dropout.p


def rewritten(path, tensors=None, **changes):
    """The file again with other tensors or settings, its checksum right."""
    old, about = saving.read(path, "unit")
    about = {k: v for k, v in about.items() if k not in ("version", "holds", "sha256")} | changes
    return saving.write(path, "unit", old if tensors is None else tensors, about)


def torn(path):
    path.write_bytes(path.read_bytes()[:-9])


def flipped(path):
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


def resettled(path):
    path.write_bytes(path.read_bytes().replace(b"0.5", b"0.4"))


def foreign(path):
    safetensors.torch.save_file({"x": torch.zeros(2)}, path, {"format": "pt"})


HARM = {
    "torn": (torn, "torn, or no safetensors file"),
    "a bit": (flipped, "was changed after it was saved"),
    "a setting": (resettled, "was changed after it was saved"),
    "of another program": (foreign, "was not made by pddm-lite"),
    "gone": (lambda p: p.unlink(), "no such file"),
    "newer": (lambda p: rewritten(p, version=2), "of version 2; this pddm-lite reads version 1"),
    "another kind": (lambda p: rewritten(p, kind="cosine"), "kind 'cosine'; known: euclidean"),
    "shapes": (
        lambda p: rewritten(p, PDDM(5).state_dict()),
        "not the tensors of pddm of length 6.*W_u.weight",
    ),
}


@pytest.mark.parametrize(("harm", "says"), HARM.values(), ids=HARM)
def test_a_harmed_file_is_one_line(harm, says, tmp_path):
    path = saving.save_unit(tmp_path / "u.safetensors", PDDM(6))
    harm(path)
    with pytest.raises(UserError, match=says) as err:
        saving.load_unit(path)
    assert "\n" not in str(err.value) and "u.safetensors" in str(err.value)


def test_a_unit_is_no_metric_and_a_metric_no_unit(taken, tmp_path):
    unit = saving.save_unit(tmp_path / "u.safetensors", PDDM(6))
    with pytest.raises(UserError, match="should hold a metric, but holds a unit"):
        Metric.load(unit)
    with pytest.raises(UserError, match="should hold a unit, but holds a metric"):
        saving.load_unit(taken()[1].save(tmp_path / "m.safetensors"))


def test_other_weights_of_the_network_are_noticed(taken, tmp_path):
    _, metric = taken()
    path = metric.save(tmp_path / "m.safetensors")
    net = backbones.load("smallnet").net
    with torch.no_grad():
        net.layers[0].weight[0, 0, 0, 0] += 1e-3
    torch.save(net.state_dict(), tmp_path / "other.pt")
    with pytest.raises(UserError, match="made with other weights of smallnet than .*other.pt"):
        Metric.load(path, weights=str(tmp_path / "other.pt"))
    with pytest.raises(UserError, match="gone.pt: no such file"):
        Metric.load(path, weights="gone.pt")
    assert Metric.load(path, weights=str(backbones.SHIPPED)).experiment == metric.experiment


def test_settings_of_another_version_are_noticed(taken, tmp_path):
    _, metric = taken()
    path = metric.save(tmp_path / "m.safetensors")
    tensors, about = saving.read(path, "metric")
    about = {k: v for k, v in about.items() if k not in ("version", "holds")}
    del about["experiment"]["alpha"]
    saving.write(path, "metric", tensors, about)
    with pytest.raises(UserError, match=r"another version of pddm-lite \(setting alpha\)"):
        Metric.load(path)
    assert replace(metric.experiment, alpha=0.5) == metric.experiment
