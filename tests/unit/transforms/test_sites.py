"""Declarations of sites: which count, and what they come to together."""

import json
from typing import Any

import duckdb
import pytest

from lake.sql_text import Relation
from transforms.device_history import judge_event
from transforms.places import Site, sites_of
from transforms.site_history import judge_site, site_history


def history(*events: tuple[str, int, dict[str, Any]]) -> list[tuple[Any, ...]]:
    """(site, minute, payload) in the order of arrival -> site, minute, is_current, name, zone, parent."""
    connection = duckdb.connect()
    connection.execute(
        'CREATE TABLE judged (device_id VARCHAR, measured_at TIMESTAMP, topic VARCHAR, "partition" INTEGER, '
        '"offset" BIGINT, ingest_id BIGINT, reason VARCHAR, table_name VARCHAR, mended VARCHAR)'
    )
    for offset, (site, minute, payload) in enumerate(events):
        judged = judge_site(json.dumps(payload).encode())
        connection.execute(
            "INSERT INTO judged VALUES (?, ?, 'lifecycle', 0, ?, ?, ?, 'silver.sites', ?)",
            [
                site,
                f"2026-01-01 00:{minute:02d}:00",
                offset,
                offset,
                judged.reason and judged.reason.value,
                judged.text,
            ],
        )
    connection.execute("INSERT INTO judged SELECT * REPLACE ('silver.devices' AS table_name) FROM judged")
    history = site_history(Relation("judged"))
    sql = f"SELECT site_id, minute(declared_at), is_current, name, zone, parent_id FROM ({history})"
    return connection.sql(f"{sql} ORDER BY 1, 2").fetchall()


def test_attributes_hold_until_they_are_named_anew() -> None:
    """Each declaration is a row with all that holds after it; an empty text takes a value away."""
    found = history(
        ("a", 1, {"name": "A", "zone": "Europe/Berlin"}), ("a", 2, {"parent_id": "p"}), ("a", 3, {"name": ""})
    )
    assert found == [
        ("a", 1, False, "A", "Europe/Berlin", None),
        ("a", 2, False, "A", "Europe/Berlin", "p"),
        ("a", 3, True, None, "Europe/Berlin", "p"),
    ]


def test_a_late_declaration_lands_where_it_belongs() -> None:
    """What was declared last counts, whatever came last."""
    found = history(("a", 5, {"zone": "Asia/Tokyo"}), ("a", 1, {"zone": "Asia/Kolkata", "name": "A"}))
    assert found == [("a", 1, False, "A", "Asia/Kolkata", None), ("a", 5, True, "A", "Asia/Tokyo", None)]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"{", "not_json"), (b'{"zone": ["UTC"]}', "wrong_type"), (b'{"zone": "Mars/Base"}', "out_of_range"),
        (b'{"name":"a","name":"b"}', "duplicate_key"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(payload: bytes, reason: str) -> None:
    """A zone must be one of the IANA's, and every value a text."""
    assert judge_site(payload).reason == reason


def test_a_site_takes_over_the_zone_above_it() -> None:
    """The nearest zone counts, else UTC, and the path begins at the topmost site, declared or not."""
    rows: list[dict[str, Any]] = [
        {"site_id": "plant", "name": "Plant", "zone": "Europe/Berlin", "parent_id": "company"},
        {"site_id": "hall", "name": None, "zone": None, "parent_id": "plant"},
        {"site_id": "yard", "name": None, "zone": "Asia/Kolkata", "parent_id": "plant"},
        {"site_id": "depot", "name": None, "zone": None, "parent_id": None},
    ]
    assert sites_of(rows) == [
        Site("depot", None, "UTC", None, "/depot"),
        Site("hall", None, "Europe/Berlin", "plant", "/company/plant/hall"),
        Site("plant", "Plant", "Europe/Berlin", "company", "/company/plant"),
        Site("yard", None, "Asia/Kolkata", "plant", "/company/plant/yard"),
    ]


def test_sites_that_are_parts_of_each_other_have_paths_that_end() -> None:
    """A circle names each of its sites once, and its zone is the nearest one in it."""
    rows = [
        {"site_id": "a", "name": None, "zone": None, "parent_id": "b"},
        {"site_id": "b", "name": None, "zone": "Asia/Tokyo", "parent_id": "a"},
    ]
    assert [(each.zone, each.path) for each in sites_of(rows)] == [("Asia/Tokyo", "/b/a"), ("Asia/Tokyo", "/a/b")]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b'{"model_id":"A","model_id":"B"}', "duplicate_key"), (b'{"site_id":["s"]}', "wrong_type"),
        (b'{"model_id":{"a":1}}', "wrong_type"), (b'{"site_id":12}', None),
    ],
)  # fmt: skip
def test_what_an_event_of_a_device_says_twice_or_as_a_list_is_refused(payload: bytes, reason: str | None) -> None:
    """As telemetry is; a number is taken as its text."""
    assert judge_event(payload).reason == reason
