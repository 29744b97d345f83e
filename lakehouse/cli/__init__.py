"""The `lakehouse` command: arguments in, text and exit codes out.

Belongs here: one module a command, which parses, calls and prints. What a command does belongs in the rooms below.
"""

from lakehouse.cli.main import main

__all__ = ["main"]
