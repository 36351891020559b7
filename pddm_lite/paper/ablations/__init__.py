"""Changes of the recipe and of the method, one at a time: claims C11 to C13, what collapses, what
costs and what gains (notebooks 70 and 80).

Imports the helpers in `paper` and what is below; of the slices only `verdict` may import it.
"""
