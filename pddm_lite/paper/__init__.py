"""What the paper printed, its claims and how they are judged, and how figures and tables are drawn
and worded; the folders in here are slices, one for each of its figures and tables.

The files may import training and what is below; slices import these files, and no other slice.
"""
