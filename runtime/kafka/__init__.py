"""Kafka as a program.

Belongs here: starting and stopping the embedded broker. Its topics belong to `ingestion`, records to `wire`.
"""
