"""Hot: what the hot path tells, kept for questions.

Belongs here: the newest values and minutes. All of it is provisional, and every answer of it says so.
"""
