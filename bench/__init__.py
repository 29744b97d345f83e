"""Benches: side-by-side measurements of what the project claims of its speed.

Belongs here: work, the sides that do it, and what they have to agree on. A bench changes nothing in the product, and
the product imports nothing of it.
"""
