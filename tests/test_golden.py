"""Golden numbers: some thirty runs of six steps, which say when a version must be raised.

A run is named by versions (loop.FIT, methods.LOSSES) and not by how the code reads. So these
numbers guard it: where one differs, either the change is a mistake, or runs made before are not
what the code computes now: raise the loss's version, or FIT where more than one loss differs, and
write them anew by

    python tests/test_golden.py
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pddm_lite.data.base import ImageSet
from pddm_lite.methods import LOSSES, METHODS
from pddm_lite.training import checkpoints, loop
from pddm_lite.training.experiments import make
from pddm_lite.training.inputs import Frozen

FILE = Path(__file__).with_name("golden.json")
PDDM = "PDDM+Quadruplet"
SMALL = dict(embedding_size=5, classes_per_batch=4, samples_per_class=3, batch_size=12, steps=6)
SMALL |= dict(eval_every=3, lr=0.02, mode="frozen", holdout=0.25)
# spelt out, so that another choice of the default recipe changes nothing here
USUAL = dict(optimizer="adamw", head_init="pca", quadruplets=0, negatives="semihard", dropout=0.0)
USUAL |= dict(ema_decay=0.9, random_negative_weight=0.2, beta=0.3, lam=4.0, triplet_margin=0.1)


def cases() -> dict[str, dict]:
    """Name -> settings: every method, loss, miner, optimiser, batch-norm mode; and resuming."""
    found = {f"method {name}": dict(method=name) for name in METHODS}
    found |= {
        f"loss {kind}": dict(method=PDDM, metric_loss=kind)
        for kind in ("logistic", "binary", "fisher")
    }
    for similarity in (
        "PDDM+Quadruplet",
        "LMDM score",
        "Mahalanobis score",
        "Euclidean+Quadruplet",
    ):
        for negatives in ("hardest", "semihard"):
            changes = dict(method=similarity, negatives=negatives, quadruplets=3)
            found[f"{negatives} {similarity}"] = changes
    given = dict(mode="metric", random_negative_weight=1.0, scale_scores=False)
    for name in ("PDDM score", "LMDM score", "Mahalanobis score"):
        found[f"given {name}"] = given | dict(method=name)
    found["given as it is"] = given | dict(
        method="PDDM score", head_init="identity", embedding_size=7, holdout=0.0
    )
    return found | {
        "the paper's letter": dict(method=PDDM, letter=True),
        "sgd": dict(method=PDDM, optimizer="sgd"),
        "no average": dict(method=PDDM, ema_decay=0.0),
        "dropout": dict(method=PDDM, dropout=0.5, mine_with_dropout=True),
        "unscaled": dict(method=PDDM, scale_scores=False, random_negative_weight=1.0),
        "detached, plain D": dict(method=PDDM, detach_metric=True, squared=False),
        "biases at 0": dict(method=PDDM, zero_bias=True, range_floor=0.5),
        "batch norm frozen": dict(method=PDDM, mode="finetune", batch_norm="frozen"),
        "batch norm trained": dict(method=PDDM, mode="finetune", batch_norm="train"),
        "rates": dict(method=PDDM, mode="finetune", metric_lr=3.0, backbone_lr=0.3),
        "resumed": dict(method=PDDM, mode="finetune", random_negative_weight=1.0),
    }


def world() -> tuple[ImageSet, Frozen]:
    """16 classes x 5 features in float64, of a generator of their own."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(16), 5)
    x = rng.normal(size=(16, 7))[labels] + 0.8 * rng.normal(size=(80, 7))
    names = tuple(f"c{c}" for c in range(16))
    data = ImageSet("made up", "made up", labels, names, None, "golden", 12)
    return data, Frozen(torch.from_numpy(x), 7)


class Network(nn.Module):
    """A small network with batch norm on features: [B, 7] -> [B, 7]."""

    def __init__(self):
        super().__init__()
        self.layer, self.norm = nn.Linear(7, 7), nn.BatchNorm1d(7)

    def forward(self, x):
        return x + torch.tanh(self.norm(self.layer(x)))


class Stopped(BaseException):
    pass


def numbers(name: str, settings: dict, folder: Path, monkeypatch) -> dict[str, float]:
    """What six steps give: losses, held-out values, and sums over the weights, by name."""
    usual = {} if settings.get("letter") else USUAL
    settings = {k: v for k, v in settings.items() if k != "letter"}
    e = make("letter", data="made up", **{**SMALL, **usual, **settings})
    data, source = world()
    torch.manual_seed(0)
    net = Network() if e.mode == "finetune" else None
    checkpoint = folder / "run.pt" if name == "resumed" else None
    if checkpoint:
        monkeypatch.setattr(checkpoints, "seconds_between", lambda: -1.0)
        step = loop.take_step

        def stop(t, number):
            if number == 5:
                raise Stopped
            step(t, number)

        with monkeypatch.context() as m:
            m.setattr(loop, "take_step", stop)
            with pytest.raises(Stopped):
                loop.fit(e, data, source, net, False, checkpoint)
        assert checkpoint.exists()
    fitted = loop.fit(e, data, source, net, False, checkpoint)
    found = {}
    for row in fitted.history.to_dict("records"):
        found |= {f"{row['step']} {k}": v for k, v in row.items() if k != "step"}
    for part, module in (("f", fitted.model), ("S", fitted.similarity)):
        for k, p in module.state_dict().items():
            weight = torch.arange(1.0, p.numel() + 1).cos()  # a sum that signs and order change
            found[f"{part}.{k}"] = float((p.double().flatten() * weight).sum())
    return {k: v for k, v in found.items() if np.isfinite(v)}


@pytest.fixture
def in_float64():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.mark.parametrize("name", cases())
def test_a_micro_run_gives_its_golden_numbers(name, tmp_path, monkeypatch, in_float64):
    golden = json.loads(FILE.read_text(encoding="utf-8"))
    settings = cases()[name]
    now = numbers(name, settings, tmp_path, monkeypatch)
    loss = METHODS[settings["method"]].loss
    versions = {"FIT": loop.FIT, loss: LOSSES[loss].version}
    assert golden["versions"].items() >= versions.items(), "a version was raised: write them anew"
    want = golden["numbers"][name]
    assert now.keys() == want.keys()
    for key, value in want.items():
        assert now[key] == pytest.approx(value, rel=1e-6, abs=1e-9), (
            f"{key}: mend the change, or raise the version of the loss or FIT (see the docstring)"
        )


def test_the_golden_numbers_are_of_all_cases():
    golden = json.loads(FILE.read_text(encoding="utf-8"))
    assert golden["numbers"].keys() == cases().keys()
    assert golden["versions"] == versions()


def versions() -> dict[str, int]:
    return {"FIT": loop.FIT} | {name: loss.version for name, loss in LOSSES.items()}


if __name__ == "__main__":
    import tempfile

    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    made = {}
    for name, settings in cases().items():
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            made[name] = numbers(name, settings, Path(folder), patch)
    text = json.dumps({"versions": versions(), "numbers": made}, indent=0)
    FILE.write_text(text + "\n", encoding="utf-8")
