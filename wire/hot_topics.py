"""The hot path's topics by name: what it tells, and what it asks to have done.

Belongs here: names, which several rooms read. How the topics are made is in `streams.output_topics`.
"""

GROUP = "lakehouse-streams"
"""The consumer group under which the hot path commits what it has read."""
GROUP_ON_SPARK = "lakehouse-streams-spark"
"""The same of the hot path on Spark, which goes on from its checkpoint and only says there how far it has come."""
WATERMARK = "watermark_us"
"""In the metadata of a commit: the moment, in microseconds since 1970, up to which everything was read and told."""

LATEST, WINDOWS, ALERTS, STATE, ACTIONS = "latest", "windows", "alerts", "streams-state", "actions"
SCORES = "scores"
