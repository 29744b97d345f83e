"""Java: a JVM to run with, the jars that it needs, its archived classes.

Belongs here: finding and fetching. Which program runs with which jars is in `runtime.kafka` and `runtime.spark`.
"""
