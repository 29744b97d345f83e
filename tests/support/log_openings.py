"""How often logs are opened: each opening reads one from its last checkpoint on."""

from typing import Any

import pytest
from deltalake import DeltaTable

from lake.storage import delta


def counted_openings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tables that this process opens from now on: `layer.table`, or `layer.table@version` when asked for that."""
    opened: list[str] = []

    def counting(uri: str, version: int | None = None, **options: Any) -> DeltaTable:
        table = DeltaTable(uri, version=version, **options)
        opened.append(".".join(uri.split("/")[-2:]) + ("" if version is None else f"@{version}"))
        return table

    counting.create = DeltaTable.create  # type: ignore[attr-defined]
    monkeypatch.setattr(delta, "DeltaTable", counting)
    return opened
