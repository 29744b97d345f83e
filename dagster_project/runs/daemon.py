"""The daemon: Dagster's own, which evaluates schedules and sensors and starts runs.

Belongs here: that it is started as a module of ours, since how Dagster names its own is private.
"""

from dagster._daemon.cli import main

if __name__ == "__main__":
    main()
