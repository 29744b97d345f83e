"""Commands: one module a command, which parses, calls and prints.

Belongs here: arguments and text. What a command does belongs in the rooms below.
"""
