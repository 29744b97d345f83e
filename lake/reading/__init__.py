"""Reading: what a reader gets of a publication.

Belongs here: resolving tables through a publication, guarding queries, copies in memory. Nothing here
writes to the lake.
"""
