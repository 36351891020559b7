"""Fig. 1b: the distributions of scores of positive and negative pairs, and what heterogeneity does
to them (notebook 20); exercises beside.

Imports the helpers in `paper` and what is below; of the slices only `verdict` may import it.
"""
