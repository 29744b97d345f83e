"""The outbox: what is put in can be sent."""

from pathlib import Path

import pytest

from hub.hub_errors import HubCode, HubError
from hub.registry.hub_registry import Registry
from hub.registry.outbox import pending, tell_event


def test_what_no_record_can_hold_is_refused(tmp_path: Path) -> None:
    """A row that Kafka never takes would keep back all that follow it."""
    registry = Registry(f"sqlite:///{tmp_path / 'registry.db'}")
    try:
        registry.write(lambda tx: tell_event(tx, "d", "t", {"x": "y" * 800_000})).result()
        with pytest.raises(HubError) as raised:
            registry.write(lambda tx: tell_event(tx, "d", "t", {"x": "y" * 1_000_000})).result()
        assert raised.value.code is HubCode.MessageTooLarge
        assert len(registry.read(lambda tx: pending(tx, 10))) == 1
    finally:
        registry.close()
