"""What dbt does not do any more, and that it says and finds the same."""

import logging
from typing import Any

import pytest
import yaml
from dbt.adapters.events.types import SQLQuery
from dbt.adapters.factory import load_plugin
from dbt.cli.main import dbtRunner  # noqa: F401  # dbt's modules need each other in its own order
from dbt.events.types import LogModelResult
from dbt_common.clients import agate_helper
from dbt_common.events.base_types import EventLevel
from dbt_common.events.event_handler import DbtEventLoggingHandler
from dbt_common.events.event_manager import EventManager
from dbt_common.events.logger import LoggerConfig

from lake.project_files import DBT_FOLDER
from lake.storage import duckdb_connection
from pipeline.gold.dbt_manifest import ensure_manifest, read_manifest
from pipeline.gold.dbt_spared import leave_undone

leave_undone()


def test_events_that_nobody_hears_are_not_made() -> None:
    """Those of the lowest level reach nobody; others do, one of these that is told louder, and all where a log of that
    level is kept."""
    manager, heard = EventManager(), list[Any]()
    manager.callbacks.append(heard.append)
    quiet = SQLQuery(conn_name="one", sql="SELECT 1")
    manager.fire_event(quiet)
    manager.fire_event(quiet, level=EventLevel.DEBUG)
    assert "pb_msg" not in vars(quiet)
    manager.fire_event(quiet, level=EventLevel.WARN)
    manager.fire_event(LogModelResult(description="a model", status="OK"), level=EventLevel.INFO)
    assert [(each.info.name, each.info.level) for each in heard] == [("SQLQuery", "warn"), ("LogModelResult", "info")]
    assert heard[0].data.sql == "SELECT 1"
    manager.add_logger(LoggerConfig(name="of all", level=EventLevel.DEBUG, logger=logging.getLogger("of all")))
    manager.fire_event(quiet)
    assert heard[-1].info.level == "debug"


def test_events_are_made_and_told_in_each_way_that_dbt_does() -> None:
    """By the log of another package, which gives an event by its name; arguments that dbt refuses it refuses itself."""
    manager, heard = EventManager(), list[Any]()
    manager.callbacks.append(heard.append)
    log = logging.Logger("of another package")
    log.addHandler(DbtEventLoggingHandler(manager, logging.INFO))
    log.warning("It says so.")
    assert [each.data.msg for each in heard] == ["It says so."]
    with pytest.raises(AssertionError, match="positional arguments"):
        manager.fire_event(SQLQuery("one"), level=EventLevel.WARN)


def test_an_answer_makes_no_parser_of_dates(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the second one of the same columns on; its values are those of the database, text that looks like others
    too."""
    row = {"name": "1", "count": 2, "empty": ""}
    agate_helper.table_from_data_flat([row], list(row))
    agate_helper.empty_table()  # type: ignore[no-untyped-call]
    monkeypatch.setattr("parsedatetime.Constants", lambda **_: pytest.fail("A parser is made."))
    assert [tuple(each) for each in agate_helper.table_from_data_flat([row], list(row)).rows] == [("1", 2, "")]
    assert len(agate_helper.empty_table().rows) == 0  # type: ignore[no-untyped-call]


def test_models_are_built_in_their_place() -> None:
    """Under their own names, by macros of the project."""
    ensure_manifest()
    load_plugin("duckdb")
    manifest = read_manifest()
    for type_ in ("table", "view"):
        found = manifest.find_materialization_macro_by_name("lakehouse", type_, "duckdb")
        assert found.package_name == "lakehouse"


def test_dbt_opens_duckdb_as_everybody_here() -> None:
    """With the settings of other connections: no extension is downloaded, and none is checked again at each start."""
    profiles = yaml.safe_load((DBT_FOLDER / "profiles.yml").read_text())
    assert profiles["lakehouse"]["outputs"]["candidate"]["config_options"] == duckdb_connection._CONFIG
