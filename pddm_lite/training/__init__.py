"""What turns an experiment into a run: settings, the study, the loop, the optimiser, the watch for
collapses, checkpoints, and f of any images by a finished run. loop: fit, and which step is kept;
runs: a run and its id.

May import `networks`, `measures`, `data`, `store` and the core; knows no figure and no claim.
"""
