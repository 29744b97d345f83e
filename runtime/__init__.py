"""Runtime: what any part needs of the machine. Knows no table.

Belongs here: settings, errors, processes and their supervision, ports, Java, Kafka and Spark as programs.
"""
