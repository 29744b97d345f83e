"""The steps of the pipeline: each reads, calls pure transforms or an engine, and commits.

Belongs here: one module a step, callable without an orchestrator. What a reading means belongs in `transforms`, what a
table is in `lake`, when a step runs in `dagster_project`.
"""
