"""Known readings: values of messages that are about to be sent, which silver has, or will have, in other messages.

Belongs here: the question that is asked of silver, and of what waits for it, before anything is sent. A reading is
known by its device, its time and the telemetry that it has a value of; one with a value more is another message, which
would bring all the others once more. What is to be sent, and what follows, is for who sends it.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

import duckdb
import pyarrow as pa

from lake.models.catalog import Model, Telemetry, silver_tables
from lake.sql_text import quoted, quoted_names
from lake.storage.delta import open_table
from lake.storage.duckdb_connection import connect, scan
from lake.storage.locations import table_uri
from runtime.settings import Settings
from wire.envelope import DATASCHEMA, ID, SUBJECT, TIME, Message, header, rfc3339
from wire.times import micros_of_rfc3339

_BATCH = 50_000
_SENT = pa.schema(
    {"device_id": pa.string(), "message_id": pa.string(), "micros": pa.int64(), "names": pa.list_(pa.string())}
)
_WAITING = _SENT.append(pa.field("is_of_model", pa.bool_()))
# a message that its table has itself is a repeat, whatever else is there
_AGAIN = """
    SELECT count(DISTINCT (device_id, micros)), min(micros), arg_min(s.device_id, micros),
        arg_min(list_sort(list_intersect(s.names, k.names)), micros)
    FROM sent s JOIN known k USING (device_id, micros)
    WHERE len(list_intersect(s.names, k.names)) > 0 AND NOT EXISTS (
        FROM known o WHERE o.is_of_model
            AND (o.device_id, o.micros, o.message_id) = (s.device_id, s.micros, s.message_id))"""


@dataclass(frozen=True)
class Outgoing:
    """Messages that are about to be sent, of one model: what they have values of, of which devices and times.

    `messages` begins with the first of them each time that it is called.
    """

    model: Model
    telemetry: tuple[Telemetry, ...]
    devices: tuple[str, ...]
    first: datetime
    last: datetime
    messages: Callable[[], Iterable[Message]]


@dataclass(frozen=True)
class KnownValues:
    """How many readings would come again, and of the first of them the device, the time and the names."""

    count: int
    device_id: str
    at: datetime
    names: tuple[str, ...]


def known_values(settings: Settings, models: Mapping[str, Model], outgoing: Outgoing) -> KnownValues | None:
    """What silver has of the same devices and times, and would have a second time; None where nothing."""
    tables = _tables(settings, models, outgoing)
    if not tables:
        return None
    with connect(settings) as connection:
        connection.register("devices", pa.table({"device_id": list(map(sendable, outgoing.devices))}))
        _read(connection, tables, outgoing.first, outgoing.last)
        return _found(connection, outgoing)


def _found(connection: duckdb.DuckDBPyConnection, outgoing: Outgoing) -> KnownValues | None:
    if not connection.sql("FROM known LIMIT 1").fetchall():
        return None
    _write(connection, "sent", _SENT, _rows(outgoing))
    ((count, micros, device, names),) = connection.sql(_AGAIN).fetchall()
    at = datetime.fromisoformat("1970-01-01T00:00:00Z") + timedelta(microseconds=micros or 0)
    return KnownValues(count, device, at, tuple(names)) if count else None


def waiting_values(models: Mapping[str, Model], outgoing: Outgoing, waiting: Iterable[Message]) -> KnownValues | None:
    """The same of what messages have that wait for silver, as if it would refuse none of them."""
    with duckdb.connect() as connection:
        _write(connection, "known", _WAITING, _waiting_rows(models, outgoing, waiting))
        return _found(connection, outgoing)


def _waiting_rows(
    models: Mapping[str, Model], outgoing: Outgoing, waiting: Iterable[Message]
) -> Iterator[dict[str, object]]:
    # as they are sent
    first, last = micros_of_rfc3339(rfc3339(outgoing.first)), micros_of_rfc3339(rfc3339(outgoing.last))
    assert first is not None
    assert last is not None
    for message in waiting:
        micros = micros_of_rfc3339(_text(message, TIME))
        if micros is None or not first <= micros <= last:
            continue
        row = _waiting_row(message, models, outgoing)
        if row is not None:
            yield row


def _waiting_row(message: Message, models: Mapping[str, Model], outgoing: Outgoing) -> dict[str, object] | None:
    """What a message will be in silver; None of one that will be no reading."""
    # one that names no model is taken for one of theirs
    model = models.get(_text(message, DATASCHEMA) or outgoing.model.model_id)
    columns = set() if model is None else {(each.component, each.json_path, each.column) for each in model.telemetry}
    telemetry = [each for each in outgoing.telemetry if (each.component, each.json_path, each.column) in columns]
    try:
        row = _row(message, telemetry)
    except (ValueError, RecursionError):
        return None
    return None if row is None else row | {"is_of_model": model == outgoing.model}


def _tables(settings: Settings, models: Mapping[str, Model], outgoing: Outgoing) -> dict[str, str]:
    """What to read of each silver table that has a telemetry of them: the names of those that a reading has, and
    whether the table is that of their model."""
    found = {}
    for name in silver_tables(models.values()):
        opened = open_table(settings, name)
        there = set() if opened is None else {field.name for field in opened.schema().fields}
        names = ", ".join(
            f"CASE WHEN {quoted_names([each.column])} IS NOT NULL THEN {quoted(each.metric_name)} END"
            for each in outgoing.telemetry
            if each.column in there
        )
        if opened is not None and names:
            source = scan(table_uri(settings, name), opened.version())
            is_of_model = f"{name == outgoing.model.table} AS is_of_model"
            found[name] = f"list_filter([{names}], lambda n: n IS NOT NULL) AS names, {is_of_model} FROM {source}"
    return found


def _read(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, str], first: datetime, last: datetime) -> None:
    # a table partitioned by day skips the files of others by constants alone
    where = f"""event_date BETWEEN DATE '{first:%Y-%m-%d}' AND DATE '{last:%Y-%m-%d}'
        AND device_id IN (FROM devices)"""
    parts = [f"SELECT device_id, message_id, epoch_us(measured_at) AS micros, {each} WHERE {where}"
             for each in tables.values()]  # fmt: skip
    connection.execute(f"CREATE TEMP TABLE known AS {' UNION ALL '.join(parts)}")


def _write(
    connection: duckdb.DuckDBPyConnection, table: str, schema: pa.Schema, rows: Iterator[dict[str, object]]
) -> None:
    """A new table of rows, of which Python holds a batch at a time."""
    connection.register("empty", schema.empty_table())
    connection.execute(f"CREATE TEMP TABLE {table} AS FROM empty")
    while batch := list(islice(rows, _BATCH)):
        connection.register("batch", pa.Table.from_pylist(batch, schema))
        connection.execute(f"INSERT INTO {table} FROM batch")
        connection.unregister("batch")


def _rows(outgoing: Outgoing) -> Iterator[dict[str, object]]:
    for message in outgoing.messages():
        row = _row(message, outgoing.telemetry)
        if row is not None:
            yield row


def _row(message: Message, telemetry: Iterable[Telemetry]) -> dict[str, object] | None:
    """What is asked by; None of a message without a device or a time. Raises ValueError for one that is no JSON."""
    micros = micros_of_rfc3339(_text(message, TIME))
    if message.key is None or micros is None:
        return None
    return {
        "device_id": message.key.decode("utf-8", "replace"),
        "message_id": _text(message, ID),
        "micros": micros,
        "names": _names(message, telemetry),
    }


def _names(message: Message, telemetry: Iterable[Telemetry]) -> list[str]:
    component, payload = _text(message, SUBJECT) or None, json.loads(message.value)
    return [each.metric_name for each in telemetry if each.component == component and _is_in(payload, each.json_path)]


def _is_in(payload: object, path: tuple[str, ...]) -> bool:
    for name in path:
        payload = payload.get(name) if isinstance(payload, dict) else None
    return payload is not None


def sendable(device_id: str) -> str:
    """Half of a character has no bytes, and no reading is of a device that is called so."""
    return device_id.encode("utf-8", "replace").decode()


def _text(message: Message, name: str) -> str:
    return (header(message, name) or b"").decode("utf-8", "replace")
