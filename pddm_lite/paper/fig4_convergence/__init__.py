"""Fig. 4, top (its bottom: table1_retrieval): how fast training goes by Euclidean and by PDDM
mining, and what a batch costs against its size, claim C5 (notebook 50).

Imports the helpers in `paper` and what is below; of the slices only `verdict` may import it.
"""
