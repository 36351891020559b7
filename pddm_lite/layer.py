"""PDDM in a training loop of your own: any network, five lines, torch alone.

criterion = PDDMLoss(128)                          # holds the unit
optimizer = torch.optim.AdamW([*net.parameters(), *criterion.parameters()])
loss = criterion(net(x), y)                        # in the loop, as any other loss
score = PairScore(criterion.unit.eval(), net)      # afterwards: S = score(a, b)
torch.export.save(export(score, a, b), "pddm.pt2")  # S without this kit
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .methods import METHODS, build_similarity, objective
from .pddm import Similarity, r
from .store.errors import UserError, unknown
from .training.experiments import make

# the settings of experiments.Experiment that the loss reads
SETTINGS = (
    "alpha beta lam quadruplets negatives squared scale_scores range_floor random_negative_weight "
    "metric_loss detach_metric mine_with_dropout dropout zero_bias"
).split()
ROWS = tuple(name for name, m in METHODS.items() if m.loss == "quadruplet")


class PDDMLoss(nn.Module):
    """E = E_m + lambda E_e (Eq. 3, 4) of a batch's hard quadruplets; holds the unit, which learns.

    The same numbers as the kit's own training (methods.objective). Work is linear in the batch's
    size m at quadruplets=1; at 0, the default recipe's, all pairs are scored, without gradient.
    Goes into pytorch-metric-learning's trainers as `metric_loss`. Under DistributedDataParallel
    wrap it too: it has parameters.

    Args:
        d: length of the embeddings.
        recipe: "default" (DIFFERENCES.md) or "letter" (the paper's values, Sec. 3.3).
        method: what mines and scores, one of ROWS; "LMDM score" leaves out the position v.
        settings: any of SETTINGS, as alpha=0.2; see experiments.Experiment.

    Raises:
        UserError: an unknown setting, method or recipe, or a value that makes no sense.
    """

    def __init__(
        self, d: int, recipe: str = "default", method: str = "PDDM+Quadruplet", **settings
    ):
        super().__init__()
        if method not in ROWS:
            raise unknown("method with quadruplets", method, ROWS)
        for name in settings:
            if name not in SETTINGS:
                raise unknown("setting of the loss", name, SETTINGS)
        self.experiment = make(recipe, data="", method=method, embedding_size=d, **settings)
        self.unit = build_similarity(self.experiment)

    def forward(
        self, f: Tensor, labels: Tensor | np.ndarray | Sequence, indices_tuple: None = None
    ) -> Tensor:
        """The loss, a tensor without axes, of embeddings f [m, d] (normalised here), labels [m].

        f may be of any float type and is brought to the unit's (float32 unless you changed it),
        which is the loss's too. Labels: numbers of classes, in a tensor, an array or a list.

        Raises:
            UserError: types or shapes that do not fit; a batch without two images of one class and
                one of another (draw it class by class); `indices_tuple`, as this loss mines by
                itself.
        """
        d = self.experiment.embedding_size
        if not isinstance(f, Tensor) or not f.is_floating_point():
            raise UserError(
                f"PDDMLoss({d}) takes embeddings [m, {d}] in a tensor of floats, not "
                f"{f.dtype if isinstance(f, Tensor) else type(f).__name__}."
            )
        labels = class_numbers(labels, f.device)
        if f.ndim != 2 or f.shape[1] != d or labels.shape != f.shape[:1]:
            raise UserError(
                f"PDDMLoss({d}) takes embeddings [m, {d}] and labels [m], "
                f"not {list(f.shape)} and {list(labels.shape)}."
            )
        if indices_tuple is not None:
            raise UserError("PDDMLoss mines its own quadruplets: use it without a miner.")
        try:
            return objective(r(in_type_of(self.unit, f)), labels, self.unit, self.experiment).loss
        except ValueError as err:
            raise UserError(f"{err}: draw batches of some images of each of some classes.") from err


def class_numbers(labels: Tensor | np.ndarray | Sequence, device: torch.device | str) -> Tensor:
    """Labels in a tensor, an array or a list as a tensor on `device`, whole numbers as int64.

    Raises:
        UserError: names, say, instead of numbers.
    """
    try:
        labels = torch.as_tensor(labels if isinstance(labels, Tensor) else np.asarray(labels))
        if labels.is_complex():
            raise TypeError("complex numbers")
    except (TypeError, ValueError, RuntimeError) as err:
        raise UserError(
            f"labels must be numbers of classes [m], in a tensor, an array or a list "
            f"({str(err).splitlines()[0]:.80}); number names by np.unique(names, "
            "return_inverse=True)[1]."
        ) from None
    return (labels if labels.is_floating_point() else labels.long()).to(device)


def in_type_of(unit: Similarity, f: Tensor) -> Tensor:
    """f in the float type of the unit's parameters, float32 or float64; as it is without any."""
    kind = next((p.dtype for p in unit.parameters()), f.dtype)
    return f.to(kind)


class PairScore(nn.Module):
    """S of pairs of inputs: a network, r() and a unit as one module, to be called or exported.

    Args:
        unit: any Similarity.
        network: maps inputs [P, ...] to embeddings [P, d]; None where the inputs are embeddings.
        normalize: l2-normalise the embeddings; False for a network that does it by itself.
    """

    def __init__(self, unit: Similarity, network: nn.Module | None = None, normalize: bool = True):
        super().__init__()
        self.unit, self.normalize = unit, normalize
        self.network = nn.Identity() if network is None else network

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """S [P] of a [P, ...] and b [P, ...], pair by pair; larger is more similar."""
        f_a, f_b = (in_type_of(self.unit, self.network(x)) for x in (a, b))
        return self.unit(r(f_a), r(f_b)) if self.normalize else self.unit(f_a, f_b)


class PairDistance(PairScore):
    """A pair's distance, for open-metric-learning's `PairwiseReranker` (as its IPairwiseModel).

        model = PairDistance(unit, net)
        PairwiseReranker(top_n=10, pairwise_model=model, num_workers=0, batch_size=64)

    Its distances are positive and may be scaled by a ratio: -log sigmoid(S) falls as S rises and
    is positive (up to S = 700, far above any unit's).
    """

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """-S [P]: the logit of "another class", as a binary cross entropy takes it."""
        return -super().forward(x1, x2)

    @torch.no_grad()
    def predict(self, x1: Tensor, x2: Tensor) -> Tensor:
        """-log sigmoid(S) [P] > 0 in float64: in float32 scores near 0 could become ties."""
        return F.softplus(self(x1, x2).double())


def export(model: nn.Module, *example: Tensor) -> torch.export.ExportedProgram:
    """`model`, in eval mode, as a program that runs without its source, for any batch size.

    Args:
        model: PairScore with two inputs, or a network with one.
        example: an input each, [B, ...]; only type and shape beyond B count.

    torch.export.save(program, FILE) writes it, torch.export.load(FILE).module() is it again.
    """
    two = tuple(x[:1].repeat(2, *(1,) * (x.ndim - 1)) for x in example)  # 1 would be taken as fixed
    batch = torch.export.Dim("batch")
    return torch.export.export(model.eval(), two, dynamic_shapes=tuple({0: batch} for _ in two))
