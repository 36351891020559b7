"""Where the space is given and only the metric learns: claims C1 and C6 there, and what each rung
between given and learned takes of the lead (notebook 15).

Imports the helpers in `paper` and what is below; `verdict` and the pipeline may import it.
"""
