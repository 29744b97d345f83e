"""Spark as a program.

Belongs here: starting the Connect server and asking it what it does. What it reads and writes belongs elsewhere.
"""
