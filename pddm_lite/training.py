"""fit(experiment): the one training loop, and fit_or_load, which asks the store first."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from . import backbones, checkpoints, distributed
from .collapse import CollapseWatch
from .data import base as data_base
from .data.sampler import class_balanced
from .embedding import Embedding
from .errors import UserError
from .evaluation.measures import clusters, evaluate_fully, evenly
from .evaluation.retrieval import recall_at_k
from .experiments import Experiment
from .inputs import Frozen, Images, inputs
from .memory import out_of_memory
from .methods import build_similarity, method, objective, plateau
from .optimisation import average, graphed, optimiser, train_mode
from .pddm import Similarity
from .progress import progress
from .runs import Run
from .store import Store, environment, source_hash

# what a run's numbers depend on; figures and claims may change without a refit
SOURCES = tuple(
    f"pddm_lite.{m}"
    for m in (
        "pddm kernels allpairs mining losses methods embedding collapse inputs distributed "
        "training optimisation checkpoints backbones smallnet data.base data.sampler "
        "data.features data.shards evaluation.retrieval evaluation.scores evaluation.clustering "
        "evaluation.measures"
    ).split()
)
CHECKPOINT_SECONDS = 60.0  # at least so long between two checkpoints of a run


class TrainingError(RuntimeError):
    """A run that cannot go on: what went wrong, at which step, in plain words."""


@torch.no_grad()
def _batched(net: Callable, source, idx: np.ndarray, batch: int = 256) -> Tensor:
    parts = (idx[a : a + batch] for a in range(0, len(idx), batch))
    return torch.cat([net(source.batch(part, train=False)) for part in parts])


def embed(model: Embedding, source: Frozen | Images, idx: np.ndarray) -> Tensor:
    """f of the images idx in eval mode: [n, d], without gradient."""
    return _batched(model.eval(), source, idx)


def check_finite(step: int, batch: dict[str, Tensor], modules: dict[str, nn.Module]) -> None:
    """TrainingError naming what is not finite first: a loss or, by gradient, a parameter."""
    grads = [p.grad for m in modules.values() for p in m.parameters() if p.grad is not None]
    norms = torch._foreach_norm([*(v.detach() for v in batch.values()), *grads])
    if torch.isfinite(torch.stack(norms)).all():  # one look, and so one wait for the GPU
        return
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
    e: Experiment,
    data: data_base.ImageSet,
    source: Frozen | Images,
    backbone: nn.Module | None,
    bar: bool = True,
    checkpoint: Path | None = None,
) -> Fitted:
    """Train one experiment and return the model of the step that the held-out classes chose.

    The step reported is the one with the highest Recall@1 on the held-out training classes, the
    mean over what the run can rank by: distance, and the learned score where there is one (the
    earliest of equals); with holdout = 0 the last. The same rule for every method; test classes
    choose nothing.

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
    device = torch.device(source.device)
    if device.type == "cuda":  # the same numbers twice, where the GPU's kernels allow it
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.cuda.reset_peak_memory_stats(device)
    torch.manual_seed(e.seed)
    parts = data_base.split(data, e.holdout, e.seed)
    labels = torch.from_numpy(data.labels).to(device)
    free = method(e.method).free
    model = Embedding(source.features, e.dim, copy.deepcopy(backbone), free, e.bf16).to(device)
    similarity = build_similarity(e, data.train_classes).to(device)
    if e.head_init == "pca":
        nn.Linear(source.features, e.dim)  # draws: committed runs' random negatives came after it
        model.start_from_pca(_batched(model.eval().raw, source, parts.fit))
    averaged = (copy.deepcopy(model), copy.deepcopy(similarity)) if e.average else None
    optim = optimiser(e, model, similarity)
    rank = distributed.rank()
    batches = class_balanced(data.labels[parts.fit], e.classes, e.images, e.seed, rank)
    watch = CollapseWatch(plateau(e))
    probe = parts.fit[next(class_balanced(data.labels[parts.fit], e.classes, e.images, 10**6))]
    rows, times, best, best_value = [], [], None, -1.0
    seconds, waited, saved_at, recent = 0.0, 0.0, time.monotonic(), []
    if e.cuda_graph and device.type == "cuda" and backbone is not None:
        model.backbone = graphed(model, source, e)

    def evaluate(step: int) -> None:
        nonlocal best, best_value
        m, s = averaged or (model, similarity)
        m.eval(), s.eval()
        row = {"step": step}
        with torch.no_grad(), torch.random.fork_rng():  # looking draws nothing from the training
            f = embed(m, source, probe)
            o = objective(f, labels[probe], s, e)
            a, b = torch.triu_indices(len(probe), len(probe), 1, device=device)
            seen = torch.stack(recent or [torch.stack((o.loss, o.E_m, o.E_e))]).double().cpu()
            row |= {
                "loss": np.mean(seen[:, 0].tolist()),
                "E_m": np.mean(seen[:, 1].tolist()),
                "E_e": np.mean(seen[:, 2].tolist()),
                "score_range": o.score_range,
                "dead_share": s.dead_share(f, a, b),
                "mean_distance": (f[a] - f[b]).norm(dim=1).mean().item(),
            }
            recent.clear()
            row |= _short(m, s, source, labels, parts.val, "val", with_score=s.learned)
        row = {k: v if k == "step" else float(v) for k, v in row.items()}
        watch.see(row)
        rows.append(row)
        times.append(
            {
                "step": step,
                "seconds": seconds,
                "images_per_second": step * len(probe) * e.ranks / seconds if step else math.nan,
                "data_wait_share": waited / seconds if step else math.nan,
                "gpu_memory_gb": torch.cuda.max_memory_allocated(device) / 2**30
                if device.type == "cuda"
                else math.nan,
            }
        )
        ranked = [row[k] for k in ("val_recall_1", "val_score_recall_1") if k in row]
        value = float(np.mean(ranked)) if ranked else float(step)
        if value > best_value:
            states = copy.deepcopy(m.state_dict()), copy.deepcopy(s.state_dict())
            best_value, best = value, (step, *states)

    training = {"model": model, "similarity": similarity, "optim": optim}
    training |= dict(zip(("slow_model", "slow_similarity"), averaged or (), strict=False))
    first = 1
    if checkpoint is not None and checkpoint.exists():
        seen = checkpoints.load(checkpoint, training, watch, device)
        rows, times, best, best_value, seconds, waited = seen
        first = rows[-1]["step"] + 1
        for _ in range(1, first):  # the batches that were used
            next(batches)
    else:
        evaluate(0)
        if rank:  # other crops and other random negatives than process 0's
            torch.manual_seed(e.seed + 10**6 * rank)
    steps = progress(
        range(first, e.steps + 1),
        f"{e.method}, {data.title}, seed {e.seed}",
        bar and rank == 0,
        initial=first - 1,
        total=e.steps,
    )
    for step in steps:
        began = time.perf_counter()
        idx = parts.fit[next(batches)]
        train_mode(model, e.batch_norm)
        similarity.train()
        full = False
        try:
            x = source.batch(idx, train=True)
            waited += time.perf_counter() - began
            f = model(x)
            o = objective(f, labels[idx], similarity, e)
            optim.zero_grad(set_to_none=True)
            check_finite(step, {"the embedding f": f, "E_m": o.E_m, "E_e": o.E_e}, {})
            o.loss.backward()
        except torch.OutOfMemoryError:
            full = True  # handled below, where the failed step's tensors are let go
        if full:
            x = f = o = None
            raise TrainingError(out_of_memory(e, model, source, idx))
        distributed.average_gradients((model, similarity))
        check_finite(step, {}, {"embedding": model, "unit": similarity})
        optim.step()
        if averaged:
            # a short memory at first: the start must not linger
            decay = min(e.average, (1 + step) / (10 + step))
            average(averaged, (model, similarity), decay)
        recent.append(torch.stack((o.loss, o.E_m, o.E_e)).detach())
        seconds += time.perf_counter() - began
        if step % e.eval_every == 0 or step == e.steps:
            evaluate(step)
            last = rows[-1]
            steps.set_postfix_str(f"loss {last['loss']:.3f} held-out R@1 {last.get('val_recall_1', 0):.1f}")
            due = time.monotonic() - saved_at > CHECKPOINT_SECONDS and step < e.steps
            if checkpoint is not None and due and e.ranks == 1:
                seen = (rows, times, best, best_value, seconds, waited)
                checkpoints.save(checkpoint, training, watch, seen)
                saved_at = time.monotonic()
    m, s = averaged or (model, similarity)
    chosen_step, model_state, similarity_state = best
    m.load_state_dict(model_state), s.load_state_dict(similarity_state)
    m.eval(), s.eval()
    return Fitted(m, s, pd.DataFrame(rows), pd.DataFrame(times), watch.message, chosen_step)


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


# -------------------------------------------------------------------------------- the store


def run_id(e: Experiment, data: data_base.ImageSet) -> str:
    """Name of a run: a hash of its settings, data, weights and the code that computes it."""
    settings = e.settings()
    shipped = e.backbone == "smallnet" and not e.weights
    weights = backbones.SHIPPED if shipped else Path(e.weights).expanduser()
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
    if not distributed.as_main_says(bool(problem) or force):
        return run
    if problem and problem != "not made yet":
        say(f"run {identity} ({e.method}, seed {e.seed}): {problem}; made again")
    began = time.time()
    source, backbone = inputs(e, data, Path(folder) / "features", device, bar)
    checkpoint = Path(folder) / "checkpoints" / f"{identity}.pt"
    if force:
        checkpoint.unlink(missing_ok=True)
    fitted = fit(e, data, source, backbone, bar, checkpoint)
    if distributed.rank():  # process 0 writes; the others wait for it
        distributed.as_main_says(True)
        return run
    metrics: dict = {"chosen_step": fitted.chosen_step, "collapse": fitted.collapse}
    tables = []
    for name, idx in (("test", data.test), ("train", evenly(data.train))):
        f = embed(fitted.model, source, idx)
        labels = torch.from_numpy(data.labels[idx]).to(f.device)
        measures, histograms = evaluate_fully(f, labels, fitted.similarity)
        metrics[name] = measures
        tables += [t.assign(split=name, ranking=r) for r, t in histograms.items()]
        if name == "test":
            f = f.half()  # as it is stored, so that anyone can compute these again
            measures["distance"] |= clusters(f.float(), labels)
            arrays = {"f": f.cpu().numpy(), "labels": data.labels[idx], "index": idx}
    net = fitted.model.backbone  # trained in mode finetune, else None
    store.save(
        identity,
        {
            "config.json": vars(e),
            "history.csv": fitted.history,
            "timing.csv": fitted.timing,
            "histograms.csv": pd.concat(tables),
            "metrics.json": metrics,
            "embeddings.npz": arrays,
            "head.pt": _state(fitted.model.head),
            "metric.pt": _state(fitted.similarity),
        }
        | ({"backbone.pt": _state(net)} if net is not None else {}),
        {
            "data": data.name,
            "data_title": data.title,
            "data_fingerprint": data.fingerprint,
            "crop": source.crop,
            "source": source_hash(*SOURCES),
            "seconds": round(time.time() - began, 1),
            "made": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
            **environment(device),
        },
    )
    checkpoint.unlink(missing_ok=True)
    distributed.as_main_says(True)
    return run


def _state(module: nn.Module) -> dict[str, Tensor]:
    return {k: v.cpu() for k, v in module.state_dict().items()}


__all__ = ["Fitted", "Run", "TrainingError", "UserError", "fit", "fit_or_load", "run_id"]
