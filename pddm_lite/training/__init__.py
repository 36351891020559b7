"""What turns an experiment into a run: settings, the study, the loop, the optimiser, the watch for
collapses, checkpoints, and f of any images by a finished run.

May import `networks`, `measures`, `data`, `store` and the core; knows no figure and no claim.
"""
