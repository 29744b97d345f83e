"""Access: who may connect or register, and how much a tenant may do.

Belongs here: judging proofs and counting what is used. What happens to who is refused belongs to who asks.
"""
