"""Storage: where the lake's files lie and how they are written.

Belongs here: locations, Delta commits, the writer's lease, compaction, retention, DuckDB's view of it. What the rows
mean belongs elsewhere.
"""
