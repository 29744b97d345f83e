"""Models: device models, and the tables and metrics that follow from them.

Belongs here: reading DTDL and quality files, units, what is built in and what was added to a home.
"""
