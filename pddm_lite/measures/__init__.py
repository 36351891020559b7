"""What is measured of embeddings and scores: Recall@K, score distributions, clusters, t-SNE,
nearest class mean, spreads, and all pairs at scale, in tiles or by a GPU kernel.

May import `data`, `store` and the paper's core; training and what is above it may import it.
"""
