"""Sharing: published gold for other engines, by the Delta Sharing protocol.

Belongs here: shares, tables, links to files. Who may ask is in `serving.access`.
"""
