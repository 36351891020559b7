"""The collapse watch: tells in plain words when and how a run collapsed.

Hard mining is known to end in one score for every pair or one point for every image; the only
public attempt at this paper did. So every run looks at itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass
class CollapseWatch:
    """Reads a run's evaluations one by one; `message` says whether it stands collapsed.

    Signs: one score for every pair of the mined graph; a layer of the unit whose units are 0 on
    every pair of a batch; all features of a batch at one point (mean distance, from 0 to 2);
    Recall@1 on the held-out classes below half of what it was at the start; and, beside one of
    these, the loss at the value of a collapsed run (methods.plateau). The plateau alone is none:
    with every positive pair mined a sound run may stand near it.
    A sign must be seen `patience` times in a row; a run that recovers is no collapse.
    """

    plateau: float  # nan where the loss has none
    patience: int = 3
    message: str = ""
    _start: float = 0.0
    _count: int = 0
    _since: int = 0

    def see(self, row: Mapping[str, float]) -> None:
        """One evaluation: step, loss, score_range (nan without mining), dead_share, mean_distance
        and, where classes are held out, val_recall_1 in percent."""
        signs = []
        recall = row.get("val_recall_1", math.nan)
        self._start = self._start or recall
        if row["score_range"] < 1e-5:
            signs.append(
                f"the similarity gives one score to every pair (range {row['score_range']:.1e})"
            )
        if row["dead_share"] > 0.95:
            signs.append(f"{row['dead_share']:.0%} of the units of one of its layers are dead")
        if row["mean_distance"] < 0.05:
            signs.append(f"all features fell together (mean distance {row['mean_distance']:.3f})")
        if recall < self._start / 2:
            signs.append(
                f"held-out Recall@1 fell to {recall:.1f} % from {self._start:.1f} % at the start"
            )
        near = not math.isnan(self.plateau) and (
            abs(row["loss"] - self.plateau) < 0.005 * self.plateau
        )
        if signs and near:
            signs.append(f"the loss stands at its plateau {self.plateau:g}")
        self._count = self._count + 1 if signs else 0
        if self._count == 1:
            self._since = int(row["step"])
        if self._count >= self.patience:
            self.message = f"collapsed from step {self._since}: " + "; ".join(signs)
        elif not signs:
            self.message = ""
