"""Erasure: the rows of a device leave every layer, every old version, file and log, and a scan proves it.

Belongs here: the order of the steps. Certificates are in `lake.records.erasures`, what names a device in
`pipeline.erasure.mentions`, old files in `lake.storage.log_files`, those of the home in `pipeline.erasure.home_files`;
taking the rows out of the tables that Spark writes is in `pipeline.erasure.rows`.

The order keeps readers on a whole publication, and lets a killed erasure be gone on with by running it again:

1. everything that waits in Kafka comes in, so that what is erased is all there is
2. silver, then bronze: rows leave by ordinary commits that name the slices they touch
3. gold is rebuilt, judged and published as after any change; where that cannot be, the rows of the device are taken
   out of what was published; from here on no reader sees the device
4. older publications are withdrawn, then old files and log entries go; each stands in the certificate first
5. every file that is left is read, and the certificate is closed
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import pyarrow as pa
from pyspark.sql import SparkSession

from ingestion.landing_topics import LIFECYCLE, LIFECYCLE_RETENTION_DAYS, TELEMETRY, TELEMETRY_RETENTION_DAYS
from ingestion.purge import purge
from lake.records import erasures, gold_hashes, publications
from lake.records.erasures import Erasure
from lake.records.publications import Publication
from lake.sql_text import quoted
from lake.storage.delta import (
    HOOKS,
    WRITER,
    arrow_schema,
    ensure_table,
    open_table,
    read_rows,
    replace,
    require_table,
    roll_back,
)
from lake.storage.duckdb_connection import connect, scan
from lake.storage.lake_files import LakeFiles
from lake.storage.lease import ensure_held, writer_lease
from lake.storage.locations import table_uri
from lake.storage.log_files import checkpoint, superseded
from lake.tables.contracts import Table
from lake.tables.gold import GOLD_TABLES
from lake.tables.ops import OPS_HOT_RECONCILIATION, OPS_PUBLICATIONS, OPS_VERDICTS
from pipeline.erasure.home_files import clean_home, home_files
from pipeline.erasure.hot_state import check_hot_state, delete_hot_state
from pipeline.erasure.mentions import Mentions
from pipeline.erasure.rows import erase_rows
from pipeline.gold.gold_refresh import publish_stale
from pipeline.maintenance import every_table
from pipeline.proof.verification import lake_beside
from pipeline.run import Run
from pipeline.silver.tick import fill_silver, ingest
from runtime.errors import StepError
from runtime.settings import Settings
from runtime.wording import counted

_KAFKA_STAYS = (
    f"Kafka still has the device's messages, {TELEMETRY} up to {TELEMETRY_RETENTION_DAYS} days and {LIFECYCLE} up to "
    f"{LIFECYCLE_RETENTION_DAYS}. Bronze goes on behind them and does not read them again."
)
_SHOWN = 5
_OF_DEVICES = tuple(table for table in GOLD_TABLES if "device_id" in table.column_names)


@dataclasses.dataclass(frozen=True)
class Request:
    """Which device is to be erased, who asked for it, and why."""

    device_id: str
    who: str
    why: str


def erase(
    run: Run,
    spark: SparkSession,
    bootstrap: str,
    request: Request,
    *,
    clock: Callable[[], datetime],
    purges_kafka: bool,
) -> Erasure:
    """Erase a device; returns its certificate, which is closed (`finished_at`) when nothing names the device any more.

    `clock` says when that is. Raises UsageError when the lake has no row of it, LeaseError when others write for longer
    than the run waits.
    """
    settings, models, now, progress = run.settings, run.models, run.now, run.progress
    device_id, mentions = request.device_id, Mentions(request.device_id)
    # a verification copies bronze beside the lake: none may be under way, and what a killed one left goes
    check_hot_state(settings)
    with writer_lease(settings, "erasure", run.wait_s), lake_beside(settings):
        ingest(lambda: spark, run, bootstrap)
        fill_silver(lambda: spark, run)
        who, why = mentions.redacted(request.who), mentions.redacted(request.why)
        erasure = erasures.begin(settings, device_id, who=who, why=why, now=now)
        progress("rows of silver and bronze")
        erase_rows(spark, settings, models, device_id, erasure)
        _count_gold(settings, device_id, erasure)
        outcome = publish_stale(run)
        if outcome is not None and outcome.publication is not None:
            erasure.slices = sorted({*erasure.slices, *outcome.publication.slices})
        published = publications.newest(settings)
        if published is not None:
            published = _publish_without(settings, device_id, published, erasure, now)
        progress("verdicts and publications")
        _redact_verdicts(settings, mentions)
        _clear_reconciliation(settings, device_id)
        _withdraw(settings, mentions, published, erasure)
        for table in every_table(models):
            progress(f"old files of {table.name}")
            _delete_history(settings, table, published, erasure)
        erasure.kafka = _purge(settings, bootstrap) if purges_kafka else _KAFKA_STAYS
        progress("work files and logs")
        clean_home(settings, mentions)
        delete_hot_state(settings)
        progress("reading every file that is left")
        erasure.scan = scan_files(settings, mentions)
        erasure.finished_at = None if erasure.scan["naming"] else clock().isoformat()
        erasures.save(settings, erasure)
    return erasure


def refuse_if_named(done: Erasure) -> None:
    """Raises StepError, which does not name the device, when files still do."""
    naming = done.scan["naming"]
    if naming:
        more = f" and {len(naming) - _SHOWN} more" if len(naming) > _SHOWN else ""
        raise StepError(
            f"The device's rows are erased, and it is still named in {counted(len(naming), 'file')}: "
            f"{', '.join(naming[:_SHOWN])}{more}. Payloads of other devices may mention it. The certificate "
            "stays open: take those records or files out and run this again."
        )


def scan_files(settings: Settings, mentions: Mentions) -> dict[str, object]:
    """Read every file of the lake, and of the home's work, logs and models; how many, and which name the device."""
    files = LakeFiles(settings)
    count, size, naming = 0, 0, []
    for file in files.under():
        data = files.read(file.path)
        count, size = count + 1, size + len(data)
        if mentions.in_file(file.name, data):
            naming.append(file.path)
    for path in home_files(settings):
        data = path.read_bytes()
        count, size = count + 1, size + len(data)
        if mentions.in_file(path.name, data):
            naming.append(str(path))
    return {"files": count, "bytes": size, "naming": naming}


def _count_gold(settings: Settings, device_id: str, erasure: Erasure) -> None:
    """Note how many rows of published gold are the device's."""
    published = publications.newest(settings)
    for table, count in _published_rows(settings, device_id, published).items():
        before = published.tables[table] if published else 0
        erasure.tables.setdefault(table, {"rows_removed": count, "version_before": before})


def _published_rows(settings: Settings, device_id: str, published: Publication | None) -> dict[str, int]:
    pinned = {} if published is None else published.tables
    counts = {}
    with connect(settings) as connection:
        for table in _OF_DEVICES:
            if table.name in pinned:
                source = scan(table_uri(settings, table.name), pinned[table.name])
                found = connection.execute(f"SELECT count(*) FROM {source} WHERE device_id = ?", [device_id]).fetchone()
                counts[table.name] = int(found[0]) if found else 0
    return counts


def _publish_without(
    settings: Settings, device_id: str, published: Publication, erasure: Erasure, now: datetime
) -> Publication:
    """Take out what is left of the device in published gold, and publish that: rows of slices that could not be
    rebuilt, since they are held or final. Sums over devices stay there, and the certificate names the days.
    """
    left = [name for name, count in _published_rows(settings, device_id, published).items() if count]
    if not left:
        return published
    tables, condition = dict(published.tables), f"device_id = {quoted(device_id)}"
    days: set[str] = set()
    for table in (each for each in _OF_DEVICES if each.name in left):
        roll_back(settings, table, published.tables[table.name])
        opened = ensure_table(settings, table)
        if table.partition_by:
            days |= {str(row["event_date"]) for row in read_rows(opened, condition)}
        ensure_held(settings)
        opened.delete(condition, writer_properties=WRITER, post_commithook_properties=HOOKS)
        # the commit before has the id in its condition; this one names nothing, and is what the log will begin with
        opened.alter.set_table_properties({"delta.checkpointInterval": "50"})
        tables[table.name] = opened.version()
    erasure.not_rebuilt = sorted({*erasure.not_rebuilt, *days})
    erasures.save(settings, erasure)
    without = dataclasses.replace(
        published, publication_id=published.publication_id + 1, published_at=now, tables=tables, slices=()
    )
    gold_hashes.record(settings, without.publication_id, published.tables, tables)
    publications.record(settings, without)
    return without


def _redact_verdicts(settings: Settings, mentions: Mentions) -> None:
    """Verdicts tell in words what was found; days with one that names the device are written again without its id."""
    opened = open_table(settings, OPS_VERDICTS.name)
    rows = [] if opened is None else read_rows(opened)
    days = {row["checked_date"] for row in rows if _redacted(row, mentions) != row}
    for day in sorted(days):
        ours = [_redacted(row, mentions) for row in rows if row["checked_date"] == day]
        _write_again(settings, OPS_VERDICTS, ours, f"checked_date = DATE '{day}'")


def _clear_reconciliation(settings: Settings, device_id: str) -> None:
    """The device's minutes of the hot path go."""
    opened = open_table(settings, OPS_HOT_RECONCILIATION.name)
    condition = f"device_id = {quoted(device_id)}"
    if opened is not None and read_rows(opened, condition):
        ensure_held(settings)
        opened.delete(condition, writer_properties=WRITER, post_commithook_properties=HOOKS)
        # the commit before has the id in its condition; this one names nothing, and is what the log will begin with
        opened.alter.set_table_properties({"delta.checkpointInterval": "50"})


def _withdraw(settings: Settings, mentions: Mentions, published: Publication | None, erasure: Erasure) -> None:
    """Leave the newest publication alone, without the id in its texts. The certificate says it first."""
    opened = open_table(settings, OPS_PUBLICATIONS.name)
    if opened is None or published is None:
        return
    rows = read_rows(opened)
    ours = [row for row in rows if row["publication_id"] == published.publication_id]
    others = {row["publication_id"] for row in rows} - {published.publication_id}
    erasure.publication = published.publication_id
    erasure.withdrawn = sorted({*erasure.withdrawn, *others})
    erasures.save(settings, erasure)
    redacted = [_redacted(row, mentions) for row in ours]
    if others or redacted != ours:
        _write_again(settings, OPS_PUBLICATIONS, redacted, None)


def _write_again(settings: Settings, table: Table, rows: Sequence[Mapping[str, object]], where: str | None) -> None:
    columns = arrow_schema(table)
    replace(
        settings, table, lambda: pa.Table.from_pylist(list(rows), schema=columns).to_reader(), where,
        {"step": "erasure"},
    )  # fmt: skip


def _redacted(row: Mapping[str, object], mentions: Mentions) -> dict[str, object]:
    return {name: mentions.redacted(value) if isinstance(value, str) else value for name, value in row.items()}


def _delete_history(settings: Settings, table: Table, published: Publication | None, erasure: Erasure) -> None:
    """Delete what earlier versions consist of; the published version of a gold or silver table is the oldest left."""
    newest = open_table(settings, table.name)
    if newest is None:
        return
    pinned = {} if published is None else {**published.inputs, **published.tables}
    opened = require_table(settings, table.name, pinned.get(table.name))
    files = LakeFiles(settings)
    checkpoint(files, opened, table.name)
    old = superseded(files, table.name, opened, newest)
    known = {entry["path"] for entry in erasure.files}
    for file in old:
        if file.path not in known:
            digest = files.digest(file.path)[1]
            erasure.files.append({"path": file.path, "bytes": file.size_bytes, "sha256": digest})
    figures = erasure.tables.setdefault(table.name, {"rows_removed": 0, "version_before": newest.version()})
    figures["version_after"] = opened.version()
    erasures.save(settings, erasure)
    files.delete(file.path for file in old)


def _purge(settings: Settings, bootstrap: str) -> str:
    purged = purge(settings, bootstrap)
    at_most = "" if purged.is_exact else "up to "
    return (
        f"{at_most}{counted(purged.total, 'message')}, all that bronze has of every device, deleted from Kafka, whose "
        "own files let go of them segment by segment."
    )
