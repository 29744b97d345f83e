"""Lakehouse: what a person types or imports.

Belongs here: the command in `lakehouse.cli`. Nothing else in the project imports it.
"""
