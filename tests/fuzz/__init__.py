"""Fuzz targets: bytes that a stranger may send, and what may come of them: an answer or a typed error, in bounded time and memory.

`make fuzz` runs them. What they find is fixed and becomes a test beside the others, written so that one sees how the input is made.
"""
