"""Table 2, right: classes that no image is known of, from a hierarchy over the classes; claim C15
(notebook 84). Start at unseen.measured; the rule is zero_shot.py, the rivals rivals.py.

Imports the helpers in `paper` and what is below; of the slices only `verdict` may import it.
"""
