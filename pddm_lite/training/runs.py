"""A finished run: what the store holds of one experiment, its id, and fit_or_load."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from ..data import base as data_base
from ..data.base import fingerprint
from ..measures.evaluate import clusters, evaluate_fully, evenly
from ..measures.retrieval import recall_at_k
from ..methods import build_similarity, method
from ..networks import backbones, folded
from ..networks.embedding import Embedding
from ..pddm import Similarity
from ..store import distributed
from ..store.errors import UserError
from ..store.store import Store, environment, source_hash
from . import loop
from .experiments import Experiment
from .inputs import inputs

# Of what is measured of a run's stored weights: raise it when those numbers change. Runs are then
# measured again and not fitted again.
MEASURE = 1

# whose text the manifest names, for the record; an id does not depend on it
SOURCES = tuple(
    f"pddm_lite.{m}"
    for m in (
        "pddm measures.kernels measures.allpairs measures.tiles mining losses methods "
        "networks.embedding training.collapse training.inputs store.distributed training.loop "
        "training.faults training.runs training.optimisation training.checkpoints "
        "networks.backbones networks.smallnet data.base data.sampler networks.features "
        "measures.retrieval measures.scores measures.clustering "
        "measures.evaluate"
    ).split()
)


@dataclass(frozen=True)
class Run:
    """A finished run in the store; reads its files when asked.

    It has a chosen state for each way to rank, which may be one and the same. Everything here is of
    the state that `ranking` chose: by default that of the experiment's method, so that "PDDM score"
    and "PDDM+Quadruplet", one run, may show two steps of it. `at` gives the run at another.
    """

    experiment: Experiment
    id: str
    store: Store
    ranking: str = ""

    def at(self, ranking: str) -> Run:
        """The same run at the step that "distance" or "score" chose."""
        return replace(self, ranking=ranking)

    @property
    def _ranking(self) -> str:
        return self.ranking or method(self.experiment.method).rank

    def _file(self, name: str) -> str:
        """Name of a file of the chosen state; both share one where they are the same step."""
        own = f"score_{name}"
        is_own = self._ranking == "score" and (self.store.path(self.id) / own).exists()
        return own if is_own else name

    @property
    def metrics(self) -> dict:
        """{"test" and "train": {"distance" and "score": measures}, "chosen_step", "collapse",
        "start": test Recall@1 by distance before the first step, in percent}.

        Both rankings are measured at the one chosen state.
        """
        states = self.store.json(self.id, "metrics.json")
        chosen = self.store.json(self.id, "chosen.json")
        one = states.get(self._ranking, states["distance"])  # one state may be both's
        return one | {"collapse": chosen["collapse"]}

    @property
    def history(self) -> pd.DataFrame:
        """A row an evaluation: losses, the collapse watch's signs, held-out Recall@1, seconds."""
        return self.store.csv(self.id, "history.csv").merge(self.store.csv(self.id, "timing.csv"))

    @property
    def histograms(self) -> pd.DataFrame:
        """left, right, positive, negative (scores.histogram), by split and ranking."""
        h = self.store.csv(self.id, "histograms.csv")
        state = self._ranking if self._ranking in set(h["state"]) else "distance"
        return h[h["state"] == state].drop(columns="state").reset_index(drop=True)

    @property
    def embeddings(self) -> dict[str, np.ndarray]:
        """f [n, d] float32 of the test images and their labels [n] and indices [n]."""
        a = self.store.arrays(self.id, self._file("embeddings.npz"))
        return a | {"f": a["f"].astype(np.float32)}

    @property
    def by_class(self) -> dict[str, np.ndarray]:
        """What of the test classes is resampled for intervals, see evaluate.evaluate_fully."""
        return self.store.arrays(self.id, self._file("by_class.npz"))

    @property
    def manifest(self) -> dict:
        return self.store.json(self.id, "manifest.json")

    def state(self, part: str) -> dict[str, Tensor]:
        """The weights of "head", "metric" or, of mode finetune, "backbone".

        Raises:
            UserError: a run that keeps no such part.
        """
        name = self._file(f"{part}.pt")
        if not (self.store.path(self.id) / name).exists():
            raise UserError(
                f"run {self.id} ({self.experiment.method}, seed {self.experiment.seed}) keeps no "
                f"{name}; make it again by --force."
            )
        return self.store.state(self.id, name)

    def similarity(self) -> Similarity:
        """The trained similarity, in eval mode."""
        state = self.state("metric")
        s = build_similarity(self.experiment, classes=len(state.get("W", ())))
        s.load_state_dict(state)
        return s.eval()

    def model(self) -> Embedding:
        """The trained embedding f, in eval mode, on the CPU.

        Mode finetune: of images [B, 3, crop, crop], normalised as the backbone expects. Mode
        frozen: of the backbone's features [B, features], scaled as inputs.inputs does.

        Raises:
            UserError: a run of mode finetune that keeps no network, or another one.
        """
        e, head = self.experiment, self.state("head")
        net = None
        if e.mode == "finetune":
            net = backbones.load(e.backbone, "none", crop=self.manifest["crop"]).net
            try:
                net.load_state_dict(self.state("backbone"))
            except RuntimeError as err:  # its text lists every tensor
                raise UserError(
                    f"run {self.id} ({e.method}, seed {e.seed}) belongs to another network than "
                    f"{e.backbone} ({type(err).__name__} on loading it)."
                ) from None
            net = folded.quick(net)  # as in training
        size, features = head["weight"].shape
        model = Embedding(features, size, net, method(e.method).free, e.bf16)
        model.head.load_state_dict(head)
        return model.eval()


# ---------------------------------------------------------------------------------- its identity


def run_id(e: Experiment, data: data_base.ImageSet) -> str:
    """Name of a run: a hash of what it computes, and not of how the code reads.

    Its settings with their resolved values, the data's content, the split, the weights' content,
    and the versions of the loop (loop.FIT) and of the loss (methods.LOSSES).
    """
    settings = e.settings()
    settings["weights"] = e.weights or ("" if e.backbone == "smallnet" else "imagenet")
    weights = Path(settings["weights"] or backbones.SHIPPED).expanduser()
    if weights.is_file():  # the content counts, not the place
        settings["weights"] = fingerprint(weights.read_bytes())
    split = (data.train_classes, data.labels.tobytes())
    return fingerprint(sorted(settings.items()), data.fingerprint, *split, loop.FIT)


def problem(e: Experiment, data: data_base.ImageSet, folder: str | Path) -> str:
    """Why a run cannot be used as it is in the store under `folder`; "" if it can."""
    store, identity = Store(Path(folder) / "runs"), run_id(e, data)
    found = store.problem(identity)
    if not found and store.json(identity, "manifest.json").get("measure") != MEASURE:
        return "measured by another version"
    return found


# ------------------------------------------------------------------------------------- made


def fit_or_load(
    e: Experiment,
    data: data_base.ImageSet,
    folder: str | Path,
    device: str = "cpu",
    force: bool = False,
    bar: bool = True,
    say: Callable[[str], None] = lambda line: None,
) -> Run:
    """The run of `e` from the store under `folder`; fitted, measured and stored if not there."""
    store = Store(Path(folder) / "runs")
    run = Run(e, run_id(e, data), store)
    why = problem(e, data, folder)
    if not distributed.as_main_says(bool(why) or force):
        return run
    if why and why != "not made yet":
        say(f"run {run.id} ({e.method}, seed {e.seed}): {why}; made again")
    source, backbone = inputs(e, data, Path(folder) / "features", device, bar)
    if force or store.problem(run.id):
        checkpoint = Path(folder) / "checkpoints" / f"{run.id}.pt"
        if force:
            checkpoint.unlink(missing_ok=True)
        began = time.time()
        fitted = loop.fit(e, data, source, backbone, bar, checkpoint)
        if distributed.rank() == 0:  # process 0 writes; the others wait for it
            about = {"seconds": round(time.time() - began, 1), **_about(data, source.crop, device)}
            store.save(
                run.id, _files(e, fitted) | _measured(e, data, source, backbone, fitted), about
            )
            checkpoint.unlink(missing_ok=True)
    else:  # measured by another version: the weights stay
        kept = {n: (store.path(run.id) / n).read_bytes() for n in run.manifest["files"]}
        fitted = _loaded(run, source, backbone)
        store.save(
            run.id,
            kept | _measured(e, data, source, backbone, fitted),
            run.manifest | {"measure": MEASURE},
        )
    distributed.as_main_says(True)
    return run


def _about(data: data_base.ImageSet, crop: int, device: str) -> dict:
    return {
        "data": data.name,
        "data_title": data.title,
        "data_fingerprint": data.fingerprint,
        "crop": crop,
        "fit": loop.FIT,
        "measure": MEASURE,
        "source": source_hash(*SOURCES),
        "made": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        **environment(device),
    }


def _files(e: Experiment, fitted: loop.Fitted) -> dict[str, object]:
    """What is kept of training: settings, what was seen, and the weights of the chosen states."""
    files = {"config.json": vars(e), "history.csv": fitted.history, "timing.csv": fitted.timing}
    chosen = {ranking: step for ranking, (_, step, *_) in fitted.best.items()}
    files["chosen.json"] = {"steps": chosen, "collapse": fitted.collapse}
    for ranking, prefix in _states(chosen).items():
        own = fitted.at(ranking)
        files[f"{prefix}head.pt"] = _state(own.model.head)
        files[f"{prefix}metric.pt"] = _state(own.similarity)
        if own.model.backbone is not None:  # trained in mode finetune
            files[f"{prefix}backbone.pt"] = _state(own.model.backbone)
    return files


def _states(chosen: dict[str, int]) -> dict[str, str]:
    """Ranking -> how the names of its files begin; a state that both chose is kept once."""
    one = len(set(chosen.values())) == 1
    return {"distance": ""} if one else {"distance": "", "score": "score_"}


def _measured(
    e: Experiment,
    data: data_base.ImageSet,
    source,
    backbone: nn.Module | None,
    fitted: loop.Fitted,
) -> dict[str, object]:
    """What is measured of the chosen states: on all test images, and on some of the training's;
    and test Recall@1 by distance before the first step."""
    before = loop.start(e, data, source, backbone).model
    labels = torch.from_numpy(data.labels[data.test])
    f = loop.embed(before, source, data.test)
    start = recall_at_k(labels.to(f.device), features=f, ks=(1,))[1]
    chosen = {ranking: step for ranking, (_, step, *_) in fitted.best.items()}
    files, states, tables = {}, {}, []
    for ranking, prefix in _states(chosen).items():
        own, found = fitted.at(ranking), {"chosen_step": chosen[ranking], "start": start}
        for split, idx in (("test", data.test), ("train", evenly(data.train))):
            f = loop.embed(own.model, source, idx)
            labels, part = (torch.from_numpy(x[idx]).to(f.device) for x in (data.labels, data.part))
            sets = part if data.parts else None
            found[split], histograms, by_class = evaluate_fully(f, labels, own.similarity, sets)
            tables += [
                t.assign(split=split, ranking=r, state=ranking) for r, t in histograms.items()
            ]
            if split == "test":
                f = f.half()  # as it is stored, so that anyone can compute these again
                found[split]["distance"] |= clusters(f.float(), labels)
                arrays = {"f": f.cpu().numpy(), "labels": data.labels[idx], "index": idx}
                files |= {f"{prefix}embeddings.npz": arrays, f"{prefix}by_class.npz": by_class}
        states[ranking] = found
    files |= {"metrics.json": states, "histograms.csv": pd.concat(tables)}
    return files


def _loaded(run: Run, source, backbone: nn.Module | None) -> loop.Fitted:
    """The chosen states of a run in the store, as `fit` would give them."""
    kept, best = run.store.json(run.id, "chosen.json"), {}
    for ranking, step in kept["steps"].items():
        model, similarity = run.at(ranking).model(), run.at(ranking).similarity()
        best[ranking] = (0.0, step, model.state_dict(), similarity.state_dict())
    device = source.device
    return loop.Fitted(
        model.to(device),
        similarity.to(device),
        pd.DataFrame(),
        pd.DataFrame(),
        kept["collapse"],
        best,
    )


def _state(module: nn.Module) -> dict[str, Tensor]:
    return {k: v.cpu().clone() for k, v in module.state_dict().items()}
