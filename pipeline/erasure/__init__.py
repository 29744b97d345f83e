"""Erasure: forgetting a device.

Belongs here: finding what names it and taking that out. The certificates are in `lake.records`.
"""
