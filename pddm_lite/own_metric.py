"""The old name of `pddm_lite.own_data.metric`, kept for one version."""

import warnings

from .own_data.metric import *  # noqa: F403

warnings.warn(
    "pddm_lite.own_metric is now pddm_lite.own_data.metric; "
    "the old name goes with the next version.",
    FutureWarning,
    stacklevel=2,
)
