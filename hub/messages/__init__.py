"""Messages: what devices and the registry say, as records in Kafka.

Belongs here: a record's shape, its topics, producing it, and what is known of it afterwards. When to acknowledge is the
sessions' to decide.
"""
