"""Each row of Table 1 trains, its plateau is the loss of a collapsed run, and settings act."""

import math

import pytest
import torch
import torch.nn.functional as F

from pddm_lite.data.sampler import random_tuples
from pddm_lite.methods import METHODS, build_similarity, method, objective, plateau
from pddm_lite.mining import hard_quadruplets
from pddm_lite.paper import printed
from pddm_lite.pddm import SIMILARITIES
from pddm_lite.store.errors import UserError
from pddm_lite.training.experiments import make

DIM = 8
LEARNED = [n for n, m in METHODS.items() if m.similarity != "euclidean"]
TRAINED = [*LEARNED, "Softmax"]  # have weights of their own beside the head
QUADRUPLET = [n for n, m in METHODS.items() if m.loss == "quadruplet"]


def batch(seed=0, classes=5, images=4):
    g = torch.Generator().manual_seed(seed)
    f = torch.randn(classes * images, DIM, generator=g)
    return F.normalize(f, dim=1), torch.arange(classes).repeat_interleave(images)


def experiment(name, **changes):
    fixed = dict(
        negatives="hardest", random_negative_weight=0.0, beta=1.0, lam=0.5
    )  # the paper's, whatever the recipe says
    return make(data="any", method=name, embedding_size=DIM, **{**fixed, **changes})


def unit(e, seed=0):
    torch.manual_seed(seed)
    return build_similarity(e, classes=5)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("recipe", ["letter", "default"])
def test_every_row_gives_a_finite_loss_with_gradient(name, recipe):
    e = experiment(name, recipe=recipe)
    s = unit(e)
    f, labels = batch()
    if (kind := METHODS[name].batch) != "classes":
        own = next(random_tuples(labels.numpy(), kind, 6, seed=0))
        f, labels = f[own], labels[own]
    f.requires_grad_()
    o = objective(f, labels, s, e)
    assert o.loss.shape == () and torch.isfinite(o.loss) and o.loss > 0
    o.loss.backward()
    assert torch.isfinite(f.grad).all() and f.grad.abs().max() > 1e-5
    gradients = {n: p.grad for n, p in s.named_parameters()}
    assert bool(gradients) == (name in TRAINED)
    for n, g in gradients.items():
        assert torch.isfinite(g).all(), n
        if n != "W_s.bias":  # a shift of all scores changes no difference of two
            assert g.abs().max() > 0, n
    assert s.training
    assert math.isnan(o.score_range) == (name not in QUADRUPLET)
    assert (o.E_m == 0) == (name not in LEARNED)


class Constant(torch.nn.Module):
    """A similarity that gives every pair one score."""

    def __init__(self, of):
        super().__init__()
        self.learned = of.learned

    def pairs(self, f, i, j):
        return f.new_full((len(i),), 3.0)


MARGINS = [
    {},
    {"alpha": 0.3, "beta": 0.7, "lam": 0.25},
    {"triplet_margin": 0.45, "contrastive_margin": 0.8},
    {"lam": 0.0, "alpha": 0.9, "triplet_margin": 0.1},
]


@pytest.mark.parametrize(
    "name",
    [n for n, m in METHODS.items() if m.loss not in ("lifted", "softmax", "contrastive pairs")],
)
@pytest.mark.parametrize("changes", MARGINS, ids=str)
@pytest.mark.parametrize("number", [0, 1])
def test_the_plateau_is_the_loss_of_equal_features_and_equal_scores(name, changes, number):
    e = experiment(name, quadruplets=number, **changes)
    f = F.normalize(torch.ones(12, DIM, dtype=torch.float64), dim=1)
    o = objective(f, torch.arange(3).repeat_interleave(4), Constant(unit(e)), e)
    assert o.loss.item() == pytest.approx(plateau(e), abs=1e-9)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PDDM+Quadruplet", 2.0),
        ("PDDM+Triplet", 1.0),
        ("Euclidean+Quadruplet", 1.0),
        ("Triplet", 0.2),
        ("Contrastive", 0.25),
    ],
)
def test_plateaus_at_the_papers_values(name, value):
    assert plateau(experiment(name, recipe="letter")) == pytest.approx(value)
    assert all(math.isnan(plateau(experiment(name))) for name in ("LiftedStruct", "Softmax"))


def test_the_rows_are_those_of_the_papers_table():
    # rivals that Table 1 does not print
    ours = {"Mahalanobis score", "Euclidean+Quadruplet", "Softmax"}
    ours |= {n for n in METHODS if "random" in n}  # as the paper's own were, which we train anew
    assert all(set(METHODS) - set(half) == ours for half in printed.TABLE_1.values())
    for name, m in METHODS.items():
        assert (m.rank == "score") == name.endswith(" score")
        assert m.similarity in SIMILARITIES and m.headers == (1 if name == "PDDM+Triplet" else 2)
    assert METHODS["PDDM score"].training == METHODS["PDDM+Quadruplet"].training
    assert len({m.training for m in METHODS.values()}) == len(METHODS) - 1


def test_softmax_is_trained_by_its_classifier_and_ranked_without_it():
    e = experiment("Softmax")
    s = unit(e)
    f, labels = batch()
    o = objective(f, labels, s, e)
    logits = 16 * F.cosine_similarity(f[:, None], s.W[None], dim=2)
    want = (logits.exp().sum(1).log() - logits[torch.arange(len(f)), labels]).mean()
    torch.testing.assert_close(o.loss, want)
    assert o.E_e == o.loss and not s.learned and not METHODS["Softmax"].free
    torch.testing.assert_close(s.all_pairs(f), -torch.cdist(f, f).square(), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("PDDM+Quadruplets", "PDDM+Quadruplet"),
        ("pddm+triplet", "PDDM+Triplet"),
        ("liftedstruct", "LiftedStruct"),
        ("LMDM", "LMDM score"),
        ("Contrastiv", "Contrastive"),
    ],
)
def test_an_unknown_method_suggests_the_nearest(wrong, near):
    with pytest.raises(UserError) as error:
        method(wrong)
    assert f"Did you mean '{near}'?" in str(error.value) and "\n" not in str(error.value)
    assert all(name in str(error.value) for name in METHODS)


@pytest.mark.parametrize("name", LEARNED)
def test_detach_metric_keeps_the_gradient_of_E_m_out_of_the_network(name):
    f, labels = batch(2)
    gradients = {}
    for key, changes in {
        "both": {},
        "detached": {"detach_metric": True},
        "no E_e": {"detach_metric": True, "lam": 0.0},
    }.items():
        e = experiment(name, dropout=0.0, **changes)
        x, s = f.clone().requires_grad_(), unit(e)
        o = objective(x, labels, s, e)
        o.loss.backward()
        gradients[key] = x.grad
        assert any(p.grad.abs().max() > 0 for p in s.parameters())
        if key == "detached":
            want = torch.autograd.grad(
                objective(y := f.clone().requires_grad_(), labels, s, e).E_e, y
            )
            torch.testing.assert_close(x.grad, e.lam * want[0])
    assert (gradients["no E_e"] == 0).all()
    assert not torch.allclose(gradients["both"], gradients["detached"])


def test_the_loss_is_E_m_plus_lambda_E_e():
    f, labels = batch(4)
    for lam in (0.0, 0.5, 2.0):
        e = experiment("PDDM+Quadruplet", lam=lam, dropout=0.0)
        o = objective(f, labels, unit(e), e)
        assert o.loss.item() == pytest.approx(o.E_m.item() + lam * o.E_e.item(), rel=1e-6)
    e = experiment("Euclidean+Quadruplet", lam=0.5)
    o = objective(f, labels, unit(e), e)
    assert o.loss.item() == pytest.approx(0.5 * o.E_e.item(), rel=1e-6)


def test_one_header_leaves_l_out():
    """The triplet row's terms are those of (i, j, k) of the same mining."""
    f, labels = batch(5)
    one = experiment("PDDM+Triplet", dropout=0.0, quadruplets=1)
    s = unit(one)
    i, j, k, l, low, high = hard_quadruplets(f, labels, s, 1)
    with torch.no_grad():
        S = {
            p: ((s(f[p[0]], f[p[1]]) - low) / (high - low)).item() for p in ((i, j), (i, k), (j, l))
        }
    first = max(0.0, 0.5 + S[i, k] - S[i, j])
    second = max(0.0, 0.5 + S[j, l] - S[i, j])
    assert objective(f, labels, s, one).E_m.item() == pytest.approx(first, rel=1e-4)
    two = experiment("PDDM+Quadruplet", dropout=0.0, quadruplets=1)
    assert objective(f, labels, s, two).E_m.item() == pytest.approx(first + second, rel=1e-4)
    D = {p: (f[p[0]] - f[p[1]]).square().sum().item() for p in ((i, j), (i, k), (j, l))}
    first = max(0.0, 1 + D[i, j] - D[i, k])
    second = max(0.0, 1 + D[i, j] - D[j, l])
    assert objective(f, labels, s, one).E_e.item() == pytest.approx(first, rel=1e-4)
    assert objective(f, labels, s, two).E_e.item() == pytest.approx(first + second, rel=1e-4)


def test_mining_is_without_dropout_unless_asked_for():
    f, labels = batch(1)
    for mine_with_dropout in (False, True):
        e = experiment("PDDM+Quadruplet", dropout=0.5, mine_with_dropout=mine_with_dropout)
        s = unit(e)
        modes = []
        s.dropout.register_forward_hook(lambda m, *_, modes=modes: modes.append(m.training))
        objective(f, labels, s, e)
        mined, scored = modes[:6], modes[6:]  # two calls in mining, one in the loss; 3 layers each
        assert mined == [mine_with_dropout] * 6 and scored == [True] * 3
        modes.clear()
        objective(f, labels, s.eval(), e)
        assert modes == [False] * 9 and not s.training


def test_unscaled_scores_and_the_floor_change_the_loss_as_they_say():
    f, labels = batch(6)
    e = experiment("PDDM+Quadruplet", dropout=0.0, quadruplets=1)
    s = unit(e)
    i, j, k, l, low, high = hard_quadruplets(f, labels, s, 1)
    with torch.no_grad():
        S_ij, S_ik, S_jl = s(f[i], f[j]).item(), s(f[i], f[k]).item(), s(f[j], f[l]).item()
    width = (high - low).item()
    assert 0 < width < 1
    for changes, divisor in (
        ({"scale_scores": False}, 1.0),
        ({"range_floor": 4.0}, 4.0),
        ({"range_floor": width / 2}, width),
    ):
        want = sum(max(0.0, 0.5 + (far - S_ij) / divisor) for far in (S_ik, S_jl))
        got = objective(f, labels, s, experiment(e.method, dropout=0.0, quadruplets=1, **changes))
        assert got.E_m.item() == pytest.approx(want, rel=1e-4)
        assert got.score_range == pytest.approx(width)


@pytest.mark.parametrize("name", ["PDDM+Quadruplet", "PDDM+Triplet"])
def test_easier_pairs_are_weighed_with_the_hardest(name):
    f, labels = batch(7)
    alone = experiment(name, dropout=0.0)
    s = unit(alone)
    hardest = objective(f, labels, s, alone)
    torch.manual_seed(0)
    mixed = objective(f, labels, s, experiment(name, dropout=0.0, random_negative_weight=3.0))
    assert mixed.E_m < hardest.E_m  # random negatives are easier
    assert mixed.E_m >= hardest.E_m / 4 - 1e-6  # the hardest have one of four parts
    assert mixed.E_e == hardest.E_e
    # the same draw of random negatives with another weight: E_m is linear in it
    torch.manual_seed(0)
    half = objective(f, labels, s, experiment(name, dropout=0.0, random_negative_weight=1.0))
    random_part = (4 * mixed.E_m - hardest.E_m) / 3
    torch.testing.assert_close(half.E_m, (hardest.E_m + random_part) / 2)


@pytest.mark.parametrize("kind", ["logistic", "binary", "fisher"])
@pytest.mark.parametrize("easy", [0.0, 0.5])
def test_other_losses_on_the_scores_change_E_m_alone(kind, easy):
    f, labels = batch()
    plain = experiment("PDDM+Quadruplet", random_negative_weight=easy)
    other = experiment("PDDM+Quadruplet", random_negative_weight=easy, metric_loss=kind)
    u = unit(plain).eval()
    torch.manual_seed(0)
    hinge = objective(f, labels, u, plain)
    torch.manual_seed(0)
    changed = objective(f, labels, u, other)
    assert changed.E_e == hinge.E_e and changed.E_m != hinge.E_m
    assert changed.loss.item() == pytest.approx((changed.E_m + 0.5 * changed.E_e).item())
    assert math.isnan(plateau(other))
    changed.E_m.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in u.parameters())


def test_pointwise_losses_see_unscaled_scores_of_the_mined_pairs():
    f, labels = batch()
    e = experiment("PDDM+Quadruplet", metric_loss="logistic", quadruplets=0)
    u = unit(e).eval()
    i, j, k, l, *_ = hard_quadruplets(f, labels, u, 0)
    S_ij, S_ik, S_jl = (u.pairs(f, *p) for p in ((i, j), (i, k), (j, l)))
    want = 2 * F.softplus(-S_ij).mean() + F.softplus(S_ik).mean() + F.softplus(S_jl).mean()
    torch.testing.assert_close(objective(f, labels, u, e).E_m, want)


def test_fisher_sees_every_pair_of_the_batch():
    f, labels = batch()
    e = experiment("PDDM+Quadruplet", metric_loss="fisher")
    u = unit(e).eval()
    S = u.all_pairs(f)
    a, b = torch.triu_indices(len(f), len(f), 1)
    P, N = (S[a, b][(labels[a] == labels[b]) == same] for same in (True, False))
    want = -(P.mean() - N.mean()) / (P.var(correction=0) + N.var(correction=0)).sqrt()
    torch.testing.assert_close(objective(f, labels, u, e).E_m, want, rtol=1e-4, atol=1e-6)
