"""Keys that are rotated, and how often each asked."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from starlette.requests import Request

from runtime.errors import UsageError
from runtime.settings import load_settings
from serving.access.api_keys import ApiKeys
from serving.access.doors import Doors
from serving.access.scopes import parse_scopes
from serving.problems import Problem

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def keys(tmp_path: Path) -> ApiKeys:
    """No keys yet."""
    return ApiKeys(load_settings({"LAKEHOUSE_HOME": str(tmp_path)}))


def test_both_keys_hold_while_they_overlap(keys: ApiKeys) -> None:
    """The new key is as the old one was; the old one ends with the overlap, or when it would have anyway."""
    _, old = keys.create("app", parse_scopes(["read:site=north"]), NOW, requests_a_second=3, expires_at=NOW + 9 * DAY)
    _, new = keys.rotate("app", NOW, DAY)
    found = keys.recognised(new, NOW)
    assert found is not None
    assert (found.name, str(found.scopes.grants[0]), found.requests_a_second) == ("app", "read:site=north", 3)
    assert keys.recognised(old, NOW + DAY / 2) is not None
    assert keys.recognised(old, NOW + DAY) is None
    assert keys.recognised(new, NOW + 8 * DAY) is not None
    assert keys.recognised(new, NOW + 9 * DAY) is None


def test_a_name_revokes_both(keys: ApiKeys) -> None:
    """Who revokes a rotated key by its name is rid of the one before too; what does not hold is not rotated."""
    _, old = keys.create("app", parse_scopes(["read"]), NOW)
    _, new = keys.rotate("app", NOW, DAY)
    keys.revoke("app", NOW)
    assert keys.recognised(old, NOW) is None
    assert keys.recognised(new, NOW) is None
    with pytest.raises(UsageError, match="no key 'app' that holds"):
        keys.rotate("app", NOW, DAY)


def test_requests_are_counted_by_key_and_day(keys: ApiKeys, tmp_path: Path) -> None:
    """What a key asked is noted once, refused requests among it, and adds up over the day."""
    key_id, key = keys.create("app", parse_scopes(["read"]), datetime.now(UTC))
    doors = Doors(load_settings({"LAKEHOUSE_HOME": str(tmp_path)}))
    request = Request({"type": "http", "method": "GET", "path": "/", "query_string": b"",
                       "headers": [(b"x-api-key", key.encode())]})  # fmt: skip
    for _ in range(2):
        doors.admit(request, "read")
        with pytest.raises(Problem):
            doors.admit(request, "share")
        doors.note_usage(NOW)
        doors.note_usage(NOW)
    (row,) = keys.usage_since(NOW.date())
    assert row == {"key_id": key_id, "name": "app", "day": "2026-11-26", "request_count": 4, "refused_count": 2}
    assert keys.usage_since(date(2026, 11, 27)) == []
