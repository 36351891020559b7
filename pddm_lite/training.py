"""fit(experiment): the one training loop, and fit_or_load, which asks the store first."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from . import backbones
from .collapse import CollapseWatch
from .data import base as data_base
from .data import features as data_features
from .data.sampler import class_balanced
from .embedding import Embedding
from .errors import UserError
from .evaluation.retrieval import KS, recall_at_k
from .evaluation.scores import histogram, pair_scores, separation
from .experiments import Experiment
from .methods import build_similarity, method, objective, plateau
from .pddm import Euclidean, Similarity
from .progress import progress
from .store import Store, environment, source_hash

# what a run's numbers depend on; figures and claims may change without a refit
SOURCES = tuple(
    f"pddm_lite.{m}"
    for m in (
        "pddm mining losses methods embedding collapse training backbones smallnet data.base "
        "data.sampler data.features evaluation.retrieval evaluation.scores"
    ).split()
)


class TrainingError(RuntimeError):
    """A run that cannot go on: what went wrong, at which step, in plain words."""


# ------------------------------------------------------------------------------------ inputs


@dataclass
class Frozen:
    """Features computed once: batches are rows of x [N, features]."""

    x: Tensor
    features: int

    def batch(self, idx: np.ndarray, train: bool) -> Tensor:
        return self.x[torch.from_numpy(idx).to(self.x.device)]


@dataclass
class Images:
    """uint8 images [N, resize, resize, 3] kept in memory, cropped and flipped a batch at a time."""

    x: Tensor
    features: int
    net_input: backbones.Input
    device: str

    def batch(self, idx: np.ndarray, train: bool) -> Tensor:
        images = self.x[torch.from_numpy(idx).to(self.x.device)].to(self.device)
        crop = self.net_input.crop
        if not train:
            return data_features.normalise(data_features.centre_crop(images, crop), self.net_input)
        room = images.shape[1] - crop
        top, left = (torch.randint(0, room + 1, (len(idx),)).tolist() for _ in range(2))
        flip = torch.rand(len(idx)) < 0.5
        rows = [
            image[t : t + crop, s : s + crop].flip(1) if f else image[t : t + crop, s : s + crop]
            for image, t, s, f in zip(images, top, left, flip.tolist(), strict=True)
        ]
        return data_features.normalise(torch.stack(rows), self.net_input)


def inputs(e: Experiment, data: data_base.ImageSet, cache: Path, device: str, bar: bool):
    """(Frozen or Images, the backbone module to train or None) for an experiment."""
    torch.manual_seed(0)  # a network without weights starts the same for every seed
    net = backbones.load(e.backbone, e.weights, stored=data.side)
    if e.mode == "frozen":
        x = torch.from_numpy(data_features.frozen_features(data, net, cache, device, bar))
        # one unit of length whatever the network, so that learning rates carry over
        x = x / x[torch.from_numpy(data.train)].norm(dim=1).mean()
        return Frozen(x.to(device), net.features), None
    loader = progress([np.arange(len(data))], f"reading {data.title}", bar)
    x = np.concatenate([data_features.pixels(data, i, net.input.resize) for i in loader])
    return Images(torch.from_numpy(x), net.features, net.input, device), net.net


@torch.no_grad()
def embed(model: Embedding, source, idx: np.ndarray, batch: int = 256) -> Tensor:
    """f of the images idx in eval mode: [n, d]."""
    model.eval()
    parts = [
        model(source.batch(idx[a : a + batch], train=False)) for a in range(0, len(idx), batch)
    ]
    return torch.cat(parts)


def check_finite(step: int, batch: dict[str, Tensor], modules: dict[str, nn.Module]) -> None:
    """TrainingError naming what is not finite first: a loss or, by gradient, a parameter."""
    for name, value in batch.items():
        if not torch.isfinite(value).all():
            raise TrainingError(f"step {step}: {name} is not finite; the step is not taken.")
    for part, module in modules.items():
        for name, p in module.named_parameters():
            if p.grad is not None and not torch.isfinite(p.grad).all():
                raise TrainingError(
                    f"step {step}: the gradient of {part}.{name} is not finite; "
                    "the step is not taken. A lower lr or a range_floor usually helps."
                )


# ------------------------------------------------------------------------------------- fit


def optimiser(e: Experiment, model: Embedding, similarity: Similarity) -> torch.optim.Optimizer:
    """SGD or AdamW with a learning rate for the head, the unit and the network.

    gamma is weight decay on weights and not on biases or norms: the unit's biases carry the length
    of u and must not be decayed away.
    """
    groups = []
    for module, rate in (
        (model.head, 1.0),
        (similarity, e.metric_lr),
        (model.backbone, e.backbone_lr),
    ):
        params = [p for p in module.parameters() if p.requires_grad] if module is not None else []
        for decayed in (True, False):
            chosen = [p for p in params if (p.ndim > 1) == decayed]
            if chosen:
                decay = e.weight_decay if decayed else 0.0
                groups.append({"params": chosen, "lr": e.lr * rate, "weight_decay": decay})
    if e.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=e.momentum)
    return torch.optim.AdamW(groups)


@torch.no_grad()
def _average(slow: nn.Module, fast: nn.Module, decay: float) -> None:
    for a, b in zip(slow.parameters(), fast.parameters(), strict=True):
        a.lerp_(b, 1 - decay)


def _train_mode(model: Embedding) -> None:
    model.train()
    for m in model.modules():  # batch norm keeps the statistics of its pretraining
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            m.eval()


@dataclass
class Fitted:
    """A finished run in memory: the chosen model and what was seen on the way."""

    model: Embedding
    similarity: Similarity
    history: pd.DataFrame
    timing: pd.DataFrame
    collapse: str
    chosen_step: int


def fit(
    e: Experiment, data: data_base.ImageSet, source, backbone: nn.Module | None, bar: bool = True
) -> Fitted:
    """Train one experiment and return the model of the step that the held-out classes chose.

    The step reported is the one with the highest Recall@1 on the held-out training classes, the
    mean over what the run can rank by: distance, and the learned score where there is one (the
    earliest of equals); with holdout = 0 the last. The same rule for every method; test classes
    choose nothing.

    Raises:
        TrainingError: a loss or gradient that is not finite, at the step that made it.
        UserError: data that the sampler cannot use.
    """
    torch.manual_seed(e.seed)
    device = source.x.device if isinstance(source, Frozen) else source.device
    parts = data_base.split(data, e.holdout, e.seed)
    labels = torch.from_numpy(data.labels).to(device)
    free = method(e.method).free
    model = Embedding(source.features, e.dim, copy.deepcopy(backbone), free).to(device)
    similarity = build_similarity(e).to(device)
    if e.head_init == "pca":
        body = Embedding(source.features, e.dim, model.backbone)
        body.head = nn.Identity()
        start = (
            source.x[torch.from_numpy(parts.fit)]
            if backbone is None
            else _raw(body, source, parts.fit)
        )
        model.head.to(device)
        model.start_from_pca(start)
    averaged = (copy.deepcopy(model), copy.deepcopy(similarity)) if e.average else None
    optim = optimiser(e, model, similarity)
    batches = class_balanced(data.labels[parts.fit], e.classes, e.images, e.seed)
    watch = CollapseWatch(plateau(e))
    probe = parts.fit[next(class_balanced(data.labels[parts.fit], e.classes, e.images, 10**6))]
    rows, times, best, best_value = [], [], None, -1.0
    seconds, recent = 0.0, []

    def evaluate(step: int) -> None:
        nonlocal best, best_value
        m, s = averaged or (model, similarity)
        m.eval(), s.eval()
        row = {"step": step}
        with torch.no_grad(), torch.random.fork_rng():  # looking draws nothing from the training
            f = embed(m, source, probe)
            o = objective(f, labels[probe], s, e)
            a, b = torch.triu_indices(len(probe), len(probe), 1, device=device)
            row |= {
                "loss": np.mean([r[0] for r in recent]) if recent else o.loss.item(),
                "E_m": np.mean([r[1] for r in recent]) if recent else o.E_m.item(),
                "E_e": np.mean([r[2] for r in recent]) if recent else o.E_e.item(),
                "score_range": o.score_range,
                "dead_share": s.dead_share(f, a, b),
                "mean_distance": (f[a] - f[b]).norm(dim=1).mean().item(),
            }
            recent.clear()
            row |= _short(m, s, source, labels, parts.val, "val", with_score=s.learned)
            row |= _short(m, s, source, labels, parts.test, "test", with_score=False)
        watch.see(row)
        rows.append(row)
        times.append({"step": step, "seconds": seconds})
        ranked = [row[k] for k in ("val_recall_1", "val_score_recall_1") if k in row]
        value = float(np.mean(ranked)) if ranked else float(step)
        if value > best_value:
            best_value, best = (
                value,
                (step, copy.deepcopy(m.state_dict()), copy.deepcopy(s.state_dict())),
            )

    evaluate(0)
    steps = progress(range(1, e.steps + 1), f"{e.method}, {data.title}, seed {e.seed}", bar)
    for step in steps:
        began = time.perf_counter()
        idx = parts.fit[next(batches)]
        _train_mode(model)
        similarity.train()
        f = model(source.batch(idx, train=True))
        o = objective(f, labels[idx], similarity, e)
        optim.zero_grad(set_to_none=True)
        check_finite(step, {"the embedding f": f, "E_m": o.E_m, "E_e": o.E_e}, {})
        o.loss.backward()
        check_finite(step, {}, {"embedding": model, "unit": similarity})
        optim.step()
        if averaged:
            # a short memory at first: the start must not linger
            decay = min(e.average, (1 + step) / (10 + step))
            _average(averaged[0], model, decay)
            _average(averaged[1], similarity, decay)
        recent.append((o.loss.item(), o.E_m.item(), o.E_e.item()))
        seconds += time.perf_counter() - began
        if step % e.eval_every == 0 or step == e.steps:
            evaluate(step)
            last = rows[-1]
            steps.set_postfix_str(f"loss {last['loss']:.3f} R@1 {last['test_recall_1']:.1f}")
    m, s = averaged or (model, similarity)
    chosen_step, model_state, similarity_state = best
    m.load_state_dict(model_state), s.load_state_dict(similarity_state)
    m.eval(), s.eval()
    return Fitted(m, s, pd.DataFrame(rows), pd.DataFrame(times), watch.message, chosen_step)


def _raw(body: Embedding, source, idx: np.ndarray, batch: int = 256) -> Tensor:
    """The backbone's features of images idx, without head: [n, features]."""
    body.eval()
    with torch.no_grad():
        parts = [
            body.backbone(source.batch(idx[a : a + batch], train=False))
            for a in range(0, len(idx), batch)
        ]
    return torch.cat(parts)


def _short(model, similarity, source, labels, idx, name, with_score) -> dict[str, float]:
    """Recall@1 on images idx by distance and, where asked, by score; nothing for an empty idx."""
    if len(idx) == 0:
        return {}
    f = embed(model, source, idx)
    out = {f"{name}_recall_1": recall_at_k(labels[idx], features=f, ks=(1,))[1]}
    if with_score:
        S = similarity.all_pairs(f)
        out[f"{name}_score_recall_1"] = recall_at_k(labels[idx], scores=S, ks=(1,))[1]
    return out


def evaluate_fully(f: Tensor, labels: Tensor, similarity: Similarity) -> tuple[dict, dict]:
    """Recall@K, AUC, equal-error rate and overlap by distance and by score, and their histograms.

    Returns two dicts keyed by "distance" and, for a learned similarity, "score": of measures and
    of histogram tables. Distance is shown as S = -D.
    """
    measures, tables = {}, {}
    ks = [k for k in KS if k < len(labels)]
    by = {"distance": Euclidean()} | ({"score": similarity} if similarity.learned else {})
    for name, ranking in by.items():
        S = ranking.all_pairs(f)
        recall = (
            recall_at_k(labels, features=f, ks=ks)
            if name == "distance"
            else recall_at_k(labels, scores=S, ks=ks)
        )
        # plain distances for the picture; any monotone transform leaves the measures alone
        positive, negative = pair_scores(-(-S).sqrt() if name == "distance" else S, labels)
        measures[name] = {f"recall_{k}": v for k, v in recall.items()}
        measures[name] |= separation(positive, negative)
        tables[name] = histogram(positive, negative)
    return measures, tables


# -------------------------------------------------------------------------------- the store


@dataclass(frozen=True)
class Run:
    """A finished run in the store; reads its files when asked."""

    experiment: Experiment
    id: str
    store: Store

    @property
    def metrics(self) -> dict:
        """{"test" and "train": {"distance" and "score": measures}, "chosen_step", "collapse"}."""
        return self.store.json(self.id, "metrics.json")

    @property
    def history(self) -> pd.DataFrame:
        """A row an evaluation: losses, the collapse watch's signs, Recall@1, seconds."""
        return self.store.csv(self.id, "history.csv").merge(self.store.csv(self.id, "timing.csv"))

    @property
    def histograms(self) -> pd.DataFrame:
        return self.store.csv(self.id, "histograms.csv")

    @property
    def embeddings(self) -> dict[str, np.ndarray]:
        """f [n, d] float32 of the test images and their labels [n] and indices [n]."""
        a = self.store.arrays(self.id, "embeddings.npz")
        return a | {"f": a["f"].astype(np.float32)}

    @property
    def manifest(self) -> dict:
        return self.store.json(self.id, "manifest.json")

    def similarity(self) -> Similarity:
        """The trained similarity, in eval mode."""
        s = build_similarity(self.experiment)
        s.load_state_dict(self.store.state(self.id, "metric.pt"))
        return s.eval()


def run_id(e: Experiment, data: data_base.ImageSet) -> str:
    """Name of a run: a hash of its settings, data, weights and the code that computes it."""
    settings = e.settings()
    weights = backbones.SHIPPED if e.backbone == "smallnet" and not e.weights else Path(e.weights)
    weights = weights.expanduser()
    if weights.is_file():  # the content counts, not the place
        settings["weights"] = data_base.fingerprint(weights.read_bytes())
    return data_base.fingerprint(
        sorted(settings.items()), data.fingerprint, data.train_classes, source_hash(*SOURCES)
    )


def fit_or_load(
    e: Experiment,
    data: data_base.ImageSet,
    folder: str | Path,
    device: str = "cpu",
    force: bool = False,
    bar: bool = True,
    say: Callable[[str], None] = lambda line: None,
) -> Run:
    """The run of `e` from the store under `folder`; fitted, evaluated and stored if not there."""
    store = Store(Path(folder) / "runs")
    identity = run_id(e, data)
    run = Run(e, identity, store)
    problem = store.problem(identity)
    if not problem and not force:
        return run
    if problem and problem != "not made yet":
        say(f"run {identity} ({e.method}, seed {e.seed}): {problem}; made again")
    began = time.time()
    source, backbone = inputs(e, data, Path(folder) / "features", device, bar)
    fitted = fit(e, data, source, backbone, bar)
    metrics: dict = {"chosen_step": fitted.chosen_step, "collapse": fitted.collapse}
    tables = []
    for name, idx in (("test", data.test), ("train", _sample(data.train))):
        f = embed(fitted.model, source, idx)
        labels = torch.from_numpy(data.labels[idx]).to(f.device)
        measures, histograms = evaluate_fully(f, labels, fitted.similarity)
        metrics[name] = measures
        tables += [t.assign(split=name, ranking=r) for r, t in histograms.items()]
        if name == "test":
            arrays = {
                "f": f.cpu().numpy().astype(np.float16),
                "labels": data.labels[idx],
                "index": idx,
            }
    store.save(
        identity,
        {
            "config.json": vars(e),
            "history.csv": fitted.history,
            "timing.csv": fitted.timing,
            "histograms.csv": pd.concat(tables),
            "metrics.json": metrics,
            "embeddings.npz": arrays,
            "head.pt": {k: v.cpu() for k, v in fitted.model.head.state_dict().items()},
            "metric.pt": {k: v.cpu() for k, v in fitted.similarity.state_dict().items()},
        },
        {
            "data": data.name,
            "data_title": data.title,
            "data_fingerprint": data.fingerprint,
            "source": source_hash(*SOURCES),
            "seconds": round(time.time() - began, 1),
            "made": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
            **environment(device),
        },
    )
    return run


def _sample(idx: np.ndarray, most: int = 1500) -> np.ndarray:
    """At most `most` indices, evenly spaced."""
    return idx[np.linspace(0, len(idx) - 1, min(most, len(idx))).astype(int)]


__all__ = ["Fitted", "Run", "TrainingError", "UserError", "fit", "fit_or_load", "run_id"]
