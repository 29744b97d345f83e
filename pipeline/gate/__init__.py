"""Gate: what may be published.

Belongs here: profiles of slices, suites, verdicts on both. Publishing is in `pipeline.gold`.
"""
