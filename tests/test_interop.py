"""The unit in pytorch-metric-learning's losses, miners, trainer, tester; and in OML's reranker."""

import importlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from pddm_lite.layer import PairDistance, PDDMLoss
from pddm_lite.losses import distance as squared
from pddm_lite.losses import double_header
from pddm_lite.mining import hard_quadruplets
from pddm_lite.pddm import LMDM, PDDM, Euclidean, Mahalanobis, r
from pddm_lite.store.errors import UserError
from pddm_lite.training.experiments import make

D = 16
LABELS = torch.arange(6).repeat_interleave(4)


@pytest.fixture(scope="module")
def pml():
    """pytorch_metric_learning with what is plugged into it, as one namespace."""
    pytest.importorskip("pytorch_metric_learning")
    names = "distances losses miners reducers samplers testers trainers utils.inference"
    for name in [*names.split(), "utils.accuracy_calculator"]:
        importlib.import_module(f"pytorch_metric_learning.{name}")
    return sys.modules["pytorch_metric_learning"]


@pytest.fixture
def interop(pml):
    return importlib.import_module("pddm_lite.interop")


@pytest.fixture
def x():
    return torch.randn(len(LABELS), D, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def unit():
    torch.manual_seed(1)
    return PDDM(D, dropout=0.0)


def plain(unit, x, y):
    """S [n, m] pair by pair, as the paper writes it."""
    return torch.stack([unit(r(a)[None].expand(len(y), -1), r(y)) for a in x])


# ------------------------------------------------------------------------------- the distance


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("kind", [PDDM, LMDM, Mahalanobis, Euclidean])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (7, 7), (5, 33), (40, 3), (64, 65)])
def test_matrices_are_the_unit_asked_pair_by_pair(interop, kind, n, m, grad):
    torch.manual_seed(0)
    unit = kind() if kind is Euclidean else kind(D)
    unit.eval()
    q, ref = torch.randn(n, D), torch.randn(m, D)
    q[0] = 0  # its norm is 0 and its score defined
    distance = interop.SimilarityDistance(unit, tile=16)
    with torch.set_grad_enabled(grad):
        torch.testing.assert_close(distance(q, ref), plain(unit, q, ref))
        torch.testing.assert_close(distance(q), plain(unit, q, q))
        assert torch.equal(distance(q, q), distance(q))
        torch.testing.assert_close(
            distance.pairwise_distance(r(q[:1]), r(ref[:1])), plain(unit, q[:1], ref[:1])[0]
        )


def test_half_precision_and_zeros_give_numbers(interop, unit):
    q = torch.randn(9, D).half()
    q[0] = 0
    S = interop.SimilarityDistance(unit)(q)
    assert S.isfinite().all() and S.dtype == torch.float32


def test_gradients_are_those_of_the_plain_matrix(interop, unit, x):
    y = torch.randn(5, D)
    for ref in (None, y):
        weights = torch.randn(len(x), len(x if ref is None else ref))
        x.requires_grad_()
        inputs = [x, *unit.parameters()]
        S = interop.SimilarityDistance(unit)(x, ref)
        ours = torch.autograd.grad((weights * S).sum(), inputs)
        theirs = (weights * plain(unit, x, x if ref is None else ref)).sum()
        for a, b in zip(ours, torch.autograd.grad(theirs, inputs), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_dropout_is_on_in_losses_alone_and_keeps_the_matrix_symmetric(interop, x):
    distance = interop.SimilarityDistance(PDDM(D, dropout=0.5))
    first, second = distance(x), distance(x)
    assert first.requires_grad and not torch.equal(first, second)
    assert torch.equal(first, first.T)
    with torch.no_grad():
        assert torch.equal(distance(x), distance(x))
        assert torch.equal(distance(x, x[:3]), distance(x, x[:3]))
    assert distance.similarity.training


def test_only_a_graph_that_is_wanted_is_built(interop, unit, x):
    distance = interop.SimilarityDistance(unit)
    unit.requires_grad_(False)
    assert not distance(x).requires_grad and not distance(x, x[:3]).requires_grad
    assert distance(x.requires_grad_()).requires_grad


# ---------------------------------------------------------------------------------- the losses


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


# --------------------------------------------------------------------------------- the miners


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


# --------------------------------------------------------------- neighbours, accuracies, tester


def test_the_nearest_by_score_are_found_without_a_graph(interop, pml, unit, x):
    """CustomKNN asked directly carries the graph of every batch: the trap."""
    distance = interop.SimilarityDistance(unit)
    theirs, _ = pml.utils.inference.CustomKNN(distance)(x, 3, x, True)
    assert theirs.requires_grad
    wanted = plain(unit, x, x).detach().fill_diagonal_(-torch.inf).topk(3)
    for most in (1, 5 * len(x), 2**26):  # a query, five, or all at a time
        S, found = interop.ScoreKNN(distance, most)(x, 3, x.clone(), ref_includes_query=True)
        assert not S.requires_grad
        torch.testing.assert_close(S, wanted.values)
        assert torch.equal(found, wanted.indices)
    S, found = interop.ScoreKNN(distance, 20)(x[:5], 2, x[5:])
    wanted = plain(unit, x[:5], x[5:]).detach().topk(2)
    torch.testing.assert_close(S, wanted.values)
    assert torch.equal(found, wanted.indices)


@pytest.mark.parametrize("most", [2**26, 20])
@pytest.mark.parametrize("where", ["a picture", "a score"])
def test_a_score_that_is_not_finite_is_no_hit(interop, x, unit, most, where):
    distance = interop.SimilarityDistance(unit)
    knn = interop.ScoreKNN(distance, most)
    if where == "a picture":
        x[3, 0] = torch.nan
    else:
        unit.W_u.bias.data.fill_(torch.nan)
    for how in ((x, 1, x, True), (x[:4], 2, x[4:], False)):
        with pytest.raises(UserError, match="some scores are not finite"):
            knn(*how)
    if where == "a score":
        accuracy = interop.ScoreAccuracy(distance, ("precision_at_1",), k=1, knn_func=knn)
        with pytest.raises(UserError, match="some scores are not finite"):
            accuracy.get_accuracy(x, LABELS)


def precision(S, query_labels, labels):
    return (labels[S.argmax(1)] == query_labels).float().mean().item()


def test_accuracies_by_score(interop, pml, unit, x):
    distance = interop.SimilarityDistance(unit)
    calculator = interop.ScoreAccuracy(distance)
    values = calculator.get_accuracy(x, LABELS)
    S = plain(unit, x, x).detach()
    own = S.clone().fill_diagonal_(-torch.inf)
    assert values["precision_at_1"] == pytest.approx(precision(own, LABELS, LABELS))
    assert set(values) == set(calculator.BY_CLASS_SIZE) and max(values.values()) < 1
    ranked = ("mean_reciprocal_rank", "mean_average_precision", "precision_at_1")
    theirs = pml.utils.accuracy_calculator.AccuracyCalculator(
        include=ranked + calculator.BY_CLASS_SIZE,
        knn_func=pml.utils.inference.CustomKNN(distance),
    ).get_accuracy(x, LABELS)
    assert {k: theirs[k] for k in values} == pytest.approx(values)
    everything = interop.ScoreAccuracy(distance, include=ranked)
    values = everything.get_accuracy(x, LABELS)
    assert {k: theirs[k] for k in ranked} == pytest.approx(values)
    q = torch.arange(len(x)) % 4 == 0  # one of each class asks the rest
    few = calculator.get_accuracy(x[q], LABELS[q], x[~q], LABELS[~q])
    wanted = precision(S[q][:, ~q], LABELS[q], LABELS[~q])
    assert few["precision_at_1"] == pytest.approx(wanted)


def test_labels_that_float32_cannot_part_stay_apart(interop, pml, unit, x):
    """The trap in AccuracyCalculator, so that we notice if it goes; and that ours avoids it."""
    labels = 2**24 + torch.arange(len(x)) // 12  # two classes, one float32
    distance = interop.SimilarityDistance(unit)
    theirs = pml.utils.accuracy_calculator.AccuracyCalculator(
        include=("precision_at_1",), k=1, knn_func=interop.ScoreKNN(distance)
    )
    assert theirs.get_accuracy(x, labels)["precision_at_1"] == 1
    ours = interop.ScoreAccuracy(distance).get_accuracy(x, labels)
    small = interop.ScoreAccuracy(distance).get_accuracy(x, labels - 2**24)
    assert ours == small and ours["precision_at_1"] < 1
    q = torch.arange(len(x)) % 2 == 0
    split = interop.ScoreAccuracy(distance).get_accuracy(x[q], labels[q], x[~q], labels[~q])
    assert split["precision_at_1"] < 1


def clusters():
    """48 points of 6 classes in 8 dimensions, as a data set."""
    g = torch.Generator().manual_seed(5)
    labels = torch.arange(6).repeat_interleave(8)
    x = 2 * torch.randn(6, 8, generator=g)[labels] + torch.randn(48, 8, generator=g)
    return torch.utils.data.TensorDataset(x, labels)


@pytest.mark.parametrize("how", ["triplet", "mined pairs", "mined triplets", "PDDMLoss"])
def test_pmls_own_trainer_and_tester_run_with_the_unit_and_learn(interop, pml, how):
    torch.manual_seed(0)
    data, trunk = clusters(), nn.Linear(8, D)
    distance, mining = interop.SimilarityDistance(PDDM(D, dropout=0.0)), {}
    if how == "PDDMLoss":
        loss = PDDMLoss(D, dropout=0.0)
        distance = interop.SimilarityDistance(loss.unit)
    elif how == "mined pairs":
        mining["tuple_miner"] = interop.QuadrupletMiner(distance, 0)
        loss = pml.losses.ContrastiveLoss(pos_margin=1, neg_margin=-1, distance=distance)
    else:
        loss = pml.losses.TripletMarginLoss(0.2, distance=distance)
        if how == "mined triplets":
            mining["tuple_miner"] = interop.QuadrupletMiner(distance, 0, triplets=True)
    tester = pml.testers.GlobalEmbeddingSpaceTester(
        accuracy_calculator=interop.ScoreAccuracy(distance), dataloader_num_workers=0
    )

    def accuracy():
        with torch.random.fork_rng():
            found = tester.test({"train": data}, 0, trunk)["train"]
        return found["mean_average_precision_at_r_level0"]

    before = accuracy()
    start = [p.clone() for p in (*trunk.parameters(), distance.similarity.W_u.weight)]
    adam = torch.optim.Adam
    pml.trainers.MetricLossOnly(
        models={"trunk": trunk},
        optimizers={
            "trunk_optimizer": adam(trunk.parameters(), lr=1e-2),
            "metric_loss_optimizer": adam(loss.parameters(), lr=1e-2),
        },
        batch_size=24,
        loss_funcs={"metric_loss": loss},
        mining_funcs=mining,
        dataset=data,
        sampler=pml.samplers.MPerClassSampler(data.tensors[1], 4, 24, 240),
        dataloader_num_workers=0,
    ).train(num_epochs=3)
    after = [*trunk.parameters(), distance.similarity.W_u.weight]
    assert all(not torch.equal(p, q) for p, q in zip(start, after, strict=True))
    assert accuracy() > before + 0.1


def test_without_pml_one_line_says_what_to_install():
    code = "import sys; sys.modules['pytorch_metric_learning'] = None; import pddm_lite.interop"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8"
    )
    last = out.stderr.strip().splitlines()[-1]
    assert out.returncode == 1 and "During handling" not in out.stderr
    assert last.startswith("ImportError: ") and "pip install 'pddm-lite[pml]'" in last


# ------------------------------------------------------------ open-metric-learning's reranker


def test_omls_reranker_sorts_the_shortlist_by_score():
    retrieval = pytest.importorskip("oml.retrieval")
    torch.manual_seed(0)
    x, n_query, top_n = torch.randn(40, 8), 10, 6
    net, unit = nn.Linear(8, D).eval(), PDDM(D).eval()

    class Data:
        input_tensors_key, index_key = "x", "idx"

        def __getitem__(self, i):
            return {"x": x[i], "idx": i}

        def __len__(self):
            return len(x)

        def get_query_ids(self):
            return torch.arange(n_query)

        def get_gallery_ids(self):
            return torch.arange(n_query, len(x))

    with torch.no_grad():
        f = r(net(x))
    far, order = torch.cdist(f[:n_query], f[n_query:]).sort()
    found = retrieval.RetrievalResults(list(far), list(order))
    reranker = retrieval.PairwiseReranker(
        top_n, PairDistance(unit, net), num_workers=0, batch_size=16
    )
    S = plain(unit, f[:n_query], f[n_query:]).detach()
    for q, ids in enumerate(reranker.process(found, Data()).retrieved_ids):
        head = order[q, :top_n]
        assert torch.equal(ids[:top_n], head[S[q, head].argsort(descending=True)])
        assert torch.equal(ids[top_n:], order[q, top_n:])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", [torch.as_tensor, np.asarray, list])
def test_any_float_type_and_labels_of_any_kind(interop, pml, dtype, kind):
    torch.manual_seed(0)
    f, labels = torch.randn(24, 8).to(dtype), np.repeat(np.arange(6), 4).tolist()
    distance = interop.SimilarityDistance(PDDM(8, dropout=0.0))
    tuples = interop.QuadrupletMiner(distance, number=0)(f, kind(labels))
    plain = interop.QuadrupletMiner(distance, number=0)(f.float(), torch.as_tensor(labels))
    assert all(torch.equal(a, b) for a, b in zip(tuples, plain, strict=True))
    torch.testing.assert_close(distance(f), distance(f.float()), rtol=1e-5, atol=1e-6)
    value = pml.losses.TripletMarginLoss(0.1, distance=distance)(f, torch.as_tensor(labels), tuples)
    assert torch.isfinite(value)
    found = interop.ScoreAccuracy(distance).get_accuracy(f.float(), kind(labels))
    assert 0 <= found["precision_at_1"] <= 1
