"""Fetching jars with the real Ivy."""

from pathlib import Path

import pytest

from runtime.errors import PlatformError
from runtime.java import jars


def test_without_a_network_it_is_one_sentence_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registry that cannot be reached is said so, and no half-filled folder is taken for a whole one."""
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=9")
    with pytest.raises(PlatformError, match="cannot be reached from here"):
        jars.ensure("spark", lambda line: None)
    assert not jars.is_complete("spark")
    assert list(jars.jar_folder("spark").parent.iterdir()) == []
