"""Fig. 3: which quadruplets are mined under which similarity, on a toy, in batches, and against an
oracle that knows the world (notebook 30); exercises beside.

Imports the helpers in `paper` and what is below; of the slices only `verdict` may import it.
"""
