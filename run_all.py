#!/usr/bin/env python3
"""Reproduce everything: `python run_all.py`. See `python run_all.py --help`."""

import sys

from pddm_lite.pipeline.cli import main

if __name__ == "__main__":
    sys.exit(main())
