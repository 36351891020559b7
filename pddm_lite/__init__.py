"""pddm-lite: Local Similarity-Aware Deep Feature Embedding (NeurIPS 2016), reproduced."""

__version__ = "0.1.0"
