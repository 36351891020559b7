"""Neighbours and accuracies by score, its trainer and tester; open-metric-learning's reranker."""

import numpy as np
import pytest
import torch
from pairs import LABELS, D, plain
from torch import nn

from pddm_lite.layer import PairDistance, PDDMLoss
from pddm_lite.pddm import PDDM, r
from pddm_lite.store.errors import UserError


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
