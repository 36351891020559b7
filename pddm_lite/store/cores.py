"""How many cores this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")  # "50000 100000": half a core; "max 100000": all


def cores() -> int:
    """CPU cores that this process may use, 1 or more.

    Fewer than the machine has under taskset, PYTHON_CPU_COUNT, or a container's quota (cgroup v2).
    """
    if hasattr(os, "process_cpu_count"):  # from Python 3.13
        free = os.process_cpu_count() or 1
    elif hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        free = len(os.sched_getaffinity(0))
    else:
        free = os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text(encoding="utf-8").split()
        return max(1, min(free, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no such file, or "max": no quota
        return free
