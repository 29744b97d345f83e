"""The lake itself: device models, table contracts, files and commits, verdicts, publications, and reading them.

Belongs here: what each program that opens a lake has to know of it. What a reading means belongs in
`transforms`; orchestration belongs in `dagster_project`.
"""
