"""Ingestion: the landing zone. The embedded broker, its topics, the wire format, and Kafka to bronze.

Belongs here: what a message looks like and how each record comes to bronze exactly once. Parsing payloads belongs in
`transforms`.
"""
