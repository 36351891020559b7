"""Fig. 2: the unit, Eq. 2 by hand, and what its position v does in a trained one (notebook 10);
exercises beside.

Imports the helpers in `paper` and what is below; of the slices only `verdict` may import it.
"""
