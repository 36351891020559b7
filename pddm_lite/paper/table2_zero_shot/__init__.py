"""Table 2, right: classes that no image is known of, from a hierarchy over the classes; claim C15
(notebook 84).

Imports the helpers in `paper` and what is below; of the slices only `verdict` may import it.
"""
