"""The Position-Dependent Deep Metric (Eq. 2), its rival LMDM, and the two global metrics.

A similarity here is a module with three ways to be asked, all symmetric, all "larger is more
similar", all on l2-normalised features f [N, d]:

    S = similarity(f_i, f_j)         [P]     pair by pair, as the paper writes it
    S = similarity.pairs(f, i, j)    [P]     the same for index tensors i, j, sharing work by item
    S = similarity.all_pairs(f)      [N, N]  exact, tiled, without gradient and without dropout

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

        In `tile` x `tile` pairs at a time (0: 32 on a CPU, 256 on a GPU), see `Tiles`; on a GPU
        with Triton by the fused kernel of kernels.py, unless a tile is named.
        """
        if f.is_cuda and not tile and (kernels := fused(self, f)):
            return kernels.Fused(self, f).strip(0, len(f))
        tiles = Tiles(self, f, tile)
        n, tile = len(f), tiles.tile
        S = tiles.f.new_empty(n, n)
        for a in range(0, n, tile):
            strip = tiles.strip(a, a + tile)
            S[a : a + tile, a:] = strip
            S[a:, a : a + tile] = strip.T
        return S


def fused(unit: PDDM, f: Tensor):
    """The module of the fused GPU kernel where it can score f under the unit, else None."""
    try:
        from . import kernels
    except ImportError:  # this file was taken out of the kit
        return None
    return kernels if kernels.usable(unit, f) else None


class Tiles:
    """Eq. 2 for many pairs of rows of f [N, d], exact, without gradient and without dropout.

    Three identities save work and change nothing: W_v is separable (PDDM._layers); r() is a
    division by a number a pair, so it commutes with W_c; S is symmetric. A tile of pairs stays in
    the cache, in buffers that are used again: memory fresh from the system costs more time than
    the arithmetic on it. One thread at a time may use an instance; `like` makes more of them.

    Args:
        unit: PDDM or LMDM.
        f: [N, d]; half precision is raised to the unit's own.
        tile: side of a tile; 0: 32 on a CPU, 256 on a GPU.
        like: another instance for the same unit and f, whose W_v f it shares.
    """

    def __init__(self, unit: PDDM, f: Tensor, tile: int = 0, like: Tiles | None = None):
        self.f = f.detach().to(unit.W_u.weight.dtype)
        self.tile = tile or (256 if f.is_cuda else 32)
        self.half = None
        if unit.position:
            self.half = like.half if like else F.linear(self.f, unit.W_v.weight.detach()) / 2
        pairs, d = min(self.tile, max(len(f), 32)) ** 2, f.shape[1]
        self.buffers = [self.f.new_empty(pairs, d) for _ in range(3)]
        self.norm = self.f.new_empty(pairs, 1)
        W_c = unit.W_c.weight
        self.W_u, self.W_cu, self.W_cv = unit.W_u.weight.T, W_c[:, :d].T, W_c[:, d:].T
        self.W_s, self.b_u, self.b_c = unit.W_s.weight.T, unit.W_u.bias, unit.W_c.bias
        self.b_v, self.b_s = unit.W_v.bias if unit.position else None, unit.W_s.bias

    @torch.no_grad()
    def strip(self, a: int, b: int, end: int | None = None) -> Tensor:
        """S of the rows a to b against the items a to `end` (b to N; default N)."""
        n = len(self.f)
        b = min(b, n)
        end = n if end is None else max(b, min(end, n))
        out = self.f.new_empty(b - a, end - a)
        for r in range(a, b, self.tile):
            rows = slice(r, min(r + self.tile, b))
            for c in range(r, end, self.tile):
                columns = slice(c, min(c + self.tile, end))
                s = out[rows.start - a : rows.stop - a, columns.start - a : columns.stop - a]
                s.copy_(self.block(rows, columns))
        for r in range(a + self.tile, b, self.tile):  # left of the diagonal, by symmetry
            rows = slice(r - a, min(r + self.tile, b) - a)
            out[rows, : r - a] = out[: r - a, rows].T
        return out

    @torch.no_grad()
    def block(self, rows: slice, columns: slice) -> Tensor:
        """S of every row with every column, at most tile x tile of them."""
        f_i, f_j = self.f[rows], self.f[columns]
        shape = (len(f_i), len(f_j))
        u, v, _, _ = self._room(len(f_i) * len(f_j))
        torch.sub(f_i[:, None], f_j, out=u.view(*shape, -1))
        if self.half is not None:
            torch.add(self.half[rows, None], self.half[columns], out=v.view(*shape, -1))
        return self._score(len(u)).view(shape)

    @torch.no_grad()
    def pairs(self, i: Tensor, j: Tensor) -> Tensor:
        """S of the pairs (i[p], j[p]), at most tile^2 of them: [P]."""
        u, v, _, _ = self._room(len(i))
        torch.sub(self.f[i], self.f[j], out=u)
        if self.half is not None:
            torch.add(self.half[i], self.half[j], out=v)
        return self._score(len(u))[:, 0]

    def _room(self, pairs: int) -> tuple[Tensor, ...]:
        return (*(x[:pairs] for x in self.buffers), self.norm[:pairs])

    def _score(self, pairs: int) -> Tensor:
        """S [pairs, 1] from the first two buffers: f_i - f_j and W_v f_i / 2 + W_v f_j / 2."""
        u, v, h, norm = self._room(pairs)

        def lengths(h: Tensor) -> Tensor:
            return torch.linalg.vector_norm(h, dim=-1, keepdim=True, out=norm).clamp_(min=1e-8)

        # c = W_cu r(sigma(W_u u + b_u)), the division after the product; from here in u's place
        torch.addmm(self.b_u, u.abs_(), self.W_u, out=h).relu_()
        c = torch.mm(h, self.W_cu, out=u).div_(lengths(h))
        if self.half is not None:
            # c = c + W_cv r(sigma(W_v v + b_v))
            v.add_(self.b_v).relu_()
            c.addcdiv_(torch.mm(v, self.W_cv, out=h), lengths(v))
        # S = W_s sigma(c + b_c) + b_s
        return torch.addmm(self.b_s, c.add_(self.b_c).relu_(), self.W_s)


class LMDM(PDDM):
    """Large Margin Deep Metric: the PDDM unit without v, so blind to position. W_c is d -> d."""

    position = False


SIMILARITIES = {
    "euclidean": Euclidean,
    "mahalanobis": Mahalanobis,
    "lmdm": LMDM,
    "pddm": PDDM,
}
