"""Serving: what readers get: the API, sharing, push, the dashboard, a copy in PostgreSQL, reports.

Belongs here: whatever shows published gold, or what the hot path tells, to a person or a program. Nothing here writes
to the lake but the release of a held slice, a record that an operator signs.
"""
