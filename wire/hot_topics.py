"""The hot path's topics by name: what it tells, and what it asks to have done.

Belongs here: the names, which several rooms read. How the topics are made is in `streams.output_topics`.
"""

LATEST, WINDOWS, ALERTS, STATE, ACTIONS = "latest", "windows", "alerts", "streams-state", "actions"
