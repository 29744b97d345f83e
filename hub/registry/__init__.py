"""The registry: who may connect, what is known of them, and what waits for them.

Belongs here: tables and transactions of identities, twins, connections, queues, enrolments, jobs. No protocol: what a
client says on the wire belongs in `hub.api` and in the sessions.
"""
