"""The layer in a loop of one's own: the kit's numbers, torch alone, exported and taken along."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pddm_lite import layer
from pddm_lite.layer import PairDistance, PairScore, PDDMLoss
from pddm_lite.losses import distance, double_header
from pddm_lite.methods import objective
from pddm_lite.mining import hard_quadruplets
from pddm_lite.networks import backbones
from pddm_lite.networks.embedding import Embedding
from pddm_lite.pddm import PDDM, r
from pddm_lite.store.errors import UserError
from pddm_lite.training.experiments import make

D = 16


@pytest.fixture
def batch():
    g = torch.Generator().manual_seed(0)
    return torch.randn(24, D, generator=g), torch.arange(6).repeat_interleave(4)


@pytest.mark.parametrize("recipe", ["default", "letter"])
def test_the_loss_is_the_kits_objective_with_its_gradients(batch, recipe):
    x, labels = batch
    torch.manual_seed(1)
    criterion = PDDMLoss(D, recipe, dropout=0.0)
    x = x.clone().requires_grad_()
    torch.manual_seed(2)  # easy negatives are drawn
    ours = torch.autograd.grad(criterion(x, labels), [x, *criterion.parameters()])
    e = make(recipe, data="", embedding_size=D, dropout=0.0)
    torch.manual_seed(2)
    loss = objective(r(x), labels, criterion.unit, e).loss
    theirs = torch.autograd.grad(loss, [x, *criterion.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert all(g.abs().sum() > 0 for g in ours[:-1])  # the last is b_s, which cancels in the hinge


def test_the_loss_by_hand(batch):
    x, labels = batch
    settings = dict(
        alpha=0.4, beta=0.7, lam=3.0, negatives="hardest", quadruplets=1, scale_scores=False
    )
    criterion = PDDMLoss(D, **settings)
    f, unit = r(x), criterion.unit
    i, j, k, l, _, _ = hard_quadruplets(f, labels, unit)
    E_m = double_header(unit(f[i], f[j]), unit(f[i], f[k]), unit(f[j], f[l]), 0.4)
    E_e = double_header(
        -distance(f[i], f[j]), -distance(f[i], f[k]), -distance(f[j], f[l]), margin=0.7
    )
    torch.testing.assert_close(criterion(x, labels), E_m + 3 * E_e)


KINDS = {
    "tensor": torch.as_tensor,
    "array": np.asarray,
    "small numbers": lambda y: np.asarray(y, np.uint8),
    "floats": lambda y: np.asarray(y, np.float32),
    "list": list,
    "tuple": tuple,
}


@pytest.mark.parametrize("method", layer.ROWS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_any_float_type_and_labels_of_any_kind(batch, dtype, method):
    f, labels = batch
    f = f.to(dtype)
    criterion, values = PDDMLoss(D, method=method), []
    for kind in KINDS.values():
        x = f.clone().requires_grad_()
        torch.manual_seed(2)  # easy negatives are drawn
        loss = criterion(x, kind(labels.tolist()))
        loss.backward()
        assert x.grad.dtype == dtype and torch.isfinite(x.grad).all() and x.grad.abs().sum() > 0
        values.append(loss.item())
    torch.manual_seed(2)
    assert len(set(values)) == 1 and values[0] == pytest.approx(
        criterion(f.float(), labels).item(), rel=1e-5
    )
    double = PDDMLoss(D, method=method).double()
    assert double(f, labels).dtype == (torch.float64 if list(double.parameters()) else r(f).dtype)


@pytest.mark.parametrize(
    ("f", "labels", "words"),
    [
        (torch.randn(24, D), ["bird"] * 24, "numbers of classes"),
        (torch.randn(24, D), None, "numbers of classes"),
        (torch.randn(24, D), [[1], [2, 3]], "numbers of classes"),
        (torch.randn(24, D), [1, 2], r"not \[24, 16\] and \[2\]"),
        (torch.ones(24, D, dtype=torch.long), [1] * 24, "tensor of floats, not torch.int64"),
        (np.ones((24, D)), [1] * 24, "tensor of floats, not ndarray"),
    ],
)
def test_what_is_no_batch_is_one_line(f, labels, words):
    with pytest.raises(UserError, match=words) as err:
        PDDMLoss(D)(f, labels)
    assert "\n" not in str(err.value)


def test_five_lines_train_a_network_of_ones_own():
    """Classes that differ in 2 of 32 directions: after some steps their pairs score higher."""
    torch.manual_seed(0)
    centres = torch.zeros(12, 32)
    centres[:, :2] = 3 * torch.randn(12, 2)
    y = torch.arange(12).repeat_interleave(4)
    net = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, D))
    criterion = PDDMLoss(D)
    optimizer = torch.optim.AdamW([*net.parameters(), *criterion.parameters()], lr=3e-3)
    start = criterion.unit.W_u.weight.clone()

    def gap():
        x = centres[y] + torch.randn(48, 32, generator=torch.Generator().manual_seed(9))
        with torch.no_grad():
            S = criterion.unit.all_pairs(r(net(x)))
        same = (y[:, None] == y) & ~torch.eye(48, dtype=torch.bool)
        return ((S[same].mean() - S[y[:, None] != y].mean()) / S.std()).item()

    before = gap()
    for _ in range(60):
        loss = criterion(net(centres[y] + torch.randn(48, 32)), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert gap() > before + 0.3
    assert all(
        not torch.equal(p, q) for p, q in zip(start[:-1], criterion.parameters(), strict=False)
    )


def test_what_the_readme_says_runs(tmp_path, monkeypatch):
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    plain, pml = re.findall(
        r"```python\n(.*?)```",
        readme.split("## The loss in your own loop")[1].split("\n## ")[0],
        re.DOTALL,
    )
    monkeypatch.chdir(tmp_path)
    x, y = torch.randn(16, 32), torch.arange(4).repeat_interleave(4)
    names = dict(net=nn.Linear(32, 128), x=x, y=y, a=x[:5], b=x[5:10])
    exec(plain, names)
    assert names["loss"].requires_grad
    with torch.no_grad():
        S = names["score"](names["a"], names["b"])
    torch.testing.assert_close(names["S"], S, rtol=0, atol=1e-6)
    pytest.importorskip("pytorch_metric_learning")
    names["f"] = names["net"](x)
    exec(pml, names)
    assert names["loss"].requires_grad


def test_it_needs_torch_alone():
    barred = "torchvision PIL pandas sklearn matplotlib seaborn tqdm safetensors"
    code = f"""
import sys
for name in "{barred} pytorch_metric_learning oml".split():
    sys.modules[name] = None  # importing it fails
import torch
from pddm_lite.layer import PDDMLoss
loss = PDDMLoss(8)(torch.randn(8, 8), torch.arange(2).repeat(4))
print(loss.item() > 0)
"""
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8"
    )
    assert out.stdout.strip() == "True", out.stderr


@pytest.mark.parametrize(
    ("make_it", "says"),
    [
        (lambda: PDDMLoss(D, alfa=0.1), "setting of the loss 'alfa'.*Did you mean 'alpha'"),
        (lambda: PDDMLoss(D, steps=3), "setting of the loss 'steps'"),
        (lambda: PDDMLoss(D, alpha=-1.0), "alpha must be from 0"),
        (lambda: PDDMLoss(0), "embedding_size must be at least 1"),
        (lambda: PDDMLoss(D, method="Softmax"), "method with quadruplets 'Softmax'"),
        (lambda: PDDMLoss(D)(torch.zeros(4, 8), torch.zeros(4)), r"not \[4, 8\] and \[4\]"),
        (lambda: PDDMLoss(D)(torch.zeros(4, D), torch.zeros(3)), r"not \[4, 16\] and \[3\]"),
        (lambda: PDDMLoss(D)(torch.zeros(4, D), torch.arange(4)), "some images of each"),
        (lambda: PDDMLoss(D)(torch.zeros(4, D), torch.zeros(4), ()), "without a miner"),
    ],
)
def test_wrong_use_is_one_line(make_it, says):
    with pytest.raises(UserError, match=says) as err:
        make_it()
    assert "\n" not in str(err.value)


@pytest.mark.parametrize("method", layer.ROWS)
def test_every_row_with_quadruplets_gives_a_loss(batch, method):
    x, labels = batch
    x = x.clone().requires_grad_()
    criterion = PDDMLoss(D, method=method)
    criterion(x, labels).backward()
    assert x.grad.abs().sum() > 0


def test_a_pairs_distance_is_positive_and_falls_with_its_score():
    torch.manual_seed(0)
    unit = PDDM(D, dropout=0.0).eval()
    a, b = torch.randn(500, D), torch.randn(500, D)
    S, far = PairScore(unit)(a, b), PairDistance(unit)
    assert torch.equal(far(a, b), -S) and torch.equal(S, unit(r(a), r(b)))
    P = far.predict(a, b)
    assert (P > 0).all() and torch.equal(P.argsort(), (-S).argsort()) and not P.requires_grad
    with torch.no_grad():  # scores far from 0, and ones that float32 could not part around ln 2
        unit.W_s.weight.mul_(600 / S.abs().max())
        unit.W_s.bias.zero_()
        S = PairScore(unit)(a, b)
        assert (S.abs() > 200).any() and (far.predict(a, b) > 0).all()
        unit.W_s.weight.mul_(1e-10)
        S = PairScore(unit)(a, b)
        assert len(torch.unique(F.softplus(-S))) < 0.9 * len(torch.unique(S))
        assert len(torch.unique(far.predict(a, b))) > 0.9 * len(torch.unique(S))


def test_network_head_and_unit_are_exported_for_any_batch_and_read_back(tmp_path):
    torch.manual_seed(0)
    net = Embedding(256, D, backbones.load("smallnet").net)
    score = PairScore(PDDM(D), net, normalize=False)
    a, b = torch.rand(7, 3, 64, 64), torch.rand(7, 3, 64, 64)
    for name, model, inputs in (("S", score, (a, b)), ("f", net, (a,))):
        torch.export.save(layer.export(model, *inputs), tmp_path / f"{name}.pt2")
        again = torch.export.load(tmp_path / f"{name}.pt2").module()
        for n in (1, 2, 7):
            cut = [x[:n] for x in inputs]
            with torch.no_grad():
                torch.testing.assert_close(again(*cut), model(*cut), rtol=0, atol=1e-6)
    assert not score.training and not net.training  # dropout is off in what was exported
