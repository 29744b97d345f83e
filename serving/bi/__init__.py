"""BI: published gold copied into a real PostgreSQL, for tools that speak to one.

Belongs here: the server, what is copied and when readers move, views, and who may read them. Nothing is computed here
that gold does not have.
"""
