"""Fig. 1a: intra-class spread and inter-class distance of learned embeddings, class by class; and
the same embeddings by t-SNE (notebook 40).

Imports the helpers in `paper` and what is below; of the slices only `verdict` may import it.
"""
