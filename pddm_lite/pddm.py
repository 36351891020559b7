"""The Position-Dependent Deep Metric (Eq. 2), its rival LMDM, and the two global metrics.

A similarity here is a module with three ways to be asked, all symmetric, all "larger is more
similar", all on l2-normalised features f [N, d]:

    S = similarity(f_i, f_j)         [P]     pair by pair, as the paper writes it
    S = similarity.pairs(f, i, j)    [P]     the same for index tensors i, j, sharing work by item
    S = similarity.all_pairs(f)      [N, N]  exact, without gradient and without dropout

This file needs torch alone: take it out of the kit and put the layer on any network.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def r(x: Tensor) -> Tensor:
    """r(x) = x / ||x||_2 along the last axis; 0 stays 0 (Eq. 2).

    Half precision is raised to float32 first: there 1e-12 underflows and a zero vector gives NaN.
    """
    if x.dtype in (torch.float16, torch.bfloat16):
        x = x.float()
    return F.normalize(x, dim=-1, eps=1e-8)


class Similarity(nn.Module):
    """What miners and losses need of a similarity; see the module's docstring for the shapes."""

    learned = True  # has parameters, so that E_m (Eq. 3) has something to teach

    def pairs(self, f: Tensor, i: Tensor, j: Tensor) -> Tensor:
        """S of the pairs (i[p], j[p]) of the rows of f: [P]. Carries gradient."""
        return self(f[i], f[j])

    def dead_share(self, f: Tensor, i: Tensor, j: Tensor) -> float:
        """Share of a layer's units that are 0 on every one of the pairs, in the layer where it is
        largest; 0 where there are no layers."""
        return 0.0


class Euclidean(Similarity):
    """S_ij = -||f_i - f_j||^2, the global metric that the paper argues against. In [-4, 0]."""

    learned = False

    def transform(self, f: Tensor) -> Tensor:
        return f

    def forward(self, f_i: Tensor, f_j: Tensor) -> Tensor:
        return -self.transform(f_i - f_j).square().sum(-1)

    @torch.no_grad()
    def all_pairs(self, f: Tensor) -> Tensor:
        g = self.transform(f)
        squares = g.square().sum(-1)
        # -||g_i - g_j||^2 = 2 g_i g_j - ||g_i||^2 - ||g_j||^2
        return (2 * g @ g.T - squares[:, None] - squares[None, :]).clamp_(max=0)


class Mahalanobis(Euclidean):
    """S_ij = -||L (f_i - f_j)||^2: one learned but global metric, L [d, d] starting at identity."""

    learned = True

    def __init__(self, d: int):
        super().__init__()
        self.L = nn.Linear(d, d, bias=False)
        nn.init.eye_(self.L.weight)

    def transform(self, f: Tensor) -> Tensor:
        return self.L(f)


class PDDM(Similarity):
    """The PDDM unit (Eq. 2, Fig. 2b): S_ij from the difference u and the mean v of two features.

    Args:
        d: length of a feature.
        dropout: rate after the fully connected layers W_u, W_v, W_c (not on S); 0.5 in the paper.
        zero_bias: start all biases at 0, as Caffe does, in place of PyTorch's uniform start.
            r() after W_u drops the length of u, so at b_u = 0 the unit cannot see distance.
    """

    position = True  # uses v, the absolute position

    def __init__(self, d: int, dropout: float = 0.5, zero_bias: bool = False):
        super().__init__()
        self.W_u = nn.Linear(d, d)
        self.W_v = nn.Linear(d, d) if self.position else None
        self.W_c = nn.Linear(2 * d if self.position else d, d)
        self.W_s = nn.Linear(d, 1)
        self.dropout = nn.Dropout(dropout)
        if zero_bias:
            for layer in self.children():
                if isinstance(layer, nn.Linear):
                    nn.init.zeros_(layer.bias)

    def forward(self, f_i: Tensor, f_j: Tensor) -> Tensor:
        """S [P] of features f_i, f_j [P, d], both l2-normalised. Any real number."""
        # u = |f_i - f_j|,  v = (f_i + f_j) / 2
        u = (f_i - f_j).abs()
        v = (f_i + f_j) / 2
        a_v = self.W_v(v) if self.position else None
        # S = W_s c + b_s
        return self.W_s(self._hidden(self.W_u(u), a_v)[-1])[..., 0]

    def _hidden(self, a_u: Tensor, a_v: Tensor | None) -> tuple[Tensor, ...]:
        """(u', v', c) of Eq. 2 from a_u = W_u u + b_u and a_v = W_v v + b_v; LMDM: (u', c)."""
        # u' = r(sigma(W_u u + b_u)),  v' = r(sigma(W_v v + b_v))
        branches = [r(self.dropout(F.relu(a))) for a in (a_u, a_v) if a is not None]
        # c = sigma(W_c [u'; v'] + b_c)
        c = self.dropout(F.relu(self.W_c(torch.cat(branches, dim=-1))))
        return (*branches, c)

    def _layers(self, f: Tensor, i: Tensor, j: Tensor) -> tuple[Tensor, ...]:
        a_v = None
        if self.position:
            # W_v is linear: W_v (f_i + f_j) / 2 = W_v f_i / 2 + W_v f_j / 2, once an item
            half = F.linear(f, self.W_v.weight) / 2
            a_v = half[i] + half[j] + self.W_v.bias
        return self._hidden(self.W_u((f[i] - f[j]).abs()), a_v)

    def pairs(self, f: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return self.W_s(self._layers(f, i, j)[-1])[..., 0]

    @torch.no_grad()
    def dead_share(self, f: Tensor, i: Tensor, j: Tensor) -> float:
        return max((h == 0).all(dim=0).float().mean().item() for h in self._layers(f, i, j))

    @torch.no_grad()
    def all_pairs(self, f: Tensor, tile: int = 0) -> Tensor:
        """S [N, N] of all pairs of rows of f [N, d]: exact, without dropout.

        Within the kit measures/tiles.py does it, `tile` x `tile` pairs at a time or by the fused
        GPU kernel, some ten times as fast; by itself this file takes a row after the other.
        """
        try:
            from .measures import tiles
        except ImportError:  # this file was taken out of the kit
            return self._all_pairs(f.to(self.W_u.weight.dtype))
        return tiles.all_pairs(self, f, tile)

    def _all_pairs(self, f: Tensor) -> Tensor:
        """Eq. 2 of a row with all rows, row by row."""
        trains = self.training
        self.eval()
        S = torch.stack([self(f_i.expand_as(f), f) for f_i in f])
        self.train(trains)
        return S


class LMDM(PDDM):
    """Large Margin Deep Metric: the PDDM unit without v, so blind to position. W_c is d -> d."""

    position = False


SIMILARITIES = {
    "euclidean": Euclidean,
    "mahalanobis": Mahalanobis,
    "lmdm": LMDM,
    "pddm": PDDM,
}
