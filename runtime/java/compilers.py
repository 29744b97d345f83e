"""Compilers: how eagerly a JVM compiles what it runs.

Belongs here: the options, and why. Whether a program has little to do is for who starts it to know (`is_brief` of the
settings).
"""

from runtime.settings import Settings


def options(settings: Settings) -> list[str]:
    """For a program that ends with the command that starts it and has little to do, the quick compiler alone.

    What the optimising one makes of a start is thrown away before it pays: Kafka answers after 2.7 s of processor time
    instead of 4.3, Spark after 9.2 instead of 14.6 (2026-11-27, 2 cores that others kept busy). Of much work it saves
    more than it takes.
    """
    return ["-XX:TieredStopAtLevel=1"] if settings.is_brief else []
