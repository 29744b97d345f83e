"""Links: bytes to and from a client, over TLS or a websocket, and the keys and certificates that the hub does it with.

Belongs here: encryption and framing that know nothing of MQTT or AMQP. Accepting connections belongs in `hub.listener`.
"""
