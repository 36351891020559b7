"""What run_all.py does: options, stages, processes and clusters, notebooks, report, check,
compare, reproduce, audit, packs, and the tables of the README.

May import everything; nothing imports it.
"""
