"""The orchestration: Dagster's assets, jobs, checks, schedules and sensors.

Belongs here: wiring. What a step does belongs in `pipeline`, what a person types in `lakehouse.cli`; importing this
package itself imports nothing heavy, so that the command line answers quickly.
"""
