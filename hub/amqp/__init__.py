"""AMQP: connections of services that send commands and read feedback.

Belongs here: sessions, links and deliveries. What a frame's bytes are belongs in `wire.amqp`.
"""
