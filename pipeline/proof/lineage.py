"""Tracing: from a gold row down to the messages behind it, and from a message up to the rows that it counts in.

Belongs here: which rows belong together, layer by layer, as a publication shows them. How a trace is printed belongs to
the command; nothing is computed anew here, rows are only looked up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from lake.reading.reader import Reader, open_reader
from lake.reading.site_periods import SITE_PERIODS, SitePeriod
from lake.records import publications
from lake.records.publications import Publication
from lake.slices import HOUR, day_of, slice_at
from lake.sql_text import quoted, quoted_name, quoted_names
from lake.tables.bronze import OF_TELEMETRY
from lake.tables.contracts import Table
from lake.tables.gold import (
    CALENDAR,
    DEVICE_COMPLETENESS,
    DEVICE_SILENCES,
    DEVICES,
    GOLD_TABLES,
    OF_LOCAL_DAYS,
    PLACES,
    SITE_DAYS,
    SITES,
)
from lake.tables.silver import SILVER_DEVICES, SILVER_REJECTED, SILVER_SITES, UNSLICED_SILVER
from pipeline.proof.lineage_kinds import carried_in, carried_into, metrics_in
from pipeline.proof.lineage_periods import days_of, periods_with
from pipeline.proof.lineage_readings import OFFSET, Models, readings_of
from pipeline.proof.lineage_sql import (
    Row,
    literal,
    local_day_of,
    rows_of,
    start_of,
    timestamp,
    within,
    within_local_day,
)
from pipeline.proof.lineage_verdicts import verdicts_on
from runtime.errors import UsageError
from runtime.settings import Settings

_NOT_COUNTING = (DEVICES, DEVICE_SILENCES, *PLACES)
"""Gold in which no reading counts."""
_A_MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True)
class MessageTrace:
    """What became of a record: its row in silver (and the table's name), and the gold rows that it counts in.

    `why_not` says why it counts in none, or not in all that it would.
    """

    message: Row
    table: str | None = None
    row: Row | None = None
    gold: tuple[tuple[str, Row], ...] = ()
    why_not: str | None = None


@dataclass(frozen=True)
class RowTrace:
    """Where a published gold row comes from: the readings and refused records of its period, and its verdicts.

    `registry` are the device's records in `silver.devices`, of a row of `gold.devices` alone; of a row of `gold.sites`
    or `gold.calendar` the declarations in `silver.sites`. A week or month of a site has no readings here but the `days`
    that it adds up, rows of `gold.site_days`, each of which can be traced to its own.
    """

    table: str
    row: Row
    publication: Publication
    readings: tuple[Row, ...] = ()
    refused: tuple[Row, ...] = ()
    registry: tuple[Row, ...] = ()
    verdicts: tuple[Row, ...] = field(default=())
    days: tuple[Row, ...] = ()


def trace_message(settings: Settings, models: Models, topic: str, partition: int, offset: int) -> MessageTrace:
    """Follow a Kafka record up. Raises UsageError when bronze does not have it."""
    place = f'topic = {quoted(topic)} AND "partition" = {partition} AND "offset" = {offset}'
    with open_reader(settings, models) as reader:
        message = _message(reader, topic, place, partition, offset)
        table, row = _silver_row(reader, models, message, place)
        publication = reader.publication
    if table is None or row is None:
        return MessageTrace(message, why_not="silver has not come to it yet: `lakehouse ingest`")
    if table == SILVER_REJECTED.name:
        return MessageTrace(message, table, row, why_not=f"rejected, {row['reason']}: {row['detail'] or 'no detail'}")
    if table in (SILVER_DEVICES.name, SILVER_SITES.name):
        with open_reader(settings, models) as reader:
            gold = _published_as(reader, row, DEVICES if table == SILVER_DEVICES.name else SITES)
        return MessageTrace(message, table, row, gold, "a lifecycle record is no reading; it places and dates them")
    if publication is None:
        return MessageTrace(message, table, row, why_not="nothing has been published yet: `lakehouse refresh`")
    slice_ = slice_at(row["event_date"], row["event_hour"])
    held = {str(entry["slice"]) for entry in publication.held}
    if slice_ in held:
        return MessageTrace(message, table, row, why_not=f"its hour {slice_} is held: see `lakehouse status`")
    with open_reader(settings, models, as_of=publication.publication_id) as past:
        day = f"event_date = DATE '{row['event_date']}' AND {place}"
        if table not in past.existing() or not rows_of(past, f"SELECT 1 AS one FROM {table} WHERE {day}"):
            return MessageTrace(message, table, row, why_not=f"its hour {slice_} is stale: `lakehouse refresh`")
        gold = tuple(_gold_rows(past, models, row))
    day_waits = day_of(slice_) in {day_of(each) for each in held}
    why_not = f"{day_of(slice_)} has a held hour and is not rebuilt" if day_waits else None
    return MessageTrace(message, table, row, gold, why_not)


def trace_row(
    settings: Settings, models: Models, table_name: str, key: Mapping[str, str], as_of: int | None = None
) -> RowTrace:
    """Follow a row of gold, or of a view of weeks or months, down, as the newest publication has it or the one `as_of`;
    `key` names it by its columns.

    Raises UsageError when it names none or many, or when there is no such publication.
    """
    every = (*GOLD_TABLES, *SITE_PERIODS)
    table = next((each for each in every if table_name in (each.name, each.name.removeprefix("gold."))), None)
    if table is None:
        raise UsageError(f"{table_name} is no table of gold; these are: {', '.join(each.name for each in every)}.")
    publication = publications.newest(settings) if as_of is None else publications.get(settings, as_of)
    if publication is None:
        raise UsageError("Nothing has been published yet: `lakehouse refresh` ingests what waits and publishes it.")
    with open_reader(settings, models, as_of=publication.publication_id) as reader:
        row = _one(reader, table, key)
        if isinstance(table, SitePeriod):
            days = days_of(reader, table, row)
            verdicts = [
                each for day in days for each in verdicts_on(reader, SITE_DAYS.name, [str(day["day_date"])], [])
            ]
            verdicts += verdicts_on(reader, CALENDAR.name, ["all"], [])
            return RowTrace(table.name, row, publication, days=tuple(days), verdicts=tuple(verdicts))
        start = None if table.period is None else start_of(row[table.period.column])
        period = "false" if table.period is None or start is None else within(start, table.period.length)
        if table in OF_LOCAL_DAYS:
            period = within_local_day(row)
        readings = [] if table in PLACES else readings_of(reader, models, row, period, table)
        for series, carried in reversed(carried_in(reader, table, row)):  # of several of that moment the last
            readings = [*readings_of(reader, models, series, within(carried, _A_MOMENT), table)[-1:], *readings]
        refused: list[Row] = []
        registry = _registry(reader, table, row)
        if table == DEVICE_COMPLETENESS and SILVER_REJECTED.name in reader.existing():
            columns = quoted_names((*OFFSET, "event_at", "reason", "detail"))
            of_device = f"{period} AND {OF_TELEMETRY} AND device_id = {quoted(row['device_id'])}"
            refused = rows_of(reader, f"SELECT {columns} FROM silver.rejected WHERE {of_device} ORDER BY event_at")
        slices = ["all"] if start is None else [f"{start:%Y-%m-%dT%H}", f"{start:%Y-%m-%d}", "all"]
        silver = {str(each["silver_table"]) for each in readings}
        silver |= {SILVER_SITES.name if table in PLACES else SILVER_DEVICES.name} if registry else set()
        verdicts = verdicts_on(reader, table.name, slices, sorted(silver))
    return RowTrace(table.name, row, publication, tuple(readings), tuple(refused), tuple(registry), tuple(verdicts))


def _registry(reader: Reader, table: Table, row: Row) -> list[Row]:
    """The records of a device or site over time, each with the lifecycle message that it came in; of a day in a
    calendar the declarations of its zone."""
    kinds = {DEVICES: (SILVER_DEVICES, "device_id"), SITES: (SILVER_SITES, "site_id"), CALENDAR: (SILVER_SITES, "zone")}
    of, key = kinds.get(table, (None, ""))
    if of is None or of.name not in reader.existing():
        return []
    columns = quoted_names(of.column_names)
    order = "valid_from" if of == SILVER_DEVICES else "declared_at"
    return rows_of(reader, f"SELECT {columns} FROM {of.name} WHERE {key} = {quoted(row[key])} ORDER BY {order}")


def _published_as(reader: Reader, record: Row, table: Table) -> tuple[tuple[str, Row], ...]:
    """The rows of `gold.devices` or `gold.sites` that a lifecycle record has a part in."""
    if reader.publication is None or table.name not in reader.existing():
        return ()
    (key,) = table.key
    found = rows_of(reader, f"SELECT * FROM {table.name} WHERE {key} = {quoted(record[key])}")
    return tuple((table.name, row) for row in found)


def _message(reader: Reader, topic: str, place: str, partition: int, offset: int) -> Row:
    name = f"bronze.{topic.partition('#')[0]}"
    if name not in reader.existing():
        raise UsageError(f"There is no {name}: messages are named TOPIC:PARTITION:OFFSET, as telemetry:0:17.")
    found = rows_of(reader, f"SELECT * FROM {name} WHERE {place}")
    if not found:
        last = rows_of(reader, f'SELECT max("offset") AS last FROM {name} WHERE "partition" = {partition}')[0]["last"]
        has = "nothing" if last is None else f"records up to {last}"
        raise UsageError(f"bronze has no {topic}:{partition}:{offset}; of partition {partition} it has {has}.")
    return found[0]


def _silver_row(reader: Reader, models: Models, message: Row, place: str) -> tuple[str | None, Row | None]:
    """The one row of silver that the record became; it counts at measured_at or received_at, so on two days at most."""
    existing = set(reader.existing())
    days = sorted({message[name].astimezone(UTC).date() for name in ("measured_at", "received_at") if message[name]})
    names = [SILVER_REJECTED.name, *sorted({model.table for model in models.values()})]
    for name in (each for each in names if each in existing):
        for day in days:
            found = rows_of(reader, f"SELECT * FROM {name} WHERE event_date = DATE '{day}' AND {place}")
            if found:
                return name, found[0]
    for name in (table.name for table in UNSLICED_SILVER if table.name in existing):
        found = rows_of(reader, f"SELECT * FROM {name} WHERE {place}")
        if found:
            return name, found[0]
    return None, None


def _gold_rows(reader: Reader, models: Models, reading: Row) -> list[tuple[str, Row]]:
    """The published rows that a reading counts in, table by table; last of a table those that begin with it."""
    existing = set(reader.existing())
    found: list[tuple[str, Row]] = []
    for table in (each for each in GOLD_TABLES if each not in _NOT_COUNTING and each.name in existing):
        metrics = metrics_in(models, table, reading)
        where = _counts_in(table, metrics, reading)
        rows = rows_of(reader, f"SELECT * FROM {table.name} WHERE {where} ORDER BY ALL")
        rows += [row for row in carried_into(reader, table, metrics, reading) if row not in rows]
        found += [(table.name, row) for row in rows]
    return found + [each for name, row in found if name == SITE_DAYS.name for each in periods_with(reader, row)]


def _counts_in(table: Table, metrics: Sequence[tuple[str, str]], reading: Row) -> str:
    """The rows of a gold table that a reading counts in, by what the table says of its slices, period and key."""
    terms: list[str] = []
    in_hour = f"event_date = DATE '{reading['event_date']}' AND event_hour = {reading['event_hour']}"
    device = f"device_id = {quoted(reading['device_id'])}"
    if table in OF_LOCAL_DAYS:
        terms.append(local_day_of(reading["event_at"]))
    elif table.sliced_by is not None:
        terms.append(in_hour if table.sliced_by == "hour" else f"event_date = DATE '{reading['event_date']}'")
    if "device_id" in table.key:
        terms.append(device)
    if "metric_name" in table.key:
        names = ", ".join(f"({quoted(name)}, {quoted(unit)})" for name, unit in metrics)
        terms.append(f"(metric_name, unit) IN ({names})" if names else "false")
    if "site_id" in table.key:
        site = f"SELECT any_value(site_id) FROM gold.device_hours WHERE {in_hour} AND {device}"
        terms.append(f"site_id = coalesce(({site}), 'unknown')")
    if table.period is not None and table.period.length < HOUR:
        at = reading["event_at"].astimezone(UTC)
        begin = at - (at - datetime(1970, 1, 1, tzinfo=UTC)) % table.period.length
        terms.append(f"{table.period.column} = {timestamp(begin)}")
    return " AND ".join(terms)


def _one(reader: Reader, table: Table | SitePeriod, key: Mapping[str, str]) -> Row:
    types = {column.name: column.type for column in table.columns}
    unknown = sorted(set(key) - set(types))
    if unknown or not key:
        raise UsageError(f"Name a row of {table.name} by {', '.join(f'{name}=…' for name in table.key)}"
                         + (f"; there is no column {unknown[0]}." if unknown else "."))  # fmt: skip
    terms = {name: f"{quoted_name(name)} = {literal(name, types[name], text)}" for name, text in key.items()}
    where = " AND ".join(terms.values())
    found = rows_of(reader, f"SELECT * FROM {table.name} WHERE {where} ORDER BY ALL LIMIT 2")
    if not found:
        raise UsageError(
            f"Publication {_id(reader)} has no row of {table.name} where {_shown(key)}{_why(reader, table, terms)}."
        )
    if len(found) > 1:
        missing = ", ".join(name for name in table.key if name not in key)
        raise UsageError(f"Several rows of {table.name} have {_shown(key)}: name one, by {missing or 'its key'} too.")
    return found[0]


def _why(reader: Reader, table: Table | SitePeriod, terms: Mapping[str, str]) -> str:
    """Which text of a row's name stands in no row of the table, and what lists those that do."""
    texts = {column.name for column in table.columns if column.type == "string"}
    for name, term in terms.items():
        if name in texts and not rows_of(reader, f"SELECT 1 AS one FROM {table.name} WHERE {term} LIMIT 1"):
            list_them = f'`lakehouse sql "SELECT DISTINCT {name} FROM {table.name}"`'
            return f": no row has that {name}; {list_them} lists those that are there"
    return ""


def _shown(key: Mapping[str, str]) -> str:
    return ", ".join(f"{name} is {text}" for name, text in key.items())


def _id(reader: Reader) -> int | None:
    return None if reader.publication is None else reader.publication.publication_id
