"""Ingestion: the landing zone's topics, and Kafka to bronze.

Belongs here: how each record comes to bronze exactly once. What a message looks like is `wire`'s, the broker as a
program `runtime`'s; parsing payloads belongs in `transforms`.
"""
