"""Namespaces: running a program in a PID, network or mount namespace of its own.

Belongs here: what `unshare` needs, and why a test that needs it is skipped. What is proved there stands in the tests.
"""

import functools
import shutil
import subprocess

import pytest


@functools.cache
def why_not(*kinds: str) -> str:
    """Why no namespaces of these kinds (options of `unshare`) can be made; empty when they can."""
    if shutil.which("unshare") is None:
        return "there is no unshare(1) here"
    made = subprocess.run(["unshare", *kinds, "true"], capture_output=True, text=True)
    return "" if made.returncode == 0 else f"unshare {' '.join(kinds)} needs root: {made.stderr.strip()}"


PID = ("--pid", "--fork", "--mount-proc", "--kill-child")
"""A PID namespace with its own /proc, which ends with the `unshare` that made it."""


def skip_without(*kinds: str) -> None:
    """Skip the running test, with the reason, where such namespaces cannot be made."""
    reason = why_not(*kinds)
    if reason:
        pytest.skip(reason)
