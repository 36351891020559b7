"""All claims decided on all that was measured, as a figure, tables and sentences (notebook 90).

The one slice that may import others: what decides their claims, and what they are decided on.
Of the rest only the pipeline and the notebooks import it.
"""
