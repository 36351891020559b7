"""The old name of `pddm_lite.training.pretrain`, kept for one version."""

import runpy
import warnings

from .training.pretrain import *  # noqa: F403

warnings.warn(
    "pddm_lite.pretrain is now pddm_lite.training.pretrain; "
    "the old name goes with the next version.",
    FutureWarning,
    stacklevel=2,
)

if __name__ == "__main__":
    runpy.run_module("pddm_lite.training.pretrain", run_name="__main__", alter_sys=True)
