"""One fused GPU kernel for S of all pairs under the PDDM unit or LMDM (Eq. 2), in Triton.

A program takes BI items i and walks over the items j, BJ at a time. The BI x BJ differences
|f_i - f_j|, both branches and c stay in registers, the weights in shared memory where they fit, and
only S is written: nothing of size pairs x d exists anywhere. W_v f / 2 is computed once an item
(W_v is separable), and a pair's two scores are written from one computation (S is symmetric).

Triton comes with torch on Linux. Where it is missing, or without a GPU, `usable` says no and the
tiled torch code (tiles.Tiles) is used: the same numbers to 1e-4.
"""

from __future__ import annotations

import os

import torch
import torch.nn.functional as F
from torch import Tensor

from ..store.errors import UserError

try:
    import triton
    import triton.language as tl
except ImportError:  # not on every platform
    triton = None

PRECISIONS = ("float32", "tf32", "bf16")  # of the matrix products; sums are float32 in all of them
LONGEST = 512  # features; a program keeps c of its pairs, d numbers each, in registers


def check_precision(precision: str) -> None:
    """Raises UserError for a precision that is not one of PRECISIONS."""
    if precision not in PRECISIONS:
        raise UserError(f"precision: unknown name {precision!r}; use one of {PRECISIONS}.")


def usable(unit, f: Tensor) -> bool:
    """Whether the kernel can score f [N, d] on this machine; PDDM_LITE_KERNEL=0 says no."""
    return (
        triton is not None
        and f.is_cuda
        and os.environ.get("PDDM_LITE_KERNEL", "1") != "0"
        and torch.cuda.get_device_capability(f.device) >= (8, 0)
        and unit.W_u.weight.dtype == torch.float32
        and unit.W_u.weight.device == f.device
        and f.shape[1] <= LONGEST
    )


def blocks(d: int, precision: str) -> dict:
    """Sizes of the kernel's blocks for features padded to d, by what one SM of an H200 holds.

    BI x BJ pairs a step; BN of the d units of a hidden layer and BK of the d inputs at a time.
    HOIST: all three weight matrices stay in shared memory (96 KB in bf16 at d = 128).
    """
    if d <= 128 and precision == "bf16":  # 112 KB and 32,768 registers: two programs an SM
        return dict(BI=8, BJ=8, BN=d, BK=d, HOIST=True, num_warps=4, num_stages=1)
    if d <= 128:
        wide = 64 if precision == "tf32" else 32  # three TF32 products need room for six parts
        sizes = dict(BI=8, BJ=16, BN=min(d, wide), BK=min(d, 32))
    else:
        sizes = dict(BI=4 if precision == "float32" and d > 256 else 8, BJ=8, BN=32, BK=32)
    return sizes | dict(HOIST=False, num_warps=8, num_stages=2)


if triton is not None:

    def products(precision: str) -> dict:
        """How tl.dot is to multiply; TF32 three times keeps float32's accuracy."""
        return {
            "PRECISION": "tf32x3" if precision == "float32" else "tf32",
            "DOT": tl.bfloat16 if precision == "bf16" else tl.float32,
        }

    @triton.jit(do_not_specialize=["a", "b", "end"])  # or each value compiles anew
    def _strip(
        f, half, w_u, b_u, b_v, w_cu, w_cv, b_c, w_s, b_s, out, a, b, end, chunk,
        D: tl.constexpr, POSITION: tl.constexpr, PRECISION: tl.constexpr, DOT: tl.constexpr,
        BI: tl.constexpr, BJ: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
        HOIST: tl.constexpr,
    ):  # fmt: skip
        """S of rows a..b with columns a..end where column >= row, and its mirror image in a..b."""
        P: tl.constexpr = BI * BJ
        first = a + tl.program_id(0) * BI
        i = first + tl.arange(0, BI)
        left = a + tl.program_id(1) * chunk
        right = tl.minimum(left + chunk, end)
        left = tl.maximum(left, a + (first - a) // BJ * BJ)  # nothing left of the diagonal
        k, m, x = tl.arange(0, BK), tl.arange(0, BN), tl.arange(0, D)
        # weights lie as [input, output]
        if HOIST:
            all_u = tl.load(w_u + x[:, None] * D + x[None, :])
            all_cu = tl.load(w_cu + x[:, None] * D + x[None, :])
            if POSITION:
                all_cv = tl.load(w_cv + x[:, None] * D + x[None, :])
        for j0 in range(left, right, BJ):
            j = j0 + tl.arange(0, BJ)
            row = i.to(tl.int64)[:, None] * D
            column = j.to(tl.int64)[:, None] * D
            seen_i, seen_j = (i < b)[:, None], (j < end)[:, None]
            # u' W_cu: h = sigma(W_u |f_i - f_j| + b_u), c = W_cu h / ||h||
            c = tl.zeros([P, D], tl.float32)
            squares = tl.zeros([P], tl.float32)
            for n0 in range(0, D, BN):
                h = tl.zeros([P, BN], tl.float32)
                for k0 in range(0, D, BK):
                    f_i = tl.load(f + row + k0 + k[None, :], mask=seen_i, other=0.0)
                    f_j = tl.load(f + column + k0 + k[None, :], mask=seen_j, other=0.0)
                    u = tl.reshape(tl.abs(f_i[:, None, :] - f_j[None, :, :]), [P, BK])
                    if HOIST:
                        w = all_u
                    else:
                        w = tl.load(w_u + (k0 + k)[:, None] * D + (n0 + m)[None, :])
                    h = tl.dot(u.to(DOT), w, h, input_precision=PRECISION)
                h = tl.maximum(h + tl.load(b_u + n0 + m)[None, :], 0.0)
                squares += tl.sum(h * h, axis=1)
                if HOIST:
                    w = all_cu
                else:
                    w = tl.load(w_cu + (n0 + m)[:, None] * D + x[None, :])
                c = tl.dot(h.to(DOT), w, c, input_precision=PRECISION)
            c = c / tl.maximum(tl.sqrt(squares), 1e-8)[:, None]
            # the same for v, whose W_v v + b_v is a sum of two rows
            if POSITION:
                squares = tl.zeros([P], tl.float32)
                for n0 in range(0, D, BN):
                    h_i = tl.load(half + row + n0 + m[None, :], mask=seen_i, other=0.0)
                    h_j = tl.load(half + column + n0 + m[None, :], mask=seen_j, other=0.0)
                    h_j += tl.load(b_v + n0 + m)[None, :]
                    h = tl.reshape(tl.maximum(h_i[:, None, :] + h_j[None, :, :], 0.0), [P, BN])
                    squares += tl.sum(h * h, axis=1)
                inverse = 1.0 / tl.maximum(tl.sqrt(squares), 1e-8)
                for n0 in range(0, D, BN):
                    h_i = tl.load(half + row + n0 + m[None, :], mask=seen_i, other=0.0)
                    h_j = tl.load(half + column + n0 + m[None, :], mask=seen_j, other=0.0)
                    h_j += tl.load(b_v + n0 + m)[None, :]
                    h = tl.reshape(tl.maximum(h_i[:, None, :] + h_j[None, :, :], 0.0), [P, BN])
                    if HOIST:
                        w = all_cv
                    else:
                        w = tl.load(w_cv + (n0 + m)[:, None] * D + x[None, :])
                    c = tl.dot((h * inverse[:, None]).to(DOT), w, c, input_precision=PRECISION)
            # S = W_s sigma(c + b_c) + b_s
            c = tl.maximum(c + tl.load(b_c + x)[None, :], 0.0) * tl.load(w_s + x)[None, :]
            s = tl.reshape(tl.sum(c, axis=1), [BI, BJ]) + tl.load(b_s)
            width = (end - a).to(tl.int64)
            at_i, at_j = (i - a)[:, None], (j - a)[None, :]
            inside = (i < b)[:, None] & (j < end)[None, :]
            tl.store(out + at_i * width + at_j, s, mask=inside & (at_j >= at_i))
            tl.store(out + at_j * width + at_i, s, mask=inside & (at_j > at_i) & (j < b)[None, :])


class Fused:
    """S of strips of rows by the kernel; takes the place of tiles.Tiles on a GPU.

    Args:
        unit: PDDM or LMDM with float32 weights.
        f: [N, d], d at most 512; half precision is raised to float32.
        precision: of the matrix products: "float32" (three TF32 products each, which keeps
            float32's accuracy), "tf32" or "bf16".
    """

    tile = 256  # strips of a multiple of this many rows waste little at the diagonal

    @torch.no_grad()
    def __init__(self, unit, f: Tensor, precision: str = "float32"):
        check_precision(precision)
        d = f.shape[1]
        if triton is None:
            raise UserError("the fused kernel needs Triton, which is not installed here.")
        if d > LONGEST:
            raise UserError(f"the fused kernel takes features up to {LONGEST} long, not {d}.")
        self.D = max(16, triton.next_power_of_2(d))
        weights = torch.bfloat16 if precision == "bf16" else torch.float32

        def pad(x: Tensor, dtype=torch.float32) -> Tensor:
            """Zeros behind each axis that is d long: they change no product, sum or norm."""
            grow = [size for s in reversed(x.shape) for size in (0, self.D - s)]
            return F.pad(x.detach(), grow).to(dtype).contiguous()

        self.precision, self.position, self.n = precision, unit.position, len(f)
        f = f.detach().float()
        self.f = F.pad(f, (0, self.D - d)).contiguous()
        W_c = unit.W_c.weight
        b_u, b_c, w_s = pad(unit.W_u.bias), pad(unit.W_c.bias), pad(unit.W_s.weight[0])
        w_u, w_cu = pad(unit.W_u.weight.T, weights), pad(W_c[:, :d].T, weights)
        half, b_v, w_cv = self.f, b_u, w_cu  # not looked at by LMDM
        if self.position:
            with torch.autocast(f.device.type, enabled=False):
                half = F.linear(f, unit.W_v.weight) / 2
            half = F.pad(half, (0, self.D - d)).contiguous()
            b_v, w_cv = pad(unit.W_v.bias), pad(W_c[:, d:].T, weights)
        b_s = unit.W_s.bias.detach()
        self.arguments = (self.f, half, w_u, b_u, b_v, w_cu, w_cv, b_c, w_s, b_s)

    def strip(self, a: int, b: int, end: int | None = None) -> Tensor:
        """S of the rows a to b against the items a to `end` (b to N; default N)."""
        b = min(b, self.n)
        end = self.n if end is None else max(b, min(end, self.n))
        out = self.f.new_empty(b - a, end - a)
        if out.numel() == 0:
            return out
        sizes = blocks(self.D, self.precision)
        # columns a program walks over: many for one load of the weights, few enough to give all of
        # the GPU work
        chunk = 1024 if end - a > 16_384 or b - a > 2048 else 256
        grid = (triton.cdiv(b - a, sizes["BI"]), triton.cdiv(end - a, chunk))
        _strip[grid](
            *self.arguments, out, a, b, end, chunk, D=self.D, POSITION=self.position,
            **products(self.precision), **sizes,
        )  # fmt: skip
        return out
