"""Simultaneous policy: CTC alignment, READ/WRITE decisions, and the training masks made from the same
functions.
"""
