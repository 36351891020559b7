"""Train SmallNet on source species: `python -m pddm_lite.training.pretrain [PATH]`.

A softmax classifier over species 20000.. of both kinds, as ImageNet classifiers are trained, takes
about two minutes on one CPU thread. The species that the kit trains and tests on (below 12,000) are
never seen here, so what these features know of them is transfer, as with ImageNet and CUB-200.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..data.synthetic import KINDS, world
from ..measures.retrieval import recall_at_k
from ..networks import backbones
from ..networks.features import normalise
from ..networks.smallnet import WEIGHTS, SmallNet
from ..store.arguments import Parser
from ..store.errors import UserError, escape_letters
from ..store.files import write_atomic

SOURCE = 20_000  # index of the first source species
SPECIES, IMAGES, HETEROGENEITY = 100, 30, 0.7  # of each kind
EPOCHS, BATCH, RATE, DECAY, SHIFT = 12, 64, 3e-3, 5e-4, 4


def to_input(images: np.ndarray) -> torch.Tensor:
    """uint8 [B, 64, 64, 3] -> float32 [B, 3, 64, 64] as SmallNet takes it."""
    _, net_input = backbones.NETWORKS["smallnet"]
    return normalise(torch.as_tensor(images), net_input).contiguous()


def augment(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Shift each picture of [B, 3, H, W] by up to 4 pixels, edges repeated, and mirror half."""
    size = x.shape[-1]
    x = F.pad(x, [SHIFT] * 4, mode="replicate")
    out = []
    for picture in x:
        top, left, flip = torch.randint(2 * SHIFT + 1, (3,), generator=generator).tolist()
        picture = picture[:, top : top + size, left : left + size]
        out.append(picture.flip(-1) if flip % 2 else picture)
    return torch.stack(out)


def train(seed: int = 0, epochs: int = EPOCHS) -> SmallNet:
    """A SmallNet trained from scratch on the source species; the same for the same seed."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    worlds = [world(k, SPECIES, IMAGES, HETEROGENEITY, seed, SOURCE) for k in KINDS]
    images = np.concatenate([w.images for w in worlds])
    labels = torch.as_tensor(np.concatenate([w.labels + SPECIES * k for k, w in enumerate(worlds)]))
    net, head = SmallNet(), nn.Linear(SmallNet.feature_dim, SPECIES * len(KINDS))
    parameters = [*net.parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=RATE, weight_decay=DECAY)
    steps = epochs * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for epoch in range(epochs):
        start, total, right = time.perf_counter(), 0.0, 0
        batches = torch.randperm(len(images), generator=generator).split(BATCH)
        batches = [b for b in batches if len(b) == BATCH]
        for b in batches:
            logits = head(net(augment(to_input(images[b.numpy()]), generator)))
            loss = F.cross_entropy(logits, labels[b])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item()
            right += (logits.argmax(1) == labels[b]).sum().item()
        print(
            f"epoch {epoch + 1:2d}/{epochs}  loss {total / len(batches):.3f}"
            f"  accuracy {right / len(batches) / BATCH:.3f}"
            f"  {time.perf_counter() - start:.1f} s",
            flush=True,
        )
    return net.eval()


def save(net: nn.Module, path: Path) -> None:
    """Write the state dict in float16, complete or not at all."""
    state = {k: v.half() if v.is_floating_point() else v for k, v in net.state_dict().items()}
    write_atomic(path, lambda file: torch.save(state, file))


@torch.no_grad()
def recall_at_1(net: nn.Module, kind: str, heterogeneity: float = HETEROGENEITY) -> float:
    """Cosine Recall@1 over species 50..99 of a kind, 20 images each: those the kit tests on."""
    w = world(kind, 50, 20, heterogeneity, first=50)
    z = torch.cat([net(x) for x in to_input(w.images).split(250)])
    return recall_at_k(torch.as_tensor(w.labels), features=F.normalize(z), ks=(1,))[1] / 100


def main(path: str | Path = WEIGHTS) -> None:
    """Train, save and report."""
    torch.set_num_threads(1)  # so that the result does not depend on the number of cores
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    save(train(), path)
    net = backbones.load("smallnet", str(path)).net  # as others will find it, in float16
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB,", end=" ")
    print(f"{sum(p.numel() for p in net.parameters()):,} parameters")
    for kind in KINDS:
        values = (f"{recall_at_1(net, kind, h):.3f} (h={h})" for h in (0, 0.7, 1))
        print(f"Recall@1, {kind}, species 50..99: " + ", ".join(values))


if __name__ == "__main__":
    parser = Parser(prog="python -m pddm_lite.training.pretrain", description=main.__doc__)
    parser.add_argument("path", nargs="?", default=WEIGHTS, help="weights file; default the kit's")
    escape_letters()
    try:
        main(parser.parse_args().path)
    except UserError as err:
        print(f"error: {err}", file=sys.stderr)
        sys.exit(2)
