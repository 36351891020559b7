"""The old name of `pddm_lite.pipeline.reference`, kept for one version."""

import runpy
import warnings

from .pipeline.reference import *  # noqa: F403

warnings.warn(
    "pddm_lite.reference is now pddm_lite.pipeline.reference; "
    "the old name goes with the next version.",
    FutureWarning,
    stacklevel=2,
)

if __name__ == "__main__":
    runpy.run_module("pddm_lite.pipeline.reference", run_name="__main__", alter_sys=True)
