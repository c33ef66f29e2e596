"""A suite's results in the formats of others: one module per format.

Each module has `files`, which yields the path and the text of every file of the format.
"""
