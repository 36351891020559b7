"""What the paper printed, its claims and how they are judged, and how figures and tables are drawn
and worded; the folders in here are slices, one for each of its figures and tables.

printed: what the paper prints, and each claim's words. questions: which rows a claim compares, by
which measure, its threshold (C10's 8 points) and the margin of level. decide: the questions asked
of runs. judge: from an interval to a verdict. drawing, wording: looks and words of all slices.

The files may import training and what is below; slices import these files, and no other slice.
"""
