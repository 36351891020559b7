"""A folder of one's own images: is training worth it there (trial), and the metric of a finished
run in one file, for pictures of any size (metric).

May import `layer`, the paper's helpers and what is below; only the command line may import it.
"""
