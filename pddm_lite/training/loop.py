"""fit(experiment): the one training loop. A run is a state, a step, an evaluation and the loop,
and the step that held-out classes choose."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from ..data import base as data_base
from ..data.sampler import class_balanced, in_turn, random_tuples
from ..measures.retrieval import recall_at_k
from ..methods import build_similarity, method, objective, plateau
from ..networks.embedding import Embedding
from ..pddm import Similarity
from ..store import distributed
from ..store.errors import UserError
from ..store.progress import progress
from . import checkpoints
from .collapse import CollapseWatch
from .experiments import Experiment
from .faults import TrainingError, check_finite, out_of_memory
from .inputs import Frozen, Images
from .optimisation import average, graphed, optimiser, train_mode

# Runs are named by it. Raise it when `fit` gives other numbers than before; tests/test_golden.py
# says when that is. A loss has a version of its own (methods.LOSSES).
FIT = 1
PROBE_SEED = 10**6  # of the one batch that history measures


@torch.no_grad()
def batched(net: Callable, source, idx: np.ndarray) -> Tensor:
    """net of the images idx, some at a time, without gradient."""
    parts = (idx[a : a + 256] for a in range(0, len(idx), 256))
    return torch.cat([net(source.batch(part, train=False)) for part in parts])


def embed(model: Embedding, source: Frozen | Images, idx: np.ndarray) -> Tensor:
    """f of the images idx in eval mode: [n, d], without gradient."""
    return batched(model.eval(), source, idx)


# ----------------------------------------------------------------------------------- the state


@dataclass
class Seen:
    """What a run has told of itself: rows of history and timing, and the best states so far.

    best: ranking ("distance", and "score" where one is learned) -> held-out Recall@1, step, and
        the states of model and similarity then.
    """

    rows: list[dict] = field(default_factory=list)
    times: list[dict] = field(default_factory=list)
    best: dict[str, tuple[float, int, dict, dict]] = field(default_factory=dict)
    seconds: float = 0.0
    waited: float = 0.0  # of the seconds, for data


@dataclass
class Training:
    """A run in the making: what moves, what it learns from, and what it has told of itself."""

    e: Experiment
    source: Frozen | Images
    labels: Tensor  # [N], of all images
    targets: Tensor  # [N], of the images fitted on: 0 .. number of their classes - 1
    part: np.ndarray  # [N], which set of a mix each image is of
    parts: data_base.Split
    model: Embedding
    similarity: Similarity
    averaged: tuple[Embedding, Similarity] | None
    optim: torch.optim.Optimizer
    batches: Iterator[np.ndarray]
    probe: np.ndarray  # a batch that is looked at and not trained on
    watch: CollapseWatch
    seen: Seen = field(default_factory=Seen)
    recent: list[Tensor] = field(default_factory=list)  # losses since the last evaluation

    @property
    def shown(self) -> tuple[Embedding, Similarity]:
        """What is evaluated: the averaged weights where there are any."""
        return self.averaged or (self.model, self.similarity)

    @property
    def stateful(self) -> dict[str, checkpoints.Stateful]:
        parts = {"model": self.model, "similarity": self.similarity, "optim": self.optim}
        return parts | dict(
            zip(("slow_model", "slow_similarity"), self.averaged or (), strict=False)
        )


def start(
    e: Experiment, data: data_base.ImageSet, source: Frozen | Images, backbone: nn.Module | None
) -> Training:
    """The state before the first step; all random numbers come from e.seed."""
    torch.manual_seed(e.seed)
    device, rank = torch.device(source.device), distributed.rank()
    parts = data_base.split(data, e.holdout, e.seed)
    fitted, targets = np.unique(data.labels[parts.fit], return_inverse=True)
    numbered = np.full(len(data), -1)
    numbered[parts.fit] = targets
    free = method(e.method).free
    model = Embedding(source.features, e.embedding_size, copy.deepcopy(backbone), free, e.bf16)
    model, similarity = model.to(device), build_similarity(e, len(fitted)).to(device)
    if e.head_init == "pca":
        model.start_from_pca(batched(model.eval().raw, source, parts.fit))
    elif e.head_init == "identity":
        model.start_from_identity()
    if e.mode == "metric" and similarity.learned:
        model.head.requires_grad_(False)
    averaged = copy.deepcopy((model, similarity)) if e.ema_decay else None
    if e.cuda_graph and device.type == "cuda" and backbone is not None:
        model.backbone = graphed(model, source, e)
    return Training(
        e=e,
        source=source,
        labels=torch.from_numpy(data.labels).to(device),
        targets=torch.from_numpy(numbered).to(device),
        part=data.part,
        parts=parts,
        model=model,
        similarity=similarity,
        averaged=averaged,
        optim=optimiser(e, model, similarity),
        batches=_batches(e, data, parts.fit, e.seed, rank),
        probe=parts.fit[next(_batches(e, data, parts.fit, PROBE_SEED, 0))],
        watch=CollapseWatch(plateau(e)),
    )


def _batches(
    e: Experiment, data: data_base.ImageSet, fit: np.ndarray, seed: int, rank: int
) -> Iterator[np.ndarray]:
    """The method's batches of positions in `fit`, the images fitted on; of a mix, a set a batch."""
    kind, labels = method(e.method).batch, data.labels[fit]

    def drawn(own: np.ndarray) -> Iterator[np.ndarray]:
        if kind == "classes":
            return class_balanced(labels[own], e.classes_per_batch, e.samples_per_class, seed, rank)
        return random_tuples(labels[own], kind, e.batch_size, seed, rank)

    return in_turn(data.part[fit], drawn)


# ------------------------------------------------------------------------ a step, an evaluation


def take_step(t: Training, step: int) -> None:
    """One batch: embed, mine, loss, gradient, move.

    Raises:
        TrainingError: a loss or gradient that is not finite; a GPU whose memory is full.
    """
    e, began = t.e, time.perf_counter()
    idx = t.parts.fit[next(t.batches)]
    train_mode(t.model, e.batch_norm)
    t.similarity.train()
    full = False
    try:
        x = t.source.batch(idx, train=True)
        t.seen.waited += time.perf_counter() - began
        f = t.model(x)
        o = objective(f, t.targets[idx], t.similarity, e)
        t.optim.zero_grad(set_to_none=True)
        check_finite(step, {"the embedding f": f, "E_m": o.E_m, "E_e": o.E_e}, {})
        o.loss.backward()
    except torch.OutOfMemoryError:
        full = True  # handled below, where the failed step's tensors are let go
    if full:
        x = f = o = None
        raise TrainingError(out_of_memory(e, t.model, t.source, idx))
    distributed.average_gradients((t.model, t.similarity))
    check_finite(step, {}, {"embedding": t.model, "unit": t.similarity})
    t.optim.step()
    if t.averaged:
        # a short memory at first: the start must not linger
        average(t.averaged, (t.model, t.similarity), min(e.ema_decay, (1 + step) / (10 + step)))
    t.recent.append(torch.stack((o.loss, o.E_m, o.E_e)).detach())
    t.seen.seconds += time.perf_counter() - began


@torch.no_grad()
def evaluate(t: Training, step: int) -> None:
    """A row of history: losses, the collapse watch's signs, Recall@1 on the held-out classes.

    Keeps the weights where a ranking is at its best. Test classes are not looked at.
    """
    e, (m, s), device = t.e, t.shown, t.labels.device
    m.eval(), s.eval()
    with torch.random.fork_rng():  # looking draws nothing from the training
        f, y = embed(m, t.source, t.probe), t.targets[t.probe]
        o = objective(f, y, s, e)
        losses = torch.stack(t.recent or [torch.stack((o.loss, o.E_m, o.E_e))]).double().cpu()
        a, b = torch.triu_indices(len(f), len(f), 1, device=device)
        row = {"step": step}
        row |= {k: np.mean(losses[:, n].tolist()) for n, k in enumerate(("loss", "E_m", "E_e"))}
        row |= {
            "score_range": o.score_range,
            "dead_share": s.dead_share(f, a, b),
            "mean_distance": (f[a] - f[b]).norm(dim=1).mean().item(),
        }
    t.recent.clear()
    held_out = _held_out(t, m, s)
    row |= {f"val_{'score_' * (k == 'score')}recall_1": v for k, v in held_out.items()}
    row = {k: v if k == "step" else float(v) for k, v in row.items()}
    t.watch.see(row)
    t.seen.rows.append(row)
    t.seen.times.append(_timing(t, step))
    for ranking in ("distance", "score")[: 1 + s.learned]:
        value = held_out.get(ranking, float(step))  # without held-out classes the last step
        if value > t.seen.best.get(ranking, (-1.0,))[0]:
            states = copy.deepcopy(m.state_dict()), copy.deepcopy(s.state_dict())
            t.seen.best[ranking] = (value, step, *states)


def _held_out(t: Training, model: Embedding, similarity: Similarity) -> dict[str, float]:
    """Recall@1 on the held-out classes by each ranking; {} where none are held out."""
    idx = t.parts.val
    if len(idx) == 0:
        return {}
    f, labels = embed(model, t.source, idx), t.labels[idx]
    sets = [torch.from_numpy(np.flatnonzero(t.part[idx] == p)) for p in np.unique(t.part[idx])]
    found = []  # neighbours lie within a set of a mix
    for own in sets:
        g, y = f[own], labels[own]
        found.append({"distance": recall_at_k(y, features=g, ks=(1,))[1]})
        if similarity.learned:
            scores = similarity.all_pairs(g)
            found[-1]["score"] = recall_at_k(y, scores=scores, ks=(1,))[1]
    if len(found) == 1:
        return found[0]
    return {
        k: sum(len(own) * x[k] for own, x in zip(sets, found, strict=True)) / len(idx)
        for k in found[0]
    }


def _timing(t: Training, step: int) -> dict[str, float]:
    device, seconds = t.labels.device, t.seen.seconds
    on_gpu = device.type == "cuda"
    return {
        "step": step,
        "seconds": seconds,
        "images_per_second": step * len(t.probe) * t.e.ranks / seconds if step else math.nan,
        "data_wait_share": t.seen.waited / seconds if step else math.nan,
        "gpu_memory_gb": torch.cuda.max_memory_allocated(device) / 2**30 if on_gpu else math.nan,
    }


# ----------------------------------------------------------------------------------- the loop


@dataclass
class Fitted:
    """A finished run in memory: its modules, what was seen on the way, and the chosen states."""

    model: Embedding
    similarity: Similarity
    history: pd.DataFrame
    timing: pd.DataFrame
    collapse: str
    best: dict[str, tuple[float, int, dict, dict]]  # see Seen
    chosen_step: int = -1

    def at(self, ranking: str) -> Fitted:
        """Itself, with the weights of the step that the held-out classes chose for a ranking."""
        _, self.chosen_step, model, similarity = self.best[ranking]
        self.model.load_state_dict(model), self.similarity.load_state_dict(similarity)
        self.model.eval(), self.similarity.eval()
        return self


def fit(
    e: Experiment,
    data: data_base.ImageSet,
    source: Frozen | Images,
    backbone: nn.Module | None,
    bar: bool = True,
    checkpoint: Path | None = None,
) -> Fitted:
    """Train one experiment; the model returned is of the step that the held-out classes chose.

    Each way to rank, by distance and by the learned score where there is one, has a step of its
    own: the one of highest Recall@1 on the held-out training classes by that ranking (the earliest
    of equals); with holdout = 0 the last. The same rule for every method; test classes are not
    looked at. The model is that of e.method's ranking; `Fitted.at` gives the other.

    Args:
        checkpoint: a file that holds the whole state at an evaluation, at most once a minute; found
            there, training goes on from it to the same numbers as without the break.

    Under torchrun every process calls this; each has its own batches, and all the same weights.

    Raises:
        TrainingError: a loss or gradient that is not finite, at the step that made it; a GPU whose
            memory is full, with the batch that would fit.
        UserError: data that the sampler cannot use; another number of processes than e.ranks.
    """
    if e.ranks != distributed.world():
        raise UserError(
            f"this run is one of {e.ranks} processes (ranks), but {distributed.world()} train; "
            "start it by torchrun with as many."
        )
    device, rank = torch.device(source.device), distributed.rank()
    if device.type == "cuda":  # the same numbers twice, where the GPU's kernels allow it
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.cuda.reset_peak_memory_stats(device)
    t = start(e, data, source, backbone)
    first = 1
    if checkpoint is not None and checkpoint.exists():
        t.seen = Seen(*checkpoints.load(checkpoint, t.stateful, t.watch, device))
        first = t.seen.rows[-1]["step"] + 1
        for _ in range(1, first):  # the batches that were used
            next(t.batches)
    else:
        evaluate(t, 0)
        if rank:  # other crops and other random negatives than process 0's
            torch.manual_seed(e.seed + 10**6 * rank)
    last = e.steps
    if e.mode == "metric" and not t.similarity.learned:
        last = 0  # plain Euclidean on given features: measured, with nothing to learn
    saved_at, what = time.monotonic(), f"{e.method}, {data.title}, seed {e.seed}"
    numbers = range(first, last + 1)
    steps = progress(numbers, what, bar and rank == 0, initial=first - 1, total=last)
    for step in steps:
        take_step(t, step)
        if step % e.eval_every == 0 or step == e.steps:
            evaluate(t, step)
            row = t.seen.rows[-1]
            steps.set_postfix_str(
                f"loss {row['loss']:.3f}, held-out R@1 {row.get('val_recall_1', math.nan):.1f}"
            )
            due = time.monotonic() - saved_at > checkpoints.seconds_between() and step < e.steps
            if checkpoint is not None and due and e.ranks == 1:
                checkpoints.save(checkpoint, t.stateful, t.watch, tuple(vars(t.seen).values()))
                saved_at = time.monotonic()
    tables = pd.DataFrame(t.seen.rows), pd.DataFrame(t.seen.times)
    return Fitted(*t.shown, *tables, t.watch.message, t.seen.best).at(method(e.method).rank)
