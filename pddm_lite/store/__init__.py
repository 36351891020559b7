"""What lies on disk, and what everything stands on: the store of runs, whole files and locks,
metrics in one file, errors in one line, progress, cores, processes that train together.

May import `pddm`, for the units that it saves, and nothing else of the kit; anyone may import
it.
"""
