"""Queues: a durable message broker that clients of Azure Service Bus take for its emulator.

Belongs here: queues, topics and subscriptions in the home's `queues/queues.db`, and the process that serves them over
AMQP. The protocol itself belongs in `wire`; what puts alerts into a queue is an action of the hot path.
"""
