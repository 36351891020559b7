"""Eq. 2 of many pairs fast: in tiles that stay in the cache, or by the fused GPU kernel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..pddm import PDDM, Euclidean, Similarity
from . import kernels


def fused(unit: PDDM, f: Tensor):
    """The module of the fused GPU kernel where it can score f under the unit, else None."""
    return kernels if kernels.usable(unit, f) else None


@torch.no_grad()
def all_pairs(unit: PDDM, f: Tensor, tile: int = 0) -> Tensor:
    """S [N, N] of all pairs of rows of f [N, d]: exact, without dropout.

    In `tile` x `tile` pairs at a time (0: 32 on a CPU, 256 on a GPU), see `Tiles`; on a GPU with
    Triton by the fused kernel of kernels.py, unless a tile is named.
    """
    if f.is_cuda and not tile and (fast := fused(unit, f)):
        return fast.Fused(unit, f).strip(0, len(f))
    tiles = Tiles(unit, f, tile)
    n, tile = len(f), tiles.tile
    S = tiles.f.new_empty(n, n)
    for a in range(0, n, tile):
        strip = tiles.strip(a, a + tile)
        S[a : a + tile, a:] = strip
        S[a:, a : a + tile] = strip.T
    return S


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


class Products:
    """Strips of S for the metrics that are matrix products, -||g_i - g_j||^2 of g = L f."""

    tile = 32

    def __init__(self, similarity: Euclidean, f: Tensor):
        self.f = f.float() if f.dtype in (torch.float16, torch.bfloat16) else f
        self.g = similarity.transform(self.f).detach()
        self.squares = self.g.square().sum(-1)

    def strip(self, a: int, b: int, end: int | None = None) -> Tensor:
        g, squares = self.g[a:end], self.squares[a:end]
        S = torch.addmm(-squares, self.g[a:b], g.T, alpha=2)
        return S.sub_(self.squares[a:b, None]).clamp_(max=0)


class Pairwise:
    """Strips of S for any other similarity, pair by pair in its evaluation mode."""

    tile = 32

    def __init__(self, similarity: Similarity, f: Tensor):
        self.similarity, self.f = similarity, f

    def strip(self, a: int, b: int, end: int | None = None) -> Tensor:
        f_i, f_j = self.f[a:b], self.f[a:end]
        rows = [self.similarity(row.expand_as(f_j), f_j) for row in f_i]
        return torch.stack(rows)
