"""Sessions: who is connected to this process, and what goes up and down for them, whatever protocol they speak.

Belongs here: the table of clients, messages up, messages and calls down. Packets belong in `hub.mqtt` and `hub.amqp`.
"""
