"""The training loop: the same twice, after a kill and in two processes; honest about its step."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from micro import FEATURES, Convolution, clusters, experiment, image_set, pictures, run
from torch import distributed as dist

from pddm_lite.data import sampler
from pddm_lite.data.base import split
from pddm_lite.measures.retrieval import recall_at_k
from pddm_lite.methods import METHODS, build_similarity, objective
from pddm_lite.networks.embedding import Embedding
from pddm_lite.training import checkpoints, loop
from pddm_lite.training.experiments import make
from pddm_lite.training.inputs import Frozen
from pddm_lite.training.loop import embed, fit
from pddm_lite.training.optimisation import optimiser


@pytest.mark.parametrize("name", METHODS)
def test_the_same_experiment_twice_is_the_same_to_the_bit(name):
    e = experiment(
        method=name, dropout=0.3, random_negative_weight=1.0, ema_decay=0.9, head_init="random"
    )
    a, b = run(e), run(e)
    torch.rand(7)  # the global generator has no say
    c = run(make(**{**vars(e), "seed": 1}))
    pd.testing.assert_frame_equal(a.history, b.history, check_exact=True)
    for x, y in ((a.model, b.model), (a.similarity, b.similarity)):
        for k, v in x.state_dict().items():
            assert torch.equal(v, y.state_dict()[k]), k
    assert not a.history["loss"].equals(c.history["loss"])
    assert list(a.history["step"]) == list(a.timing["step"]) == [0, 10, 20, 30]
    assert "seconds" not in a.history and a.timing["seconds"].is_monotonic_increasing
    assert np.isfinite(a.history["loss"]).all()


@pytest.mark.parametrize("easy", [0.0, 1.0])
def test_looking_more_often_does_not_change_the_training(easy):
    """Evaluations draw nothing from the generators that training uses."""
    losses = []
    for every in (30, 5):
        e = experiment(eval_every=every, random_negative_weight=easy, dropout=0.2, holdout=0.0)
        losses.append(run(e).model.state_dict()["head.weight"])
    assert torch.equal(*losses)


@pytest.mark.parametrize("name", METHODS)
def test_the_loss_falls(name):
    e = experiment(method=name, steps=150, eval_every=50, head_init="random", holdout=0.0)
    h = run(e).history
    assert h["loss"].iloc[-1] < 0.9 * h["loss"].iloc[1], h["loss"].tolist()


@pytest.mark.parametrize("name", ["Triplet", "PDDM+Quadruplet", "LMDM score"])
@pytest.mark.parametrize("average", [0.0, 0.9])
def test_each_ranking_chooses_its_own_step_on_the_held_out_classes(name, average):
    chosen, differ = set(), False
    for seed in range(6):
        e = experiment(method=name, seed=seed, holdout=0.34, ema_decay=average, lr=0.05)
        e = make(**{**vars(e), "head_init": "random"})
        data = image_set()
        source = clusters(data, seed, noise=1.2)
        fitted = run(e, data, source)
        h = fitted.history.set_index("step")
        columns = {"distance": "val_recall_1", "score": "val_score_recall_1"}
        learned = METHODS[name].similarity != "euclidean"
        assert list(fitted.best) == ["distance", "score"][: 1 + learned]
        assert fitted.chosen_step == h[columns[METHODS[name].rank]].idxmax()
        assert not any(c.startswith("test") for c in h)  # nothing of the test classes is shown
        idx = split(data, e.holdout, seed).val
        for ranking in fitted.best:  # the model that comes back is the one of that step
            own = fitted.at(ranking)
            assert own.chosen_step == h[columns[ranking]].idxmax()
            f, labels = embed(own.model, source, idx), torch.from_numpy(data.labels[idx])
            by = dict(features=f)
            if ranking == "score":
                by = dict(scores=own.similarity.all_pairs(f))
            got = recall_at_k(labels, **by, ks=(1,))[1]
            assert got == h.loc[own.chosen_step, columns[ranking]]
            chosen.add(own.chosen_step)
        differ |= len({step for _, step, *_ in fitted.best.values()}) == 2
        assert not fitted.model.training and not fitted.similarity.training
    assert len(chosen) > 1 and differ == learned  # the two rankings do choose two steps


def test_without_holdout_the_last_step_is_reported():
    e = experiment(holdout=0.0, steps=25)
    fitted = run(e)
    assert fitted.chosen_step == 25 and list(fitted.history["step"]) == [0, 10, 20, 25]
    assert not any(c.startswith("val") for c in fitted.history)


@pytest.mark.parametrize("holdout", [0.1, 0.2, 0.34])
def test_no_single_class_is_held_out(holdout):
    """Recall@1 among one class is always 100: step 0, untrained, would win every time."""
    for classes in range(4, 40):
        data = image_set(classes)
        held = set(data.labels[split(data, holdout, seed=0).val].tolist())
        assert len(held) != 1, f"{data.train_classes} training classes"


def test_only_the_fit_classes_are_trained_on():
    data = image_set()
    e = experiment(holdout=0.34)
    parts = split(data, e.holdout, e.seed)
    assert all(len(i) for i in (parts.fit, parts.val, parts.test))
    classes = [set(data.labels[i].tolist()) for i in (parts.fit, parts.val, parts.test)]
    assert not (classes[0] & classes[1] or classes[0] & classes[2] or classes[1] & classes[2])
    asked = {True: set(), False: set()}

    class Watched(Frozen):
        def batch(self, idx, train):
            asked[train] |= set(idx.tolist())
            return super().batch(idx, train)

    source = clusters(data)
    run(e, data, Watched(source.x, FEATURES))
    assert asked[True] == set(parts.fit.tolist())  # 30 batches of 12 see all of these
    # what the other classes look like changes nothing in the training
    other = source.x.clone()
    other[np.concatenate([parts.val, parts.test])] *= -3
    losses = [run(e, data, Frozen(x, FEATURES)).history["loss"] for x in (source.x, other)]
    assert losses[0].equals(losses[1])


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_a_killed_run_goes_on_from_its_checkpoint_to_the_same_bits(tmp_path, monkeypatch, average):
    data, net = image_set(images=4), Convolution()
    e = experiment(
        mode="finetune", dim=4, steps=9, eval_every=3, optimizer="adamw", average=average
    )
    monkeypatch.setattr(checkpoints, "seconds_between", lambda: -1.0)
    whole = run(e, data, pictures(data), net)
    checkpoint = tmp_path / "run.pt"

    class Killed(BaseException):
        pass

    def killed_at(n, calls=[]):  # noqa: B006 - counts over both attempts
        def average_gradients(_):
            calls.append(1)
            if len(calls) == n:
                raise Killed

        return average_gradients

    for n in (5, 9):  # in step 5, then 4 steps on from the checkpoint of step 3: in step 7
        monkeypatch.setattr(loop.distributed, "average_gradients", killed_at(n))
        with pytest.raises(Killed):
            fit(e, data, pictures(data), net, False, checkpoint)
    monkeypatch.undo()
    resumed = fit(e, data, pictures(data), net, False, checkpoint)
    pd.testing.assert_frame_equal(resumed.history, whole.history, check_exact=True)
    assert list(resumed.timing["step"]) == list(whole.timing["step"])
    assert resumed.chosen_step == whole.chosen_step and resumed.collapse == whole.collapse
    for a, b in ((resumed.model, whole.model), (resumed.similarity, whole.similarity)):
        for (name, p), q in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
            assert torch.equal(p, q), name


def _trains(rank, folder):
    """One of two processes: what torchrun would start."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    data = image_set()
    fitted = fit(two_processes(), data, clusters(data), None, bar=False)
    state = {f"f.{k}": v for k, v in fitted.model.state_dict().items()}
    state |= {f"s.{k}": v for k, v in fitted.similarity.state_dict().items()}
    torch.save(state, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def two_processes(**changes):
    same = dict(ranks=2, steps=4, eval_every=4, holdout=0.0, ema_decay=0.0)
    # nothing drawn at random in the loss: the processes draw apart
    return experiment(head_init="random", random_negative_weight=0.0, **same, **changes)


def test_two_processes_train_as_one_with_the_gradients_averaged_by_hand(tmp_path):
    torch.multiprocessing.spawn(_trains, (str(tmp_path),), nprocs=2)
    states = [torch.load(tmp_path / f"{r}.pt", weights_only=True) for r in range(2)]
    # by hand: one model, at each step the gradients of both processes' batches
    e, data = two_processes(), image_set()
    source, labels = clusters(data), torch.from_numpy(data.labels)
    torch.manual_seed(e.seed)
    model, unit = Embedding(FEATURES, e.embedding_size), build_similarity(e)
    optim = optimiser(e, model, unit)
    fit_on = split(data, e.holdout, e.seed).fit
    shape = (e.classes_per_batch, e.samples_per_class, e.seed)
    draws = [sampler.class_balanced(data.labels[fit_on], *shape, r) for r in range(2)]
    for _ in range(e.steps):
        optim.zero_grad()
        for batches in draws:
            idx = fit_on[next(batches)]
            (objective(model(source.x[idx]), labels[idx], unit.train(), e).loss / 2).backward()
        optim.step()
    hand = {f"f.{k}": v for k, v in model.state_dict().items()}
    hand |= {f"s.{k}": v for k, v in unit.state_dict().items()}
    for name, value in hand.items():
        assert torch.equal(states[0][name], states[1][name]), name  # the processes agree
        torch.testing.assert_close(states[0][name], value, rtol=1e-5, atol=1e-6, msg=name)
    alone = run(dataclasses.replace(e, ranks=1), data, source)
    assert not torch.allclose(alone.model.head.weight, hand["f.head.weight"], atol=1e-5)
