"""Proof: showing that a figure is right.

Belongs here: tracing it to its messages, building it anew, reconciling with what was sent.
"""
