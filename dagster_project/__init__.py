"""The orchestration: Dagster's assets, jobs, checks, schedules and sensors, and the `lakehouse` command.

Belongs here: wiring. What a step does belongs in `pipeline`; importing this package itself imports nothing heavy, so
that the command line answers quickly.
"""
