"""A home that is copied while all of it runs is a lakehouse of its own, as docs/guide/operate.md says."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lake.records import publications
from runtime.settings import Settings
from tests.support.awaiting import awaited
from tests.support.running_lakehouse import ROOT, Lakehouse, ended_lakehouse

_WITHIN_S = 300


@pytest.fixture
def original(tmp_path: Path) -> Iterator[Lakehouse]:
    """A lakehouse that is stopped however the test ends."""
    with ended_lakehouse(tmp_path / ".lakehouse") as lakehouse:
        yield lakehouse


@pytest.fixture
def copied(tmp_path: Path) -> Iterator[Lakehouse]:
    """A home that is not there yet; what was started for it is stopped however the test ends."""
    with ended_lakehouse(tmp_path / "copies" / "today") as lakehouse:
        yield lakehouse


def _newest(lakehouse: Lakehouse) -> int:
    home = lakehouse.home
    found = publications.newest(Settings(home=home, lake_uri=str(home / "lake")))
    return 0 if found is None else found.publication_id


def _backup(home: Path, copy: Path) -> None:
    """What the page says to type, in the folder that has the home."""
    page = (ROOT / "docs" / "guide" / "operate.md").read_text()
    [recipe] = re.findall(r"## Backup and restore.*?```sh\n(.*?)```", page, re.DOTALL)
    assert "copy=/backups/today" in recipe
    commands = recipe.replace("copy=/backups/today", f"copy={copy}")
    done = subprocess.run(["bash", "-c", commands], cwd=home.parent, capture_output=True, text=True)
    assert copy.is_dir(), done.stderr


def test_a_home_copied_while_it_runs_is_brought_up_beside_it(original: Lakehouse, copied: Lakehouse) -> None:
    """The copy comes up on ports of its own, verifies and goes on publishing; the original has run on meanwhile."""
    original.run("simulate", "--devices", "2", "--hours", "2")
    started = original.run("up", "--detach", "--simulate", "--devices", "2")
    assert started.returncode == 0, started.stderr
    awaited(lambda: _newest(original) > 0, lambda: original.run("status").stdout, limit_s=_WITHIN_S)
    _backup(original.home, copied.home)
    has = _newest(copied)
    assert has > 0

    up = copied.run("up", "--detach")
    assert up.returncode == 0, up.stderr
    assert str(copied.home) in up.stdout
    verified = copied.run("verify", str(has))
    assert verified.returncode == 0, verified.stdout
    sent = copied.run("simulate", "--devices", "2", "--hours", "1")  # at the time of the copy nothing may have waited
    assert sent.returncode == 0, sent.stderr
    awaited(lambda: _newest(copied) > has, lambda: copied.run("status").stdout, limit_s=_WITHIN_S)

    assert original.run("up").stdout.startswith("It is running already.")
    awaited(lambda: _newest(original) > has, lambda: original.run("status").stdout, limit_s=_WITHIN_S)
