"""Judged batches: Kafka records to readings, by the same SQL and the same strict judge as silver.

Belongs here: a batch as bronze has it, the prepared statements of `transforms`, repeats among what is still open, and
readings a row a metric. Windows are made of them elsewhere.

The judging SQL is prepared once: planning it for each batch would cost more than judging 200 records.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import duckdb
import pyarrow as pa
from confluent_kafka import Message

from ingestion.kafka_records import FROM_RECORDS, records_of
from lake.column_types import duckdb_type
from lake.models.catalog import Model, silver_tables
from lake.sql_text import Relation, quoted, quoted_name
from lake.tables.bronze import BRONZE_TELEMETRY
from transforms.closer_look import CLOSER, looked_at
from transforms.packed import is_packed, messages_in, part_number
from transforms.payload import payloads_of
from transforms.readings import judged_telemetry, readings
from transforms.repeats import COLUMNS, IDENTITY, repeated_hashes, repeats
from transforms.strict_payload import Judgement, judge
from transforms.windows import ARRIVAL, MINUTE, OPEN_COLUMNS

_UNWANTED = "statistics_propagation,build_side_probe_side,join_order"
"""What DuckDB leaves out of plans, since they are made while tables are empty: that these stay so (issue 23704, mended
after 1.5.5), and which side of a join is the small one. That is the right one, as it is written here: a batch, to which
what is held is compared, and not the other way round."""
_CLEAR_AFTER, _CLEAR_ROWS = 16, 65_536
_LOOK_AFTER = 20


@dataclass(frozen=True)
class BatchCounts:
    """What a batch came to: records, readings by metric that count, refused records, repeats among these.

    `odd` are partition and offset of records of which no header could be read (see `records_of`).
    """

    records: int
    readings: int
    refused: int
    repeats: int
    odd: Sequence[tuple[int, int]] = ()


class JudgedBatches:
    """Judges batches in a DuckDB of its own; `new_readings` and `open_readings` are its tables of readings."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, models: Mapping[str, Model], types: Sequence[str] = ()
    ) -> None:
        connection.execute(f"SET disabled_optimizers = '{_UNWANTED}'")
        self._connection = connection
        self._models = models
        self._batches = self._rows = self._asked = 0
        self._oldest: dict[int, int] = {}
        self._empty: set[int] = set()
        self._judging = judged_telemetry(Relation("batch"), Relation("facts"), models, types)
        self._shapes = payloads_of(models.values())
        self._make_tables()
        self.prepare()

    def set_registry(self, facts: pa.Table, placements: pa.Table) -> None:
        """What judging needs of the registry (see `device_history.judging_facts`), and where devices stood when."""
        for name, rows in (("facts", facts), ("placements", placements)):
            self._connection.register("given", rows)
            self._connection.execute(f"DELETE FROM {name}")
            self._connection.execute(f"INSERT INTO {name} BY NAME FROM given")
            self._connection.unregister("given")

    def take(self, messages: Sequence[Message]) -> BatchCounts:
        """Judge the records; what counts is in `new_readings`, and in `open_readings` with what came before."""
        records, odd = records_of(messages)
        return replace(self.take_columns(records), odd=odd)

    def take_columns(self, records: pa.Table) -> BatchCounts:
        """The same of records as `records_of` gives them."""
        run = self._connection.execute
        run("DELETE FROM new_readings")
        if not records.num_rows:
            return BatchCounts(0, 0, 0, 0)
        self._clear(records.num_rows)
        self._insert("kafka_records", records, f"INSERT INTO batch {FROM_RECORDS}")
        packs = run("EXECUTE find_packs").to_arrow_table()
        if packs.num_rows:
            self._insert("parts", messages_in(packs), "INSERT INTO batch FROM parts")
        run("EXECUTE judge_records")
        waiting = run("EXECUTE find_waiting").to_arrow_table()
        if waiting.num_rows:
            (batch,) = waiting.combine_chunks().to_batches()
            self._insert(
                "found", pa.Table.from_batches([looked_at(batch, self._judge)]), "INSERT INTO closer FROM found"
            )
        run("EXECUTE find_repeats")
        for number in range(len(self._tables)):
            run(f"EXECUTE readings_{number}")
        run("EXECUTE remember")
        run(f"INSERT INTO open_readings SELECT *, {MINUTE} FROM new_readings")
        refused, again, metrics = run("EXECUTE counted").fetchone() or (0, 0, 0)
        if not self._empty.isdisjoint(records["partition"].unique().to_pylist()):
            self._empty.difference_update(partition for (partition,) in run("EXECUTE find_partitions").fetchall())
        return BatchCounts(records.num_rows, metrics, refused, again)

    def forget(self, before_us: int) -> None:
        """Let go of readings and identities of messages measured before a moment, in microseconds since 1970."""
        for name in ("open_readings", "seen"):
            self._connection.execute(f"DELETE FROM {name} WHERE event_at < make_timestamptz({before_us})")

    def taken(self) -> tuple[pa.Table, pa.Table]:
        """The readings of the batch that was judged last, and the identities that it added: what `give_back` takes."""
        run = self._connection.execute
        readings_ = run("SELECT * EXCLUDE arrival FROM new_readings").to_arrow_table()
        return readings_, run(f"SELECT {COLUMNS}, event_at FROM settled WHERE reason IS NULL").to_arrow_table()

    def give_back(self, taken: Iterable[tuple[pa.Table, pa.Table]]) -> None:
        """Know again what earlier batches took, in a process that did not judge them."""
        for readings_, identities in taken:
            self._insert("kept", readings_, f"INSERT INTO open_readings SELECT *, {ARRIVAL}, {MINUTE} FROM kept")
            self._insert("kept", identities, "INSERT INTO seen FROM kept")
        self._empty.clear()

    def oldest_offsets(self, of: Collection[int]) -> dict[int, int]:
        """An offset a partition, of those in which something is kept, before which nothing is: it is looked up now and
        then, and for a partition of `of` that had none, but only once a batch brought it something."""
        self._asked += 1
        if self._asked % _LOOK_AFTER == 0 or not self._oldest.keys() | self._empty >= set(of):
            rows = self._connection.execute('SELECT "partition", min("offset") FROM seen GROUP BY 1').fetchall()
            self._oldest = dict(rows)
            self._empty = set(of) - self._oldest.keys()
        return self._oldest

    def _clear(self, rows: int) -> None:
        """Empty the tables of the batch before. What was deleted takes memory, and time to pass over, until DuckDB is
        told to clear up."""
        for name in ("batch", "closer", "records", "again"):
            self._connection.execute(f"DELETE FROM {name}")
        self._batches, self._rows = self._batches + 1, self._rows + rows
        if self._batches % _CLEAR_AFTER == 0 or self._rows > _CLEAR_ROWS:
            self._connection.execute("CHECKPOINT")
            self._rows = 0

    def _judge(self, value: bytes | None, shape: int | None) -> Judgement:
        return judge(value, None if shape is None else self._shapes[shape])

    def _insert(self, name: str, rows: pa.Table, statement: str) -> None:
        self._connection.register(name, rows)
        self._connection.execute(statement)
        self._connection.unregister(name)

    def _make_tables(self) -> None:
        run = self._connection.execute
        columns = ", ".join(
            f"{quoted_name(c.name)} {duckdb_type(c.type)}" for c in BRONZE_TELEMETRY.columns if c.name != "headers"
        )
        run(f"CREATE TABLE batch ({columns})")
        run(
            "CREATE TABLE facts (registered_id VARCHAR, in_service_at TIMESTAMPTZ, "
            "models STRUCT(valid_from TIMESTAMPTZ, model_id VARCHAR)[])"
        )
        run(
            "CREATE TABLE placements (device_id VARCHAR, valid_from TIMESTAMPTZ, valid_to TIMESTAMPTZ, site_id VARCHAR)"
        )
        self._insert("none", CLOSER.empty_table(), "CREATE TABLE closer AS FROM none")
        run(f"CREATE TABLE records AS {self._judging}")
        of_open = ", ".join(f"{quoted_name(name)} {type_}" for name, type_ in OPEN_COLUMNS.items())
        run(f"CREATE TABLE open_readings ({of_open}, minute_number BIGINT)")
        run(f"CREATE TABLE new_readings ({of_open})")
        run(
            """CREATE VIEW judged AS SELECT r.* REPLACE (coalesce(r.reason, c.reason) AS reason), c.mended,
                c.unknown AS unknown_telemetry
            FROM records r LEFT JOIN closer c
                ON r.topic = c.topic AND r."partition" = c."partition" AND r."offset" = c."offset" """
        )
        run(f"CREATE TABLE seen AS SELECT {COLUMNS}, event_at FROM judged")
        near = f"SELECT {COLUMNS} FROM seen SEMI JOIN (FROM judged WHERE reason IS NULL) USING ({', '.join(IDENTITY)})"
        run(f"CREATE VIEW pool AS SELECT {COLUMNS} FROM judged WHERE reason IS NULL UNION ALL {near}")
        run(f"CREATE VIEW hashes AS {repeated_hashes(Relation('pool'))}")
        run(f"CREATE TABLE again AS {repeats(Relation('pool'), Relation('hashes'))}")
        run(
            """CREATE VIEW settled AS SELECT j.* REPLACE (coalesce(j.reason, a.reason) AS reason) FROM judged j
            LEFT JOIN again a ON j.topic = a.topic AND j."partition" = a."partition" AND j."offset" = a."offset" """
        )

    def prepare(self) -> None:
        """Plan the statements, which holds until somebody makes a table or a view of the connection that is not
        temporary: from then on DuckDB plans them anew each time. So this comes last."""
        self._tables = silver_tables(self._models.values())
        statements = {
            "judge_records": f"INSERT INTO records {self._judging}",
            "find_packs": f"FROM batch WHERE {is_packed()}",
            "find_waiting": 'SELECT topic, "partition", "offset", shape, value FROM records '
            "WHERE reason IS NULL AND text IS NULL",
            "find_repeats": f"INSERT INTO again {repeats(Relation('pool'), Relation('hashes'))}",
            "remember": f"INSERT INTO seen SELECT {COLUMNS}, event_at FROM settled WHERE reason IS NULL",
            "counted": "SELECT (SELECT count(*) FROM settled WHERE reason IS NOT NULL), (SELECT count(*) FROM again), "
            "(SELECT count(*) FROM new_readings)",
            "find_partitions": 'SELECT DISTINCT "partition" FROM settled WHERE reason IS NULL',
        }
        for number, table in enumerate(self._tables.values()):
            rows = self._metric_rows(readings(Relation("settled"), table, self._models), table.name)
            statements[f"readings_{number}"] = f"INSERT INTO new_readings {rows}"
        for name, sql in statements.items():
            self._connection.execute(f"PREPARE {name} AS {sql}")

    def _metric_rows(self, wide: str, table: str) -> str:
        """SQL for a row a metric of the readings of one table, with the site where the device stood then."""
        metrics = {
            telemetry.column: (model.metric_name(telemetry), telemetry.unit)
            for model in self._models.values()
            if model.table == table
            for telemetry in model.telemetry
            if telemetry.is_metric
        }
        each = ", ".join(
            f"struct_pack(metric_name := {quoted(name)}, unit := {quoted(unit)}, "
            f"value := {quoted_name(column)}::DOUBLE)"
            for column, (name, unit) in sorted(metrics.items())
        )
        if not metrics:
            return "FROM new_readings LIMIT 0"
        return f"""
            WITH wide AS ({wide}),
            values_apart AS (
                SELECT w.*, p.site_id, {part_number()} AS part_number, unnest([{each}]) AS m
                FROM wide w LEFT JOIN placements p ON w.device_id = p.device_id AND p.valid_from <= w.event_at
                    AND (p.valid_to IS NULL OR w.event_at < p.valid_to))
            SELECT device_id, site_id, model_id, component_name, m.metric_name, m.unit, event_at, received_at,
                clock_status, message_id, "partition", "offset", m.value + 0.0 AS value, part_number,
                {ARRIVAL} AS arrival
            FROM values_apart WHERE m.value IS NOT NULL"""
