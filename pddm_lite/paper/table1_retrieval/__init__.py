"""Table 1: Recall@K of every method beside the paper's, clusters, and what is retrieved, image by
image (Fig. 4, bottom; notebook 60).

Imports the helpers in `paper` and what is below; of the slices only `verdict` may import it.
"""
