"""The double-header hinge loss, the shape of E_m and E_e, and the losses of the paper's rivals.

The whole loss of Eq. 4, E_m + lambda E_e, is put together in `methods.quadruplet`; gamma ||W|| is
the optimiser's weight decay. A new loss is also an entry of `methods.LOSSES`.

Every function returns one number (a tensor without axes) that carries gradient. Features f [m, d]
are l2-normalised (LiftedStruct's may be free), labels [m] integers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .mining import positive_pairs, semihard_triplets
from .pddm import Euclidean, r


def distance(f_i: Tensor, f_j: Tensor, squared: bool = True) -> Tensor:
    """D [P] between features [P, d]: squared Euclidean by default (in [0, 4]), or plain."""
    # the paper's identity b + D_ij - D_ik = b - 2 f_i f_j + 2 f_i f_k holds for the square alone
    D = (f_i - f_j).square().sum(-1)
    return D if squared else _sqrt(D)


def _sqrt(x: Tensor) -> Tensor:
    """sqrt whose gradient at 0 is 0, not infinite."""
    zero = x <= 0
    return torch.where(zero, torch.zeros_like(x), x.masked_fill(zero, 1).sqrt())


def squared_distances(f: Tensor) -> Tensor:
    """D [m, m], squared Euclidean, with an exact 0 on the diagonal; carries gradient."""
    s = f.square().sum(-1)
    D = (s[:, None] + s[None, :] - 2 * f @ f.T).clamp(min=0)
    return D * (1 - torch.eye(len(f), dtype=f.dtype, device=f.device))


def scale(S: Tensor, low: Tensor, high: Tensor, floor: float = 0.0) -> Tensor:
    """S brought into [0, 1] by the range of the batch's similarity graph (paper, Sec. 3.3).

    low and high must not carry gradient: were they the quadruplet's own extremes, the loss would
    be a constant. A range below `floor` counts as `floor`, so that a unit which does not yet
    discriminate is not blown up.
    """
    return (S - low) / torch.clamp(high - low, min=max(floor, 1e-6))


def double_header(closer: Tensor, far_i: Tensor, far_j: Tensor | None, margin: float) -> Tensor:
    """mean over quadruplets of max(0, margin + far_i - closer) + max(0, margin + far_j - closer).

    All three are similarities [Q], of a positive pair and its negatives; for distances give -D.
    With scores S this is E_m (Eq. 3): double_header(S_ij, S_ik, S_jl, alpha). With distances it is
    E_e (Eq. 4) after a change of sign: double_header(-D_ij, -D_ik, -D_jl, beta). far_j = None
    leaves one header, the triplet (i, j, k).

    Eq. 3 sums over the batch's quadruplets; the mean is the same for the paper's single one and
    keeps the step length independent of their number.
    """
    loss = torch.relu(margin + far_i - closer)
    if far_j is not None:
        loss = loss + torch.relu(margin + far_j - closer)
    return loss.mean()


def pointwise(closer: Tensor, far_i: Tensor, far_j: Tensor | None, kind: str) -> Tensor:
    """In place of the double header: each score pushed by itself to its side (paper, Sec. 3.1).

    "logistic": log(1 + exp(-y S)); "binary": max(0, 1 - y S), a binary classifier's hinge, with
    y = 1 for the positive pair and -1 for a negative one, the positive once a header. S unscaled.
    """
    cost = {"logistic": F.softplus, "binary": lambda x: torch.relu(1 + x)}[kind]
    return sum((cost(-closer) + cost(far)).mean() for far in (far_i, far_j) if far is not None)


def fisher(S: Tensor, same: Tensor) -> Tensor:
    """The Fisher criterion on scores (paper, Sec. 3.1), to be minimised:

    -(mu_P - mu_N) / sqrt(Var_P + Var_N) over all scored pairs S [P], `same` [P] true for positives.

    The signed root of the paper's (mu_P - mu_N)^2 / (Var_P + Var_N): its square would be as content
    with negatives above positives.
    """
    P, N = S[same], S[~same]
    return (N.mean() - P.mean()) / (P.var(correction=0) + N.var(correction=0) + 1e-12).sqrt()


def contrastive(f: Tensor, labels: Tensor, margin: float = 0.5) -> Tensor:
    """Hadsell, Chopra, LeCun 2006, Eq. 4: D^2 on positives, max(0, margin - D)^2 on negatives.

    All pairs of the batch; the mean over positives plus the mean over the negatives inside the
    margin (averages over non-zero terms, as pytorch-metric-learning does), so that the many easy
    negatives do not drown the rest.
    """
    D2 = squared_distances(f)
    i, j = positive_pairs(labels)
    negative = (labels[:, None] != labels[None, :]).triu(1)
    inside = torch.relu(margin - _sqrt(D2[negative])).square()
    return D2[i, j].mean() + inside.sum() / (inside > 0).sum().clamp(min=1)


def triplet(f: Tensor, labels: Tensor, margin: float = 0.2) -> Tensor:
    """FaceNet (Schroff et al. 2015, Eq. 1): max(0, D_ap + margin - D_an), squared D."""
    D = squared_distances(f)
    a, p, n = semihard_triplets(D.detach(), labels)
    return torch.relu(D[a, p] + margin - D[a, n]).mean()


def lifted(f: Tensor, labels: Tensor, margin: float = 1.0) -> Tensor:
    """Lifted structure (Song et al. 2016, Eq. 4), D not squared:

    J = 1 / (2 |P|) sum over (i, j) in P of max(0, J_ij)^2,
    J_ij = log( sum_k exp(margin - D_ik) + sum_l exp(margin - D_jl) ) + D_ij.

    In matrix form: the inner sums are a logsumexp a row, joined by logaddexp over the positive
    pairs, so nothing of size pairs x pairs is ever formed.
    """
    D = _sqrt(squared_distances(f))
    same = labels[:, None] == labels[None, :]
    row = torch.logsumexp((margin - D).masked_fill(same, -torch.inf), dim=1)
    i, j = positive_pairs(labels)
    J = torch.logaddexp(row[i], row[j]) + D[i, j]
    return torch.relu(J).square().mean() / 2


def contrastive_pairs(f: Tensor, labels: Tensor, margin: float = 1.0) -> Tensor:
    """Song et al. 2016, Eq. 1, over given pairs (0, 1), (2, 3), ... of the rows of f [2 N, d]:

    1 / (2 N) sum of y D^2 + (1 - y) max(0, margin - D)^2, with y = 1 where both are of one class.
    """
    D2 = (f[0::2] - f[1::2]).square().sum(-1)
    y = labels[0::2] == labels[1::2]
    return torch.where(y, D2, torch.relu(margin - _sqrt(D2)).square()).mean() / 2


def given_triplets(f: Tensor, margin: float = 1.0) -> Tensor:
    """Song et al. 2016, Eq. 2, over given triplets (a, p, n) in turn, the rows of f [3 N, d]:

    mean of max(0, D_ap + margin - D_an), squared D.
    """
    a, p, n = f[0::3], f[1::3], f[2::3]
    return torch.relu(distance(a, p) + margin - distance(a, n)).mean()


class Classifier(Euclidean):
    """A linear classifier over the training classes, for the softmax loss (Zhai, Wu 2019, Eq. 2).

    What ranks is the Euclidean metric on the features that it is trained on; the classifier itself
    knows no test class and is of no use there.

    Args:
        d: length of a feature.
        classes: number of training classes; labels are 0 .. classes - 1.
    """

    s = 16.0  # logits lie in [-s, s], enough for thousands of classes

    def __init__(self, d: int, classes: int):
        super().__init__()
        # only directions count: rows that start short turn fast, 10 times as fast as nn.Linear's
        self.W = nn.Parameter(0.05 * r(torch.randn(classes, d)))

    def loss(self, f: Tensor, labels: Tensor) -> Tensor:
        """The mean of -log softmax(s r(W) f) at the image's own class; f on the unit sphere."""
        return F.cross_entropy(self.s * f @ r(self.W).T, labels)
