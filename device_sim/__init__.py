"""Devices that are not there: a simulated fleet with faults as data, and the replay of recorded files.

Speaks only the wire format of `wire.envelope`; knows device models but none of the lake's tables.
"""
