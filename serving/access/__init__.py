"""Access: who may read what, and how often.

Belongs here: API keys, their scopes, token buckets. What is read belongs to the faces beside it.
"""
