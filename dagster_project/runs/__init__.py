"""Runs: Dagster's runs, and all of Dagster's private interfaces that the project uses.

Belongs here: starting, finding, ending runs; where their events are kept. What a run does is in `steps`.
"""
