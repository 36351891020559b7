"""A network made quicker to fine-tune where batch norm keeps its statistics: the same function,
and the same weights by the same names."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn


class _Conv(nn.Conv2d):
    """A convolution that does the work of the batch norm after it, unless that one is training."""

    norm: tuple[nn.BatchNorm2d]  # in a tuple: not a child of this module

    def forward(self, x: Tensor) -> Tensor:
        (n,) = self.norm
        if n.training:
            return super().forward(x)
        # gamma (W x - mean) / sqrt(var + eps) + beta = (g W) x + (beta - g mean)
        g = n.weight * torch.rsqrt(n.running_var + n.eps)
        return self._conv_forward(
            x, self.weight * g[:, None, None, None], n.bias - g * n.running_mean
        )


class _Norm(nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if self.training else x


def quick(net: nn.Module) -> nn.Module:
    """`net` itself, for fine-tuning: channels last, and within its nn.Sequentials each convolution
    folded with the batch norm after it while that is in eval mode. Values and gradients are the
    same to rounding; names of weights are as they were."""
    for part in list(net.modules()):
        if isinstance(part, nn.Sequential):
            for conv, norm in itertools.pairwise(part):
                plain = type(conv) is nn.Conv2d and conv.bias is None
                if plain and type(norm) is nn.BatchNorm2d and norm.affine:
                    conv.__class__, conv.norm, norm.__class__ = _Conv, (norm,), _Norm
    return net.to(memory_format=torch.channels_last)
