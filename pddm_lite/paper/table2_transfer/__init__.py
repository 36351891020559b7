"""Table 2, left: new classes by the mean of a few images, against classifiers that are trained on
them; claim C14 (notebook 82). Start at transfers.measured.

Imports the helpers in `paper` and what is below; of the slices only `verdict` may import it.
"""
