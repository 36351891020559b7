"""The training loop: the same twice, honest about its step, loud where it breaks, stored once."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import torch
from fakes import coloured
from sklearn.decomposition import PCA
from torch import distributed as dist
from torch import nn

from pddm_lite.data import sampler
from pddm_lite.data.base import ImageSet, fingerprint, split
from pddm_lite.measures.retrieval import recall_at_k
from pddm_lite.measures.scores import pair_scores, separation
from pddm_lite.methods import LOSSES, METHODS, build_similarity, objective
from pddm_lite.networks.backbones import Input
from pddm_lite.networks.embedding import Embedding
from pddm_lite.networks.features import stored_pixels
from pddm_lite.store.errors import UserError
from pddm_lite.store.store import Store
from pddm_lite.training import checkpoints, loop, runs
from pddm_lite.training.experiments import make
from pddm_lite.training.faults import TrainingError, check_finite
from pddm_lite.training.inputs import Frozen, Images, inputs
from pddm_lite.training.loop import embed, fit
from pddm_lite.training.optimisation import optimiser
from pddm_lite.training.runs import fit_or_load, run_id

FEATURES = 10


def unreadable(i):
    raise AssertionError("training on features reads no image")


def image_set(classes=12, images=6, read=unreadable, name="made up"):
    labels = np.repeat(np.arange(classes), images)
    return ImageSet(
        name=name,
        title=name,
        labels=labels,
        class_names=tuple(f"c{c}" for c in range(classes)),
        read=read,
        fingerprint=fingerprint(name, classes, images),
        train_classes=classes // 2,
    )


def clusters(data, seed=0, noise=0.6):
    """Frozen features: a cluster a class, in a space with some noisy directions."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(len(data.class_names), FEATURES))
    x = centres[data.labels] + noise * rng.normal(size=(len(data), FEATURES))
    x[:, -3:] += 2 * rng.normal(size=(len(data), 3))
    return Frozen(torch.from_numpy(x.astype(np.float32)), FEATURES)


def experiment(**changes):
    small = dict(
        embedding_size=6,
        classes_per_batch=4,
        samples_per_class=3,
        batch_size=12,
        steps=30,
        eval_every=10,
        lr=1e-2,
    )
    return make(**{"data": "made up", "mode": "frozen", **small, **changes})


def run(e, data=None, source=None, backbone=None):
    data = data or image_set()
    return fit(e, data, source or clusters(data), backbone, bar=False)


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


# ------------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize("name", ["PDDM+Quadruplet", "Triplet", "LiftedStruct"])
def test_nan_is_caught_at_its_step(name):
    data = image_set()
    calls = []

    class Poisoned(Frozen):
        def batch(self, idx, train):
            calls.append(train)
            x = super().batch(idx, train)
            return x * torch.nan if train and calls.count(True) == 7 else x

    with pytest.raises(TrainingError, match=r"^step 7: the embedding f is not finite"):
        run(experiment(method=name), data, Poisoned(clusters(data).x, FEATURES))


@pytest.mark.parametrize("head_init", ["random", "pca"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_features_that_are_not_finite_are_caught(head_init, value):
    data = image_set()
    source = clusters(data)
    e = experiment(head_init=head_init, holdout=0.34)
    source.x[split(data, e.holdout, e.seed).fit[4], 2] = value
    with pytest.raises((TrainingError, UserError), match="finite") as error:
        run(e, data, source)
    assert "\n" not in str(error.value)


def test_check_finite_names_the_first_of_what_is_not_finite():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    ok, wrong = torch.ones(2), torch.tensor([1.0, torch.inf])
    check_finite(3, {"a": ok}, {"embedding": model})  # no gradient yet: nothing to say
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    check_finite(3, {"a": ok}, {"embedding": model})
    with pytest.raises(TrainingError, match="^step 3: b is not finite"):
        check_finite(3, {"a": ok, "b": wrong, "c": wrong}, {})
    model[1].weight.grad[0, 1] = torch.nan
    with pytest.raises(TrainingError, match=r"^step 4: the gradient of embedding\.1\.weight"):
        check_finite(4, {"a": ok}, {"unit": nn.Linear(1, 1), "embedding": model})


def test_a_run_whose_features_are_all_equal_is_told_to_have_collapsed():
    data = image_set()
    source = Frozen(torch.ones(len(data), FEATURES), FEATURES)
    e = experiment(head_init="random", lr=0.0, eval_every=5)
    message = run(e, data, source).collapse
    assert message.startswith("collapsed from step 0: ")
    assert "features fell together" in message and "one score to every pair" in message
    assert run(experiment(head_init="random", eval_every=5, lr=1e-3)).collapse == ""


# ----------------------------------------------------------------------- start and optimiser


def test_the_pca_start_is_sklearns_up_to_sign_and_keeps_distances_at_full_length():
    x = clusters(image_set()).x
    for d in (1, 3, FEATURES):
        model = Embedding(FEATURES, d)
        model.start_from_pca(x)
        with torch.no_grad():
            got = model.head(x)
        pca = PCA(d, svd_solver="full").fit(x.double().numpy())
        want = torch.from_numpy(pca.transform(x.double().numpy())).float()
        sign = (got * want).sum(0).sign()
        torch.testing.assert_close(got, want * sign, rtol=0, atol=1e-4)
        model.start_from_pca(x.flip(0))  # the order of the images has no say in the sign
        torch.testing.assert_close(model.head(x), got, rtol=0, atol=1e-4)
    got, x = got.double(), x.double()
    torch.testing.assert_close(torch.cdist(got, got), torch.cdist(x, x), rtol=0, atol=1e-4)


class Convolution(nn.Module):
    """A small network with batch norm: [B, 3, H, W] -> [B, 5]."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 5, 3, stride=2), nn.BatchNorm2d(5)

    def forward(self, x):
        return torch.relu(self.norm(self.conv(x))).mean(dim=(2, 3))


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_weights_decay_and_biases_do_not_each_at_its_rate(kind):
    e = experiment(optimizer=kind, lr=0.01, metric_lr=5.0, backbone_lr=0.1, weight_decay=0.03)
    model, unit = Embedding(5, 6, Convolution()), build_similarity(e)
    rates = {"head": 0.01, "unit": 0.05, "backbone": 0.001}
    where = {id(p): (n, "unit") for n, p in unit.named_parameters()}
    where |= {id(p): (n, n.split(".")[0]) for n, p in model.named_parameters()}
    optim = optimiser(e, model, unit)
    seen = []
    for group in optim.param_groups:
        for p in group["params"]:
            name, part = where[id(p)]
            seen.append(id(p))
            assert group["lr"] == pytest.approx(rates[part]), name
            is_weight = name.endswith("weight") and "norm" not in name
            assert group["weight_decay"] == (0.03 if is_weight else 0), name
    assert sorted(seen) == sorted(where)  # every parameter, once
    assert type(optim).__name__.lower() == kind
    if kind == "sgd":
        assert all(group["momentum"] == 0.9 for group in optim.param_groups)


def test_a_step_of_sgd_is_the_step_written_out():
    data = image_set()
    e = experiment(
        optimizer="sgd", momentum=0.0, weight_decay=0.1, lr=0.5, steps=1, holdout=0.0, seed=3
    )
    e = make(**{**vars(e), "head_init": "random", "dropout": 0.0, "average": 0.0})
    source = clusters(data)
    after = run(e, data, source)
    torch.manual_seed(e.seed)
    model = Embedding(FEATURES, e.embedding_size)
    unit = build_similarity(e)
    idx = split(data, 0, 3).fit[
        next(sampler.class_balanced(data.labels[split(data, 0, 3).fit], 4, 3, e.seed))
    ]
    objective(model(source.x[idx]), torch.from_numpy(data.labels[idx]), unit, e).loss.backward()
    for old, new, rate in ((model, after.model, 0.5), (unit, after.similarity, 0.5 * e.metric_lr)):
        for (name, p), q in zip(old.named_parameters(), new.parameters(), strict=True):
            decay = 0.1 * p if p.ndim > 1 else 0
            torch.testing.assert_close(q, p - rate * (p.grad + decay), msg=name)


# ------------------------------------------------------------------------------- finetuning


def pictures(data, side=12, seed=0):
    g = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 256, (len(data), side, side, 3), generator=g, dtype=torch.uint8)
    return Images(x, 5, Input(side, side - 2), "cpu")


@pytest.mark.parametrize("head_init", ["random", "pca"])
def test_finetuning_moves_the_network_but_not_its_batch_norm_statistics(head_init):
    data = image_set(images=4)
    torch.manual_seed(0)
    net = Convolution()
    net.norm.running_mean += 0.2
    before = {k: v.clone() for k, v in net.state_dict().items()}
    e = experiment(
        mode="finetune", steps=3, eval_every=1, holdout=0.0, embedding_size=4, head_init=head_init
    )
    a, b = (run(e, data, pictures(data), net) for _ in range(2))
    state = a.model.backbone.state_dict()
    for k, v in before.items():
        assert torch.equal(net.state_dict()[k], v), k  # the caller's network is left alone
        moved = not torch.equal(state[k], v)
        assert moved == (
            k not in ("norm.running_mean", "norm.running_var", "norm.num_batches_tracked")
        )
        assert torch.equal(state[k], b.model.backbone.state_dict()[k])
    assert len(a.history) == 4 and np.isfinite(a.history["loss"]).all()


def test_training_crops_and_flips_and_evaluation_does_not():
    data = image_set(images=4)
    source = pictures(data, side=6)  # crops of 4: 9 places, flipped or not
    idx = np.arange(3)
    mean, std = (
        torch.tensor(v)[:, None, None] for v in (source.net_input.mean, source.net_input.std)
    )
    whole = (source.x[idx].permute(0, 3, 1, 2).float() / 255 - mean) / std
    centre = source.batch(idx, train=False)
    torch.testing.assert_close(centre, whole[:, :, 1:5, 1:5])
    torch.manual_seed(0)
    seen = [set() for _ in idx]
    views = [(t, s, flip) for t in range(3) for s in range(3) for flip in (False, True)]
    for _ in range(200):
        for k, crop in enumerate(source.batch(idx, train=True)):
            at = [v for v in views if torch.allclose(crop, view(whole[k], *v), atol=1e-5)]
            assert len(at) == 1
            seen[k].add(at[0])
    assert all(s == set(views) for s in seen)


def view(image, top, left, flip):
    crop = image[:, top : top + 4, left : left + 4]
    return crop.flip(2) if flip else crop


# ------------------------------------------------------------------------------ the measures


# --------------------------------------------------------------------------------- the store


@pytest.fixture
def small_world():
    """64 x 64 pictures, a colour a class, for smallnet without weights."""
    return coloured("colours", images=5)


def stored_experiment(**changes):
    return experiment(
        **{"data": "colours", "backbone": "smallnet", "weights": "none", "classes": 2, **changes},
        batch_size=6,
        steps=4,
        eval_every=2,
    )


def test_a_stored_run_is_not_fitted_again_and_a_torn_one_is(tmp_path, small_world, monkeypatch):
    fits, said = [], []
    monkeypatch.setattr(loop, "fit", lambda *a, fit=fit, **k: fits.append(1) or fit(*a, **k))

    def ask(**changes):
        force = changes.pop("force", False)
        e = stored_experiment(**changes)
        return fit_or_load(e, small_world, tmp_path, force=force, bar=False, say=said.append)

    first = ask()
    metrics, history, f = first.metrics, first.history, first.embeddings["f"]
    assert len(fits) == 1 and said == []
    second = ask()
    assert len(fits) == 1 and second.id == first.id and second.metrics == metrics
    pd.testing.assert_frame_equal(second.history, history)
    assert ask(method="PDDM score").id == first.id and len(fits) == 1  # the same training
    assert ask(seed=1).id != first.id and len(fits) == 2

    torn = tmp_path / "runs" / first.id / "embeddings.npz"
    torn.write_bytes(torn.read_bytes()[:-3])
    again = ask()
    assert len(fits) == 3 and len(said) == 1
    assert "embeddings.npz" in said[0] and first.id in said[0] and "\n" not in said[0]
    assert again.metrics == metrics and np.array_equal(again.embeddings["f"], f)
    assert ask(force=True).metrics == metrics and len(fits) == 4
    assert sorted(Store(tmp_path / "runs").ids()) == sorted({first.id, ask(seed=1).id})


def test_a_new_version_of_the_measures_measures_again_and_fits_nothing(
    tmp_path, small_world, monkeypatch
):
    for changes in ({}, {"mode": "finetune", "method": "Triplet", "lr": 0.01}):
        e = stored_experiment(**changes)
        before = fit_or_load(e, small_world, tmp_path, bar=False)
        kept = {
            n: (before.store.path(before.id) / n).read_bytes() for n in before.manifest["files"]
        }
        with monkeypatch.context() as m:
            m.setattr(loop, "fit", None)
            m.setattr(runs, "MEASURE", runs.MEASURE + 1)
            assert runs.problem(e, small_world, tmp_path) == "measured by another version"
            again = fit_or_load(e, small_world, tmp_path, bar=False)
            assert runs.problem(e, small_world, tmp_path) == ""
        assert again.id == before.id and again.manifest["measure"] == runs.MEASURE + 1
        assert again.manifest["made"] == before.manifest["made"]
        for name in kept:  # the same weights, and so the same measures
            if name != "embeddings.npz":  # zip files hold times
                assert (again.store.path(again.id) / name).read_bytes() == kept[name], name
        assert np.array_equal(again.embeddings["f"], before.embeddings["f"])


def test_the_two_rows_of_one_run_show_each_its_own_step(tmp_path, small_world, monkeypatch):
    """The score at its best at step 2, the distance at step 4: two states are kept."""
    values = iter([dict(distance=1.0, score=1.0), dict(distance=2.0, score=9.0),
                   dict(distance=3.0, score=3.0)])  # fmt: skip
    monkeypatch.setattr(loop, "_held_out", lambda *_: next(values))
    score = fit_or_load(stored_experiment(method="PDDM score"), small_world, tmp_path, bar=False)
    distance = fit_or_load(stored_experiment(), small_world, tmp_path, bar=False)
    assert score.id == distance.id
    assert score.metrics["chosen_step"] == 2 and distance.metrics["chosen_step"] == 4
    assert not torch.equal(score.state("head")["weight"], distance.state("head")["weight"])
    same = score.at("distance")
    assert same.metrics == distance.metrics and same.metrics["test"].keys() == {"distance", "score"}
    assert np.array_equal(same.embeddings["f"], distance.embeddings["f"])
    assert not np.array_equal(score.embeddings["f"], distance.embeddings["f"])
    assert set(same.by_class) == set(score.by_class)
    assert len(score.histograms) and "state" not in score.histograms
    for r in (score, distance):  # each state's unit and features give that state's measures
        f, labels = (torch.from_numpy(r.embeddings[k]) for k in ("f", "labels"))
        got = separation(*pair_scores(r.similarity().all_pairs(f), labels))
        assert got["auc"] == pytest.approx(r.metrics["test"]["score"]["auc"], abs=0.03)


def test_a_run_holds_what_its_reader_promises(tmp_path, small_world):
    r = fit_or_load(stored_experiment(), small_world, tmp_path, bar=False)
    assert r.metrics.keys() == {"test", "train", "chosen_step", "collapse", "start"}
    assert r.metrics["test"].keys() == {"distance", "score"}
    assert list(r.history["step"]) == [0, 2, 4] and "seconds" in r.history
    e = r.embeddings
    assert e["f"].shape == (20, 6) and e["f"].dtype == np.float32
    assert np.array_equal(e["index"], small_world.test)
    assert np.array_equal(e["labels"], small_world.labels[small_world.test])
    np.testing.assert_allclose(np.linalg.norm(e["f"], axis=1), 1, atol=2e-3)
    assert set(r.histograms["split"]) == {"test", "train"}
    assert r.manifest["id"] == r.id and r.manifest["data"] == "colours"
    # the stored unit and features give the stored measures, to the precision of float16
    S = r.similarity().all_pairs(torch.from_numpy(e["f"]))
    got = separation(*pair_scores(S, torch.from_numpy(e["labels"])))
    assert got["auc"] == pytest.approx(r.metrics["test"]["score"]["auc"], abs=0.03)


def test_the_id_of_a_run_changes_with_what_decides_its_numbers(tmp_path, small_world, monkeypatch):
    weights = tmp_path / "net.pt"
    weights.write_bytes(b"one")
    copy = tmp_path / "copy.pt"
    copy.write_bytes(b"one")

    def of(data=small_world, **changes):
        return run_id(stored_experiment(**changes), data)

    base = of()
    assert of() == base and of(method="PDDM score") == base
    different = [of(lr=0.02), of(seed=1), of(method="Triplet"), of(data=image_set(8, 5))]
    with_file = of(weights=str(weights))
    assert of(weights=str(copy)) == with_file  # the content counts, not the place
    monkeypatch.setenv("HOME", str(tmp_path))  # backbones.load expands ~, so the id must
    assert of(weights="~/net.pt") == with_file
    weights.write_bytes(b"two")
    different += [with_file, of(weights=str(weights))]
    assert of(data=dataclasses.replace(small_world, title="t", read=None)) == base
    other_split = dataclasses.replace(small_world, train_classes=small_world.train_classes - 1)
    different.append(of(data=other_split))
    monkeypatch.setattr(runs, "source_hash", lambda *_: "another code")
    assert of() == base
    monkeypatch.setattr(loop, "FIT", loop.FIT + 1)
    different.append(of())
    monkeypatch.setitem(LOSSES, "quadruplet", dataclasses.replace(LOSSES["quadruplet"], version=9))
    different.append(of())
    assert len({base, *different}) == 1 + len(different)


@pytest.mark.parametrize("method", ["Triplet", "Softmax"])
@pytest.mark.parametrize("average", [0.0, 0.9])
def test_finetuned_runs_are_stored_with_their_network(tmp_path, small_world, method, average):
    e = stored_experiment(mode="finetune", method=method, ema_decay=average, lr=0.01)
    r = fit_or_load(e, small_world, tmp_path, bar=False)
    assert r.metrics["test"].keys() == {"distance"} and len(r.history) == 3
    assert r.id != run_id(stored_experiment(method=method), small_world)
    source, start = inputs(e, small_world, tmp_path / "features", "cpu", bar=False)
    model, stored = r.model(), r.store.state(r.id, "backbone.pt")
    assert not any(m.training for m in model.modules())
    before = start.state_dict()
    assert any(not torch.equal(v, before[k]) for k, v in stored.items())  # as trained
    assert all(v.dtype == torch.float32 for v in stored.values() if v.is_floating_point())
    f = embed(model, source, small_world.test)
    assert np.array_equal(f.half().float().numpy(), r.embeddings["f"])
    (tmp_path / "runs" / r.id / "backbone.pt").unlink()
    with pytest.raises(UserError, match=rf"run {r.id} .*keeps no backbone.pt; make it again"):
        r.model()


@pytest.mark.parametrize("method", ["PDDM+Quadruplet", "Softmax"])
def test_the_model_of_a_frozen_run_maps_features(tmp_path, small_world, method):
    e = stored_experiment(method=method)
    r = fit_or_load(e, small_world, tmp_path, bar=False)
    assert not (tmp_path / "runs" / r.id / "backbone.pt").exists()
    source, _ = inputs(e, small_world, tmp_path / "features", "cpu", bar=False)
    f = embed(r.model(), source, small_world.test)
    assert np.array_equal(f.half().float().numpy(), r.embeddings["f"])


def test_the_classifier_of_softmax_knows_the_training_classes_and_comes_back(tmp_path, small_world):
    r = fit_or_load(stored_experiment(method="Softmax"), small_world, tmp_path, bar=False)
    s = r.similarity()
    fitted_on = len(np.unique(small_world.labels[split(small_world, 0.2, 0).fit]))
    assert s.W.shape == (fitted_on, 6) and not s.training
    assert r.metrics["test"].keys() == {"distance"}
    want = r.store.state(r.id, "metric.pt")
    assert all(torch.equal(v, want[k]) for k, v in s.state_dict().items())


# ---------------------------------------------------------------------- breaks, memory, processes


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


def test_a_finished_run_leaves_no_checkpoint(tmp_path, small_world, monkeypatch):
    monkeypatch.setattr(checkpoints, "seconds_between", lambda: -1.0)
    fit_or_load(stored_experiment(), small_world, tmp_path, bar=False)
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_a_full_gpu_names_the_batch_and_the_crop_that_fit(monkeypatch):
    """A network that takes at most 6 pictures stands in for the GPU."""
    data = image_set(images=4)
    source = pictures(data, side=80)
    source.net_input = Input(80, 64)

    class Small(Convolution):
        def forward(self, x):
            if len(x) > 6 and self.training:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return super().forward(x)

    e = experiment(
        mode="finetune",
        classes_per_batch=5,
        samples_per_class=3,
        batch_size=15,
        steps=2,
        head_init="random",
    )
    with pytest.raises(TrainingError) as error:
        run(e, data, source, Small())
    text = str(error.value)
    assert "\n" not in text and "full at m = 15, crop 64 px" in text
    assert (
        "m = 6 fits (--set batch_size=6 --set classes_per_batch=2)" in text
        and "crop of 32 px" in text
    )


def test_pixels_are_decoded_once_and_equal_the_images(tmp_path, small_world):
    reads = []
    data = dataclasses.replace(small_world, read=lambda i: reads.append(i) or small_world.read(i))
    first = stored_pixels(data, Input(20, 16), tmp_path, bar=False)
    again = stored_pixels(data, Input(20, 16), tmp_path, bar=False)
    assert sorted(reads) == list(range(len(data))) and np.array_equal(first, again)
    want = [np.asarray(small_world.read(i).resize((20, 20), 2)) for i in range(len(data))]
    assert np.array_equal(first, np.stack(want))


def test_bfloat16_is_the_networks_alone():
    data = image_set(images=4)
    e = experiment(mode="finetune", steps=2, eval_every=1, head_init="random")
    net = Convolution()
    plain = run(e, data, pictures(data), net)
    half = run(dataclasses.replace(e, bf16=True), data, pictures(data), net)
    assert all(p.dtype == torch.float32 for p in half.model.parameters())
    a, b = plain.history["loss"], half.history["loss"]
    assert not a.equals(b) and np.allclose(a, b, atol=0.1)


def test_another_number_of_processes_than_the_run_is_for_is_refused():
    data = image_set()
    with pytest.raises(UserError, match="one of 2 processes.*but 1 train.*torchrun"):
        run(experiment(ranks=2), data, clusters(data))


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


def test_the_pca_start_is_taken_from_the_fit_classes_alone():
    data = image_set()
    source = clusters(data)
    e = experiment(head_init="pca", lr=0.0, steps=1)
    got = run(e, data, source).model.head.weight.detach()
    fit_only = source.x[split(data, e.holdout, e.seed).fit]
    want = torch.from_numpy(PCA(6, svd_solver="full").fit(fit_only.numpy()).components_)
    torch.testing.assert_close((got * want).sum(1).abs(), torch.ones(6), rtol=0, atol=1e-4)


def test_the_pca_start_needs_enough_features():
    with pytest.raises(UserError, match=f"embedding_size <= {FEATURES}") as error:
        run(experiment(head_init="pca", embedding_size=FEATURES + 1))
    assert "\n" not in str(error.value)


def test_a_failing_run_leaves_nothing_in_the_store(tmp_path, small_world, monkeypatch):
    def fails(*_, **__):
        raise TrainingError("step 2: E_m is not finite; the step is not taken.")

    monkeypatch.setattr(loop, "objective", fails)
    with pytest.raises(TrainingError):
        fit_or_load(stored_experiment(), small_world, tmp_path, bar=False)
    assert list(Store(tmp_path / "runs").ids()) == []
