"""The other methods of Table 2's zero-shot half, each on the features and hierarchy of a `Task`.

The papers' features and word vectors are not at hand. All methods here start from the same features
as ours; "semantic" vectors of classes come from the hierarchy in place of word vectors. So a row is
the method's idea on our ground, not the paper's number. ConSE's and DeViSE's formulas agree with
their papers. The text of PST, AMP and [25] was not at hand: what is here agrees with their
abstracts, the rest is from memory, and their rows are named "in the spirit of". `DIFFERENCES` says
what is missing of each. [21] is no row of these: it is the rule of `zero_shot.by_means` on plain
features under the metric of [21] (`unseen.LEARNED`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from torch import Tensor
from torch.nn.functional import normalize

from .hierarchy import FAR
from .zero_shot import Scores, Task, relatives, same


def class_vectors(task: Task) -> Tensor:
    """A vector for every class in place of its name's word vector: float64 [S + U, A], length 1.

    One dimension for each node a with seen classes T(a) at or below it, which a class has if it
    lies at or below a, by the node's information content among the seen classes (Resnik 1995):

        s(c)_a = sqrt(log(S / |T(a)|)) [a is c or above c]  / |s(c)|

    So the cosine of two classes is the share of the information that they have in common. Chosen
    over the graph's spectral embedding because it needs no number of dimensions, has no arbitrary
    signs, and because classes in the same place get exactly the same vector, so that ties show.
    A class that shares no more than the root with any seen class gets zeros.
    """
    member, below = _membership(task)
    content = torch.log(len(task.seen) / below)
    return normalize(member * content.sqrt(), dim=1)


def _membership(task: Task) -> tuple[Tensor, Tensor]:
    """Which nodes each class lies at or below, 0 or 1 [S + U, A], and |T(a)| of those nodes [A]."""
    under = torch.from_numpy(task.hierarchy.steps(task.classes) < FAR).double()
    below = under[:, : len(task.seen)].sum(dim=1)
    return under[below > 0].T.contiguous(), below[below > 0]


def seen_probabilities(task: Task, images: Tensor) -> Tensor:
    """p(s|x), the seen classes' probabilities: float64 [N, S], rows sum to 1.

    Multinomial logistic regression on the training images; the papers have a network's softmax.
    The L2 penalty is scikit-learn's, on features scaled to a mean square of 1.

    Args:
        images: features [N, d] of test images.
    """
    x, centre, scale = _standardised(task)
    fit = LogisticRegression(max_iter=500).fit(x.numpy(), task.labels.cpu().numpy())
    p = fit.predict_proba(((images.cpu() - centre) / scale).numpy())
    return torch.from_numpy(p).double()


def _standardised(task: Task) -> tuple[Tensor, Tensor, Tensor]:
    """Training features, centred and scaled by one number, with that centre and number."""
    x = task.features.cpu()
    centre = x.mean(dim=0)
    scale = (x - centre).square().mean().sqrt()
    return (x - centre) / scale, centre, scale


def conse(task: Task, images: Tensor, p: Tensor, top: int = 10) -> Scores:
    """ConSE (Norouzi et al. 2014): an image is the mean of its likeliest seen classes' vectors.

        f(x) = sum over t = 1..T of p(y_t|x) s(y_t) / sum of p(y_t|x),  y_t: t-th likeliest class
        score(x, c) = cos(f(x), s(c))

    Args:
        p: [N, S], as `seen_probabilities` gives them, also below.
        top: T; 10 is the best of the paper's.
    """
    s = class_vectors(task)
    likely, y = p.topk(min(top, p.shape[1]), dim=1)
    weight = torch.zeros_like(p).scatter(1, y, likely)
    f = weight @ s[: len(task.seen)] / weight.sum(dim=1, keepdim=True)
    unseen = s[len(task.seen) :]
    return Scores(normalize(f, dim=1) @ unseen.T, same(unseen))


def devise(task: Task, images: Tensor, p: Tensor | None = None, seed: int = 0) -> Scores:
    """DeViSE (Frome et al. 2013): a linear map from features to the classes' vectors.

        loss(x, y) = sum over j != y of max(0, 0.1 - s(y) . M x + s(j) . M x)
        score(x, c) = s(c) . M x

    The margin is the paper's, which cuts the sum after the first j that violates it, trains by
    Adagrad and fine-tunes the network later. Here M starts at 0 and Adam trains it on the whole
    sum, the features frozen. p goes unused.
    """
    x, centre, scale = _standardised(task)
    s, y = class_vectors(task).float(), task.labels.cpu()
    seen, unseen = s[: len(task.seen)], s[len(task.seen) :]
    draw = torch.Generator().manual_seed(seed)
    M = torch.zeros(s.shape[1], x.shape[1], requires_grad=True)
    optimiser = torch.optim.Adam([M], lr=1e-3)
    for _ in range(10):
        for idx in torch.randperm(len(x), generator=draw).split(128):
            fit = x[idx] @ M.T @ seen.T  # [B, S]
            true = fit.gather(1, y[idx, None])
            hinge = (0.1 - true + fit).clamp(min=0)  # the true class adds the constant margin
            optimiser.zero_grad()
            (hinge.sum() / len(idx)).backward()
            optimiser.step()
    mapped = (images.cpu() - centre) / scale @ M.detach().T
    return Scores(mapped @ unseen.T, same(unseen))


def inner_nodes(task: Task, images: Tensor, p: Tensor) -> Scores:
    """In the spirit of [25] (Rohrbach et al. 2011): inner nodes as attributes of direct prediction.

        log p(c|x) = sum over nodes a at or above c of log(p(a|x) / p(a)) + constant
        p(a|x) = sum over t in T(a) of p(t|x),  p(a) = |T(a)| / S

    The paper trains an SVM for each node; here a node's probability is that of its seen classes.
    From memory: the product over nodes and its priors.
    """
    member, below = _membership(task)
    node = p @ member[: len(task.seen)]
    gain = torch.log(node.clamp(min=1e-6) / (below / len(task.seen)))
    unseen = member[len(task.seen) :]
    return Scores(gain @ unseen.T, same(unseen))


def pst(
    task: Task,
    images: Tensor,
    p: Tensor,
    neighbours: int = 20,
    alpha: float = 0.8,
) -> Scores:
    """In the spirit of PST, propagated semantic transfer (Rohrbach et al. 2013): shared labels.

        Y_0 = p W'       W: weights of the seen classes in every unseen one (`relatives`)
        Y_{t+1} = alpha D^(-1/2) A D^(-1/2) Y_t + (1 - alpha) Y_0

    A: k-nearest-neighbour graph of the test images, made symmetric, in the space of p(s|x), with
    A_ij = exp(-d_ij^2 / (2 sigma^2)), sigma the mean distance to the k-th neighbour. d is Euclidean
    between the roots of the probabilities (Hellinger; the paper's L1 is slow for many images). It
    is transductive: an image's score depends on all the other test images.
    From memory: the propagation and its constants. The paper is remembered to keep of Y_0 the most
    confident share alone, which is not done here.
    """
    W = relatives(task)
    start = (p @ W.T).numpy()
    roots, k = p.sqrt().numpy(), min(neighbours, len(p) - 1)
    # Without arguments each image's neighbours are sought among the others.
    A = NearestNeighbors(n_neighbors=k).fit(roots).kneighbors_graph(mode="distance")
    sigma = A.data.reshape(-1, k).max(axis=1).mean()
    A.data = np.exp(-(A.data**2) / (2 * sigma**2 + 1e-12))
    A = A.maximum(A.T)
    D = sparse.diags_array(np.asarray(A.sum(axis=1)).ravel() ** -0.5)
    A = D @ A @ D
    Y = start
    for _ in range(50):
        Y = alpha * (A @ Y) + (1 - alpha) * start
    return Scores(torch.from_numpy(Y), same(W))


def amp(task: Task, images: Tensor, p: Tensor, neighbours: int = 5) -> Scores:
    """In the spirit of AMP (Fu et al. 2015): an absorbing Markov chain on the graph of classes.

    A walk starts at a seen class, by p(s|x), and goes on from class to class until it meets an
    unseen one, which absorbs it. With Q the steps among seen and R those to unseen classes:

        score(x, u) = (p(x) (I - Q)^(-1) R)_u,  the probability of ending in u
        step from a to b:  exp(-(1 - cos(s(a), s(b))) / sigma^2), rows scaled to sum 1

    to the k seen and the k unseen classes most like a (all that are equally like it, too), so that
    every walk ends; sigma^2 is the mean of 1 - cos, which is half the squared distance of vectors
    of length 1. The paper's rule for edges is not known to us: the k neighbours and the weights
    are ours.
    """
    s, S = class_vectors(task), len(task.seen)
    away = 1 - s[:S] @ s.T
    step = torch.exp(-away / away.mean())
    step[:, :S].fill_diagonal_(0)
    for part in (step[:, :S], step[:, S:]):  # views: what is not among the k goes to 0
        kth = part.topk(min(neighbours, part.shape[1]), dim=1).values[:, -1:]
        part[part < kth - 1e-12] = 0
    step /= step.sum(dim=1, keepdim=True)
    absorbed = torch.linalg.solve(torch.eye(S, dtype=s.dtype) - step[:, :S], step[:, S:])
    return Scores(p @ absorbed, same(s[S:]))


SPIRIT = "in the spirit of "  # before Table 2's name where parts are from memory

# row -> the method here, f(task, images, p) -> Scores
RIVALS: dict[str, Callable[..., Scores]] = {
    "ConSE": conse,
    "DeViSE": devise,
    f"{SPIRIT}PST": pst,
    f"{SPIRIT}[25]": inner_nodes,
    f"{SPIRIT}AMP": amp,
}

# What keeps each row from being the paper's number.
DIFFERENCES: dict[str, str] = {
    "ConSE": "vectors from the hierarchy in place of word vectors, logistic regression in place "
    "of the network's own softmax",
    "DeViSE": "vectors from the hierarchy in place of word vectors; the whole sum of hinges by "
    "Adam in place of the first violator by Adagrad; features are not fine-tuned",
    f"{SPIRIT}PST": "starts from relatives in the hierarchy in place of mined attributes, and from "
    "all first labels in place of the most confident; the propagation is from memory",
    f"{SPIRIT}[25]": "node probabilities from one logistic regression in place of an SVM for each "
    "node; how they are combined is from memory",
    f"{SPIRIT}AMP": "graph from the hierarchy in place of word vectors; its rule for edges is ours",
}
