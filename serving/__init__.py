"""Serving: what readers get: reports today.

Belongs here: whatever shows published gold to a person or a program. Nothing here writes to the lake.
"""
