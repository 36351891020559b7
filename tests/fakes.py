"""Runs that are made up: what claims, tables and figures read of a runs.Run."""

from itertools import count
from types import SimpleNamespace

import numpy as np
import pandas as pd
from PIL import Image

from pddm_lite.data.base import ImageSet, fingerprint
from pddm_lite.methods import METHODS
from pddm_lite.paper.fig4_convergence import cost

RANKINGS = ("distance", "score")
NUMBERS = count()  # what is known of a run is kept by its id


def one_state(run, classes=3):
    """`run` with one chosen state, and with classes that are all alike: resampling them says
    nothing, so that an interval is Student's over seeds."""
    run.at = lambda ranking: run
    run.by_class = {"images": np.full(classes, 4)}
    run.by_class |= {f"{r}_hits": np.full(classes, 2) for r in RANKINGS}
    kinds = [f"{r}_{kind}" for r in RANKINGS for kind in ("positive", "negative")]
    run.by_class |= {kind: np.ones((classes, 5)) for kind in kinds}
    return run


def features(sds=(1.0, 0.3), apart=3.0, seed=0):
    """Pairs of classes, each a class of spread sds[0] with one of sds[1] near its middle."""
    rng = np.random.default_rng(seed)
    means = np.repeat(apart * rng.normal(size=(6, 4)), len(sds), axis=0)
    means += 0.3 * rng.normal(size=means.shape)  # the two of a pair are not in one place
    labels = np.repeat(np.arange(len(means)), 30)
    f = means[labels] + np.tile(sds, 6)[labels, None] * rng.normal(size=(len(labels), 4))
    return {"f": f, "labels": labels}


def fake_run(
    recall=50.0, score=None, overlap=0.3, score_overlap=0.3, auc=None, curve=None, nmi=0.5, f1=0.2,
    embeddings=None, quadruplets=0, step=10, collapse="",
):  # fmt: skip
    """Recall@1 by distance and, where it is given, by score; Recall@K is K - 1 more. The AUC is a
    hundredth of Recall@1 or `auc`, by score .05 more; on training classes .04 more."""
    auc = {"distance": recall / 100, "score": (score or 0) / 100} if auc is None else (
        {"distance": auc, "score": auc + 0.05}
    )  # fmt: skip
    test = {}
    for ranking, at, o in (("distance", recall, overlap), ("score", score, score_overlap)):
        if at is not None:
            test[ranking] = {f"recall_{k}": at + k - 1 for k in (1, 2, 4, 8, 16, 32)}
            test[ranking] |= {"overlap": o, "auc": auc[ranking], "eer": 0.2}
    test["distance"] |= {"nmi": nmi, "f1": f1}
    train = {k: m | {"auc": m["auc"] + 0.04} for k, m in test.items()}
    metrics = {"test": test, "train": train, "chosen_step": step, "collapse": collapse}
    values = curve or [40.0, 40.0]
    run = SimpleNamespace(
        id=f"run {next(NUMBERS)}",
        embeddings=embeddings or features(),
        metrics=metrics | {"start": 40.0},
        history=pd.DataFrame({"step": range(0, 10 * len(values), 10), "val_recall_1": values}),
        experiment=SimpleNamespace(quadruplets=quadruplets),
    )
    return one_state(run)


# one wobble a seed, common to all methods: paired differences do not see it, means do
WOBBLE = (0.0, 7.0, -5.0)


def study(recall, seeds=3, data="d"):
    """Runs of the methods in `recall` (Recall@1 as each ranks), nearly the same a seed."""
    runs = {}
    for m, value in recall.items():
        for s in range(seeds):
            at = value + WOBBLE[s] + 0.01 * s * len(m)  # differences differ a little, too
            ranked = (50.0, at) if METHODS[m].rank == "score" else (at,)
            runs[data, m, s] = fake_run(*ranked)
    return runs


def costs(pddm=1.0, lifted=2.0, ms=(4.0, 1.0), seeds=3, wobble=0.01):
    """cost.measured with seconds of fixed cost and a power of m, a little other a seed."""
    rows = []
    for way, p, fixed in ((cost.PDDM, pddm, ms[0]), (cost.LIFTED, lifted, ms[1])):
        for s in range(seeds):
            power = p + wobble * (s - (seeds - 1) / 2)
            for m in (16, 64, 256, 1024):
                seconds = 1e-3 * (fixed + 1e-4 * m**power)
                rows.append((way, m, s, cost.WAYS[way].pairs(m), seconds))
    frame = pd.DataFrame(rows, columns=cost.COLUMNS)
    frame.attrs["cpu"] = "a processor"
    return frame


# settings of a run of seconds, on `coloured`
SMALL = dict(embedding_size=8, classes_per_batch=2, samples_per_class=2, batch_size=4, steps=4,
             eval_every=2, holdout=0.0)  # fmt: skip


def coloured(name="seen", seed=0, classes=8, images=4):
    """Classes of 64x64 noise about a colour each; half of them train."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), images)
    x = rng.integers(0, 128, (classes, 1, 1, 3))[labels]
    x = (x + rng.integers(0, 128, (len(labels), 64, 64, 3))).astype(np.uint8)
    return ImageSet(
        name=name,
        title=name,
        labels=labels,
        class_names=tuple(f"class {c}" for c in range(classes)),
        read=lambda i: Image.fromarray(x[i]),
        fingerprint=fingerprint(x.tobytes()),
        train_classes=classes // 2,
    )
