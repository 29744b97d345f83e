"""Statements that every connection executes: making one anew takes more of the hub's time than executing it."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from hub.registry.connections import disconnected
from hub.registry.hub_registry import Registry
from hub.registry.identities import Identity, create
from hub.sessions.openings import open_connection
from tests.support.small_hub import WITHIN_S


@pytest.mark.parametrize("is_clean", [False, True])
def test_connections_execute_the_same_statements(tmp_path: Path, is_clean: bool) -> None:
    """What one device's beginning and end execute, the next one's do: the very same objects, no equal ones."""
    registry = Registry(f"sqlite:///{tmp_path / 'registry.db'}")
    executed: list[Any] = []

    def come_and_go(device_id: str) -> list[Any]:
        identity = registry.write(lambda tx: create(tx, Identity(device_id, "default"))).result(WITHIN_S)
        executed.clear()
        opened = registry.write(lambda tx: open_connection(tx, identity, "h", None, is_clean)).result(WITHIN_S)
        registry.write(lambda tx: disconnected(tx, device_id, "", opened.epoch, None)).result(WITHIN_S)
        return list(executed)

    try:
        come_and_go("a")  # the first of a process makes it known
        event.listen(registry.database._writes, "before_execute", lambda _, statement, *__: executed.append(statement))
        first, second = come_and_go("b"), come_and_go("c")
        assert len(first) > 5
        assert [*map(id, first)] == [*map(id, second)]
    finally:
        registry.close()
