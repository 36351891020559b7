#!/usr/bin/env python3
"""Reproduce everything: `python run_all.py`. See `python run_all.py --help`."""

import sys

if __name__ == "__main__":
    from pddm_lite.pipeline.processes import end_on_signals

    end_on_signals()  # first, since importing torch takes seconds
    from pddm_lite.pipeline.cli import main

    sys.exit(main())
