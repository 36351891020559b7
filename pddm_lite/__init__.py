"""pddm-lite: Local Similarity-Aware Deep Feature Embedding (NeurIPS 2016), reproduced.

The paper: pddm (Eq. 2), mining and losses (Eq. 3), methods (Table 1's rows, Eq. 4), layer. Around
it: data, networks, measures, store, training; `paper` has a folder a figure or table, and says what
is claimed (paper/questions.py) and how it is judged; own_data; pipeline.
"""

__version__ = "0.1.0"
