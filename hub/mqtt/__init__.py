"""MQTT: connections of devices and modules, and of those that register.

Belongs here: what a packet brings about, in order. What a packet's bytes are belongs in `wire.mqtt`.
"""
