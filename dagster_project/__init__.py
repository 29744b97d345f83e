"""Wiring: the Dagster graph and the `lakehouse` command.

Belongs here: assets, checks, schedules, sensors, resources and the command line. Business rules belong in the rooms
that these call.
"""
