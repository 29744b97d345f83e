"""Report: one page of figures and pictures of a publication.

Belongs here: the page, its pictures and what it asks of the lake.
"""
