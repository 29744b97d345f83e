"""Twins: what services see, ask and change of many devices at once: documents, queries, the twin graph, jobs.

Belongs here: what a twin or a graph may be, and answers over them. Storing belongs in `hub.registry`, paths and bodies
in `hub.api`.
"""
