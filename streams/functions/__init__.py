"""Functions: unmodified `azure-functions` apps beside the hot path, each function in a process of its own.

Belongs here: what an app declares, calling it within limits, and its triggers: topics, timers and HTTP. Nothing of the
lake's rules: a function is somebody else's code.
"""
