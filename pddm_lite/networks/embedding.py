"""f(x): a backbone's features, a linear head to d dimensions, and l2 normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..pddm import r
from ..store.errors import UserError


class Embedding(nn.Module):
    """f(x) in R^d with ||f(x)||_2 = 1 (paper, Sec. 3).

    Args:
        features: length of the backbone's features.
        dim: d.
        free: 0 puts f on the unit sphere, as the paper does; else f = free x (head's output), for
            losses that need room (Song et al. leave their embedding free). The head then takes the
            backbone's features at length 1, which cached ones have in the mean: free is the scale.
        backbone: maps images [B, 3, H, W] to features [B, features]; None where the input are
            features already (modes "frozen" and "metric").
        bf16: run the backbone under autocast to bfloat16; head and normalisation stay in float32.
    """

    def __init__(
        self,
        features: int,
        dim: int,
        backbone: nn.Module | None = None,
        free: float = 0.0,
        bf16: bool = False,
    ):
        super().__init__()
        self.free, self.bf16 = free, bf16
        self.backbone = backbone
        self.head = nn.Linear(features, dim)

    def forward(self, x: Tensor) -> Tensor:
        """[B, features] or [B, 3, H, W] -> [B, d], in the head's type, unit length unless free."""
        f = self.head(self.raw(x))
        return self.free * f if self.free else r(f)

    def raw(self, x: Tensor) -> Tensor:
        """The backbone's features [B, features] of a batch, in the head's type."""
        if self.backbone is None:
            return x
        with torch.autocast(x.device.type, torch.bfloat16, self.bf16, cache_enabled=False):
            x = self.backbone(x)
        x = x.to(self.head.weight.dtype)
        return r(x) if self.free else x

    @torch.no_grad()
    def start_from_identity(self) -> None:
        """Make the head give its input back: f is the features as they are.

        Raises:
            UserError: d is not the features' length.
        """
        d, length = self.head.weight.shape
        if d != length:
            raise UserError(
                f"head_init identity needs embedding_size = {length} (the features), not {d}."
            )
        nn.init.eye_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    @torch.no_grad()
    def start_from_pca(self, x: Tensor) -> None:
        """Start the head at the d principal axes of training features x [N, features].

        The head then gives (x - mean) on those axes: distances as they were in the features, less
        what the dropped axes held.

        Raises:
            UserError: d exceeds the features' length.
        """
        d, length = self.head.weight.shape
        if d > length:
            raise UserError(
                f"head_init pca needs embedding_size <= {length} (the features), not {d}."
            )
        if not torch.isfinite(x).all():
            raise UserError("head_init pca: some features are not finite.")
        mean = x.double().mean(0)
        centred = x.double() - mean
        _, axes = torch.linalg.eigh(centred.T @ centred)  # ascending eigenvalues
        axes = axes[:, -d:].flip(1).T
        # an axis has no sign of its own: fix it, so that machines agree
        axes = axes * torch.sign(axes.gather(1, axes.abs().argmax(1, keepdim=True)))
        self.head.weight.copy_(axes)
        self.head.bias.copy_(-axes @ mean)
