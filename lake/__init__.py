"""The lake itself: settings, locations, models, table contracts, sessions, commits, verdicts, publications.

What a reading means belongs in `transforms`; orchestration belongs in `dagster_project`.
"""
