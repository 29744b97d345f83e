"""Silver: bronze to typed readings.

Belongs here: the steps that judge and commit. What a record means is in `transforms`.
"""
