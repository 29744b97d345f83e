"""Hub: identities, provisioning, twins, methods, commands, and the listener that devices and services connect to.

Belongs here: what Azure IoT Hub, its provisioning service and Digital Twins do for their clients. What leaves the room
is messages in the landing zone; the lake's rules of what a message means do not belong here.
"""
