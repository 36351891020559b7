"""Its losses and miners with the unit: margins the other way round, quadruplets from both ends."""

import pytest
import torch
from pairs import LABELS, D, plain

from pddm_lite.losses import distance as squared
from pddm_lite.losses import double_header
from pddm_lite.mining import hard_quadruplets
from pddm_lite.pddm import PDDM, r
from pddm_lite.store.errors import UserError
from pddm_lite.training.experiments import make


def test_contrastive_loss_with_its_margins_the_other_way_round(interop, pml, unit, x):
    distance = interop.SimilarityDistance(unit)
    S = plain(unit, x, x).detach()
    same = LABELS[:, None] == LABELS
    P, N = S[same & ~torch.eye(len(x), dtype=torch.bool)], S[~same]
    high, low = P.quantile(0.7).item(), N.quantile(0.3).item()
    loss = pml.losses.ContrastiveLoss(pos_margin=high, neg_margin=low, distance=distance)
    near, far = torch.relu(high - P), torch.relu(N - low)
    wanted = near[near > 0].mean() + far[far > 0].mean()
    torch.testing.assert_close(loss(x, LABELS), wanted)


def test_triplet_loss_wants_positives_to_score_higher(interop, pml, unit, x):
    loss = pml.losses.TripletMarginLoss(margin=0.1, distance=interop.SimilarityDistance(unit))
    S = plain(unit, x, x)
    same = LABELS[:, None] == LABELS
    terms = torch.relu(S[:, None, :] - S[:, :, None] + 0.1)  # [anchor, positive, negative]
    positive = same & ~torch.eye(len(x), dtype=torch.bool)
    terms = terms[positive[:, :, None] & ~same[:, None, :]]
    torch.testing.assert_close(loss(x, LABELS), terms[terms > 0].mean())


@pytest.mark.parametrize(
    "name", ["TripletMarginLoss", "ContrastiveLoss", "MultiSimilarityLoss", "MarginLoss"]
)
def test_gradient_reaches_unit_and_features_and_the_loss_owns_the_unit(interop, pml, unit, x, name):
    margins = dict(pos_margin=1, neg_margin=-1) if name == "ContrastiveLoss" else {}
    loss = getattr(pml.losses, name)(distance=interop.SimilarityDistance(unit), **margins)
    assert {id(p) for p in unit.parameters()} <= {id(p) for p in loss.parameters()}
    loss(x.requires_grad_(), LABELS).backward()
    learns = [x, unit.W_u.weight, unit.W_v.weight, unit.W_c.weight, unit.W_s.weight]
    assert all(p.grad.abs().sum() > 0 for p in learns)


def test_its_pair_losses_lose_a_single_pair_but_no_quadruplet(interop, pml, unit, x):
    """The trap, so that we notice if it goes; and that the miner's form avoids it."""
    distance = interop.SimilarityDistance(unit)
    loss = pml.losses.ContrastiveLoss(pos_margin=9, neg_margin=-9, distance=distance)
    one = [torch.tensor([n]) for n in (0, 1, 0, 4)]
    assert loss(x, LABELS, one) == 0
    quadruplet = interop.QuadrupletMiner(distance, 1, negatives="hardest")(x, LABELS)
    assert [len(t) for t in quadruplet] == [2, 2, 2, 2]
    i, j, k, l, _, _ = hard_quadruplets(r(x), LABELS, unit)
    S_ij, S_ik, S_jl = (unit(r(x[a]), r(x[b])) for a, b in ((i, j), (i, k), (j, l)))
    wanted = (9 - S_ij) + (S_ik + 9 + S_jl + 9) / 2
    torch.testing.assert_close(loss(x, LABELS, quadruplet), wanted[0])


def test_batch_hard_mining_by_score(interop, pml, unit, x):
    a, p, n = pml.miners.BatchHardMiner(distance=interop.SimilarityDistance(unit))(x, LABELS)
    S = plain(unit, x, x)
    same = LABELS[:, None] == LABELS
    own = same & ~torch.eye(len(x), dtype=torch.bool)
    assert torch.equal(p, S.masked_fill(~own, torch.inf).argmin(1)[a])
    assert torch.equal(n, S.masked_fill(same, -torch.inf).argmax(1)[a])
    assert all(w.grad is None for w in unit.parameters())


def test_triplet_mining_by_score(interop, pml, unit, x):
    miner = pml.miners.TripletMarginMiner(
        0.02, type_of_triplets="hard", distance=interop.SimilarityDistance(unit)
    )
    a, p, n = miner(x, LABELS)
    S = plain(unit, x, x)
    assert len(a) > 0 and (S[a, n] >= S[a, p]).all()


@pytest.mark.parametrize("negatives", ["hardest", "semihard"])
@pytest.mark.parametrize("number", [1, 3, 0])
def test_the_miner_gives_the_quadruplets_from_both_ends(interop, unit, x, number, negatives):
    distance = interop.SimilarityDistance(unit)
    i, j, k, l, _, _ = hard_quadruplets(r(x), LABELS, unit, number, negatives)
    a1, p, a2, n = interop.QuadrupletMiner(distance, number, negatives=negatives)(x, LABELS)
    assert torch.equal(torch.stack([a1, p]), torch.stack([torch.cat([i, j]), torch.cat([j, i])]))
    assert torch.equal(torch.stack([a2, n]), torch.stack([torch.cat([i, j]), torch.cat([k, l])]))
    miner = interop.QuadrupletMiner(distance, number, True, negatives)
    triplets = miner(x, LABELS)
    assert all(torch.equal(t, u) for t, u in zip(triplets, (a1, p, n), strict=True))


def test_the_miners_defaults_are_the_recipes(interop, unit):
    miner, recipe = interop.QuadrupletMiner(interop.SimilarityDistance(unit)), make(data="")
    assert (miner.number, miner.negatives) == (recipe.quadruplets, recipe.negatives)


@pytest.mark.parametrize("number", [1, 0])
def test_with_its_triplets_pmls_loss_is_eq_3_and_eq_4(interop, pml, unit, x, number):
    distance = interop.SimilarityDistance(unit)
    mined = interop.QuadrupletMiner(distance, number, True, "hardest")(x, LABELS)
    f = r(x)
    i, j, k, l, _, _ = hard_quadruplets(f, LABELS, unit, number)
    sums = dict(reducer=pml.reducers.SumReducer())
    E_m = pml.losses.TripletMarginLoss(0.5, distance=distance, **sums)(x, LABELS, mined)
    S_ij, S_ik, S_jl = (unit(f[a], f[b]) for a, b in ((i, j), (i, k), (j, l)))
    torch.testing.assert_close(E_m, len(i) * double_header(S_ij, S_ik, S_jl, 0.5))
    lp = pml.distances.LpDistance(power=2)
    E_e = pml.losses.TripletMarginLoss(1.0, distance=lp, **sums)(x, LABELS, mined)
    D_ij, D_ik, D_jl = (squared(f[a], f[b]) for a, b in ((i, j), (i, k), (j, l)))
    torch.testing.assert_close(E_e, len(i) * double_header(-D_ij, -D_ik, -D_jl, 1.0))


def test_pmls_triplets_of_one_mined_quadruplet_are_its_two_headers(interop, pml, unit, x):
    distance = interop.SimilarityDistance(unit)
    loss = pml.losses.TripletMarginLoss(0.5, distance=distance)
    both = [interop.QuadrupletMiner(distance, 1, t, "hardest")(x, LABELS) for t in (False, True)]
    torch.testing.assert_close(*(loss(x, LABELS, mined) for mined in both))


def test_mining_is_without_dropout_and_leaves_the_mode(interop, x):
    torch.manual_seed(3)
    unit = PDDM(D, dropout=0.5)
    miner = interop.QuadrupletMiner(interop.SimilarityDistance(unit), 0)
    first, second = miner(x, LABELS), miner(x, LABELS)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True)) and unit.training


def test_a_batch_without_pairs_gives_empty_tuples_and_no_loss(interop, pml, unit, x):
    distance = interop.SimilarityDistance(unit)
    for labels in (torch.arange(len(x)), torch.zeros(len(x))):
        mined = interop.QuadrupletMiner(distance)(x, labels)
        assert [len(t) for t in mined] == [0] * 4 and mined[0].dtype == torch.long
        assert pml.losses.ContrastiveLoss(distance=distance)(x, labels, mined) == 0


def test_wrong_use_is_one_line(interop, pml, unit, x):
    with pytest.raises(UserError, match="needs distance=SimilarityDistance") as err:
        interop.QuadrupletMiner(pml.distances.LpDistance())
    assert "\n" not in str(err.value)
    with pytest.raises(UserError, match="within one batch"):
        interop.QuadrupletMiner(interop.SimilarityDistance(unit))(x, LABELS, x[:4], LABELS[:4])
