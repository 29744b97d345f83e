"""The hub's REST interfaces: IoT Hub's service side, provisioning's, Digital Twins', and files of devices.

Belongs here: paths, bodies and answers as Azure's clients speak them. What happens belongs in `hub.registry`.
"""
