"""Hot reconciliation: the hot path's final minutes against published gold, hour by hour, into `ops.hot_reconciliation`.

Belongs here: which hours are compared, and the one commit that has their rows and how far the topic was read. What
counts as an explanation is in `transforms.hot_differences`, its evidence is gathered in `hot_evidence`.

An hour is compared when the hot path has told minutes of it, again when gold of it was published anew, and as long as
something in it waits. So what is told in the end is what holds in the end, and a step that is killed is done again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import duckdb
import pyarrow as pa

from ingestion.kafka_offsets import broker_offsets
from lake.column_types import duckdb_type
from lake.records import publications
from lake.records.publications import Publication
from lake.slices import HOUR_MICROS, predicate
from lake.sql_text import Relation, quoted_names
from lake.storage.delta import (
    HOOKS,
    WRITER,
    arrow_schema,
    canonical_json,
    newest_metadata,
    open_table,
    read_rows,
    replace,
    version_of,
)
from lake.storage.duckdb_connection import connect, scan
from lake.storage.lease import ensure_held
from lake.storage.locations import table_uri
from lake.tables.gold import DEVICE_MINUTES
from lake.tables.ops import OPS_HOT_RECONCILIATION
from pipeline.proof.hot_evidence import Evidence
from pipeline.proof.hot_topic import reached_us, read_windows
from pipeline.run import Run
from runtime.errors import LandingZoneError
from runtime.settings import Settings
from runtime.wording import counted
from transforms.hot_differences import FIGURES, UNEXPLAINED, compared, explained
from wire.hot_topics import WINDOWS

_TABLE = OPS_HOT_RECONCILIATION
_KEPT = timedelta(days=7)
_WAITS, _HELD = "waits", "held"
_COLUMNS = quoted_names(_TABLE.column_names)
_HOT_TYPES = """{"window": "VARCHAR", "is_final": "BOOLEAN", "device_id": "VARCHAR", "metric_name": "VARCHAR",
    "unit": "VARCHAR", "window_start": "TIMESTAMPTZ", "window_end": "TIMESTAMPTZ", "corrected_until": "TIMESTAMPTZ",
    "as_of": "TIMESTAMPTZ", "reading_count": "BIGINT", "value_min": "DOUBLE", "value_max": "DOUBLE",
    "value_mean": "DOUBLE", "value_last": "DOUBLE", "inputs": "JSON", "read_from": "JSON"}"""
_TOLD = f"""
    WITH windows AS (SELECT unnest(json_transform(decode(value), '{_HOT_TYPES}')) FROM told)
    SELECT device_id, metric_name, unit, epoch_us(window_start) AS minute_us, {", ".join(FIGURES)},
        epoch_us(corrected_until) AS closed_us, inputs::VARCHAR AS inputs, read_from::VARCHAR AS read_from
    FROM windows WHERE "window" = 'device_minutes' AND is_final AND window_end - window_start = INTERVAL 1 MINUTE
        AND device_id IS NOT NULL AND metric_name IS NOT NULL AND unit IS NOT NULL AND value_mean IS NOT NULL
        AND corrected_until IS NOT NULL"""


@dataclass(frozen=True)
class HotReport:
    """Minutes by cause in the hours that were compared."""

    hours: tuple[str, ...] = ()
    minutes: Mapping[str, int] = field(default_factory=dict)


def reconcile_hot(run: Run, bootstrap: str) -> HotReport:
    """Read what the hot path told since, and compare the hours concerned; the caller holds the lease.

    Raises PlatformError when the broker does not answer, StepError when the rows cannot be stored.
    """
    settings = run.settings
    said = _said(settings)
    # gold first: what was published later is compared the next time
    published = publications.newest(settings)
    # and what was told last: the records are then those of all that was read
    reached = max(reached_us(bootstrap), int(said.get("reached_us", 0)))
    records = read_windows(bootstrap, {int(p): offset for p, offset in said.get("windows", {}).items()})
    with connect(settings) as connection:
        connection.register("told", pa.table({"value": pa.array(records.values, pa.binary())}))
        connection.execute(f"CREATE TABLE new_told AS {_TOLD}")
        hours = _hours(connection, settings, said, published)
        if not hours:
            return HotReport()
        run.progress(
            f"{counted(len(records.values), 'record')} of the hot path, {counted(len(hours), 'hour')} to compare"
        )
        _compare(connection, run, published, hours, reached)
        rows = connection.execute(f"SELECT {_COLUMNS} FROM compared").to_arrow_table().cast(arrow_schema(_TABLE))
        metadata = {
            "step": "hot reconciliation",
            "run_id": run.run_id,
            "windows": {**said.get("windows", {}), **{str(p): offset for p, offset in records.offsets.items()}},
            "reached_us": reached,
            "publication_id": None if published is None else published.publication_id,
        }
        replace(settings, _TABLE, rows.to_reader, predicate(hours), metadata)
        counts = connection.execute("SELECT cause, count(*) FROM compared GROUP BY ALL ORDER BY ALL").fetchall()
    _let_go(run)
    return HotReport(tuple(hours), dict(counts))


def news_of(settings: Settings, bootstrap: str) -> str | None:
    """What there is to compare, as a text that is the same while it is the same; None when that was compared.

    Raises PlatformError.
    """
    published = publications.newest(settings)
    try:
        ends = {str(p): end for p, (_, end) in broker_offsets(bootstrap, WINDOWS).items()}
    except LandingZoneError:  # no hot path ever ran
        return None
    said = _said(settings)
    publication_id = None if published is None else published.publication_id
    if not any(ends.values()) or (said.get("windows") == ends and said.get("publication_id") == publication_id):
        return None
    return canonical_json({"windows": ends, "publication_id": publication_id})


def unexplained(settings: Settings) -> list[Mapping[str, Any]]:
    """The minutes that nothing explains, in their order."""
    opened = open_table(settings, _TABLE.name)
    rows = [] if opened is None else read_rows(opened, f"cause = '{UNEXPLAINED}'")
    return sorted(rows, key=lambda row: (row["minute_at"], row["device_id"], row["metric_name"]))


def _said(settings: Settings) -> Mapping[str, Any]:
    found = newest_metadata(settings, _TABLE.name, "windows")
    return {} if found is None else found[1]


def _hours(connection: duckdb.DuckDBPyConnection, settings: Settings, said: Mapping[str, Any],
           published: Publication | None) -> list[str]:  # fmt: skip
    """The hours to compare: of what was told now, of what waits, and of what was published since."""
    spelt = "strftime({}, '%Y-%m-%dT%H')"
    found = {row[0] for row in connection.execute(
        f"SELECT DISTINCT {spelt.format('make_timestamp(minute_us)')} FROM new_told").fetchall()}  # fmt: skip
    version = version_of(settings, _TABLE.name)
    connection.execute(f"CREATE VIEW before AS {_before(settings, version)}")
    if version is None:
        return sorted(found)
    known = dict(connection.execute(
        f"""SELECT {spelt.format("make_timestamp(epoch_us(minute_at))")}, bool_or(cause IN ('{_WAITS}', '{_HELD}'))
        FROM before GROUP BY ALL""").fetchall())  # fmt: skip
    seen = said.get("publication_id")
    if published is not None and seen != published.publication_id:
        since = [p for p in publications.list_all(settings) if p.publication_id > (seen or 0)]
        found |= {slice_ for each in since for slice_ in each.slices} & known.keys()
        found |= {hour for hour, waits in known.items() if waits}
    return sorted(found | ({hour for hour, waits in known.items() if waits} if found else set()))


def _before(settings: Settings, version: int | None) -> str:
    if version is None:
        return f"SELECT {', '.join(f'NULL::{duckdb_type(c.type)} AS {c.name}' for c in _TABLE.columns)} WHERE false"
    return f"FROM {scan(table_uri(settings, _TABLE.name), version)}"


def _compare(connection: duckdb.DuckDBPyConnection, run: Run, published: Publication | None, hours: list[str],
             reached: int) -> None:  # fmt: skip
    """Make `compared`, the rows of the hours."""
    evidence = Evidence(connection, run.settings, run.models, published)
    earlier = ", ".join(f"hot_{name} AS {name}" for name in FIGURES)
    connection.execute(f"""
        CREATE TABLE hot AS
        WITH all_told AS (
            SELECT * FROM new_told UNION ALL
            SELECT device_id, metric_name, unit, epoch_us(minute_at) AS minute_us, {earlier},
                epoch_us(closed_at) AS closed_us, inputs, read_from
            FROM before WHERE ({predicate(hours)}) AND hot_reading_count IS NOT NULL)
        SELECT * FROM all_told QUALIFY row_number() OVER (PARTITION BY device_id, metric_name, unit, minute_us
            ORDER BY reading_count DESC) = 1""")
    connection.execute(f"CREATE TABLE gold AS {_gold(run.settings, published, hours)}")
    connection.execute(f"CREATE TABLE sides AS {compared(Relation('hot'), Relation('gold'), reached)}")
    evidence.gather("sides", hours)
    # where Kafka had let go of records unread, the hot path says a later offset from then on
    connection.execute(
        "CREATE TABLE read_from AS "
        "WITH entries AS (SELECT unnest(map_entries(read_from::JSON::MAP(VARCHAR, BIGINT))) AS e FROM hot) "
        'SELECT e.key::INTEGER AS "partition", max(e.value) AS first_offset FROM entries GROUP BY ALL'
    )
    # several processes may tell a minute at different moments; what waits is asked again
    connection.execute(f"CREATE TABLE settled AS SELECT *, {evidence.wait_of()} AS wait FROM sides")
    connection.execute(
        "CREATE TABLE differing AS SELECT * EXCLUDE (wait) FROM settled WHERE NOT agrees AND wait IS NULL"
    )
    named = map(Relation, ("differing", "candidates", "registry_events", "read_from"))
    connection.execute(f"CREATE TABLE causes AS {explained(*named)}")
    sides = ", ".join(f"{side}_{name}" for side in ("hot", "gold") for name in FIGURES)
    connection.execute(f"""
        CREATE TABLE compared AS SELECT device_id, metric_name, unit, make_timestamptz(minute_us) AS minute_at,
            make_timestamp(minute_us)::DATE AS event_date, (minute_us // {HOUR_MICROS} % 24)::INTEGER AS event_hour,
            CASE WHEN agrees THEN 'agrees' ELSE coalesce(wait, cause, '{UNEXPLAINED}') END AS cause,
            TIMESTAMPTZ '{run.now.isoformat()}' AS compared_at,
            {"NULL" if published is None else published.publication_id}::BIGINT AS publication_id,
            CASE WHEN NOT agrees THEN detail END AS detail, make_timestamptz(closed_us) AS closed_at, inputs, read_from,
            {sides}
        FROM settled LEFT JOIN causes USING (device_id, metric_name, unit, minute_us)""")


def _gold(settings: Settings, published: Publication | None, hours: list[str]) -> str:
    version = None if published is None else published.tables.get(DEVICE_MINUTES.name)
    figures = ", ".join(FIGURES)
    if version is None:
        return f"SELECT device_id, metric_name, unit, minute_us, {figures} FROM hot LIMIT 0"
    return f"""SELECT device_id, metric_name, unit, epoch_us(minute_at) AS minute_us, {figures}
        FROM {scan(table_uri(settings, DEVICE_MINUTES.name), version)} WHERE {predicate(hours)}"""


def _let_go(run: Run) -> None:
    """Rows that agree go after a week; what differed stays."""
    day = (run.now - _KEPT).date()
    opened = open_table(run.settings, _TABLE.name)
    if opened is not None and any(str(row["event_date"]) == str(day) for row in opened.partitions()):
        ensure_held(run.settings)
        opened.delete(
            f"event_date <= DATE '{day}' AND cause = 'agrees'",
            writer_properties=WRITER,
            post_commithook_properties=HOOKS,
        )
