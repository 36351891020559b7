"""The unit asked pair by pair, as the paper writes it."""

import torch

from pddm_lite.pddm import r

D = 16
LABELS = torch.arange(6).repeat_interleave(4)


def plain(unit, x, y):
    """S [n, m] pair by pair, as the paper writes it."""
    return torch.stack([unit(r(a)[None].expand(len(y), -1), r(y)) for a in x])
