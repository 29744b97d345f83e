"""Windows: aggregates over readings as they come, as SQL.

Belongs here: what a window is and which windows a reading lies in. Readings are rows of OPEN_COLUMNS, a row a metric.
When a window is final is decided in `streams`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lake.sql_text import Expression, Query, Relation, quoted_name, quoted_names

OPEN_COLUMNS = {
    "device_id": "VARCHAR",
    "site_id": "VARCHAR",
    "model_id": "VARCHAR",
    "component_name": "VARCHAR",
    "metric_name": "VARCHAR",
    "unit": "VARCHAR",
    "event_at": "TIMESTAMP WITH TIME ZONE",
    "received_at": "TIMESTAMP WITH TIME ZONE",
    "clock_status": "VARCHAR",
    "message_id": "VARCHAR",
    "partition": "INTEGER",
    "offset": "BIGINT",
    "value": "DOUBLE",
    # which message of its pack, 0 for one that came alone
    "part_number": "INTEGER",
    # what orders the readings of a device, the same as in gold: event_at, then offset, partition and part_number
    "arrival": "HUGEINT",
}
"""A reading of one metric: column -> DuckDB type."""

MINUTE = Expression("epoch_us(event_at) // 60000000")
"""SQL for `minute_number`, which rows that are kept have besides: by it DuckDB leaves out whole blocks of them."""

KEYS = ("device_id", "site_id", "model_id", "component_name", "metric_name", "unit")
"""What a window may be kept by."""

ARRIVAL = Expression(
    'epoch_us(event_at)::HUGEINT * 18889465931478580854784 + ("offset" * 65536 + "partition")::HUGEINT * 16384'
    " + part_number"
)
"""SQL for `arrival`."""

Kind = Literal["tumbling", "hopping", "session", "each"]
Late = Literal["correct", "drop"]


@dataclass(frozen=True)
class Window:
    """A declared window; times in seconds.

    `tumbling` windows are `size_s` long, `hopping` ones begin every `every_s`, a `session` ends when nothing came for
    `gap_s`; `each` gives a row a reading, with the reading before it in the same `size_s` and whether it `is_first`
    there. `select` is result name -> SQL. A window is final `lateness_s` after its end by the broker's clock;
    what comes later corrects it or is dropped (`late`), and is counted in either case.
    """

    name: str
    kind: Kind
    size_s: int
    by: tuple[str, ...]
    select: Mapping[str, str]
    every_s: int = 0
    gap_s: int = 0
    where: str = "true"
    lateness_s: int = 30
    late: Late = "correct"
    origin: str = field(default="", compare=False)

    @property
    def reach_s(self) -> int:
        """How long the readings of a window must be kept after its start, to make it whole."""
        return self.size_s + self.gap_s + self.lateness_s


def starts_of(window: Window) -> Expression:
    """SQL for the list of starts, in microseconds since 1970, of the windows that a reading lies in."""
    at = "epoch_us(event_at)"
    size = window.size_s * 1_000_000
    if window.kind != "hopping":
        return Expression(f"[({at} // {size}) * {size}]")
    every = window.every_s * 1_000_000
    return Expression(f"range(({at} // {every}) * {every}, {at} - {size}, -{every})")


def touched(window: Window, readings: Relation) -> Query:
    """SQL for the keys and starts of the windows in which `readings`, what may stand behind FROM, lie."""
    return Query(
        f"SELECT DISTINCT {quoted_names(window.by)}, unnest({starts_of(window)}) AS start_us "
        f"FROM {readings} WHERE ({window.where})"
    )


def figures(window: Window, readings: Relation, starts: Relation, partitions: Sequence[int]) -> Query:
    """SQL for the figures of the windows in `starts` (keys and start_us), from all readings at hand, which have their
    `minute_number`. What lies in none of their minutes is not read: a batch costs what it changes, not what is held.

    A row a window: keys, start_us, end_us, reading_count, offsets a partition, newest reception, and what the window
    selects.
    """
    size = window.size_s * 1_000_000
    on = " AND ".join(f"s.{quoted_name(k)} IS NOT DISTINCT FROM r.{quoted_name(k)}" for k in window.by) or "true"
    lies_in = f"epoch_us(r.event_at) >= s.start_us AND epoch_us(r.event_at) < s.start_us + {size}"
    if window.kind == "tumbling":  # of a device's readings those of its other windows are not even looked at
        lies_in = f"epoch_us(r.event_at) // {size} * {size} = s.start_us"
    selected = ", ".join(f"{sql} AS {quoted_name(name)}" for name, sql in window.select.items())
    keys = "".join(f"r.{quoted_name(k)}, " for k in window.by)
    deadline = f"s.start_us + {size + window.lateness_s * 1_000_000}"
    in_time = f" AND epoch_us(r.received_at) <= {deadline}" if window.late == "drop" else ""
    return Query(f"""
        WITH minutes AS ({_minutes(Expression("start_us"), size, starts)}),
        ours AS (SELECT * FROM {readings} SEMI JOIN minutes USING (minute_number) WHERE ({window.where})),
        in_windows AS (
            SELECT {keys}s.start_us, r.* EXCLUDE ({quoted_names(window.by)}) FROM ours r JOIN {starts} s
                ON {on} AND {lies_in}{in_time})
        SELECT {quoted_names(window.by)}, start_us, start_us + {size} AS end_us, {_counts(partitions)}, {selected}
        FROM in_windows GROUP BY {quoted_names(window.by)}, start_us""")


def sessions(window: Window, readings: Relation, keys: Relation, partitions: Sequence[int]) -> Query:
    """SQL for the sessions of the `keys` (a relation of the key columns), as `figures`; `end_us` is gap_s after the
    last reading.

    A session longer than `size_s` is cut there, so that a device that never rests has sessions all the same.
    """
    gap, size = window.gap_s * 1_000_000, window.size_s * 1_000_000
    by = quoted_names(window.by)
    selected = ", ".join(f"{sql} AS {quoted_name(name)}" for name, sql in window.select.items())
    return Query(f"""
        WITH ours AS (SELECT r.* FROM {readings} r SEMI JOIN {keys} USING ({by}) WHERE ({window.where})),
        marked AS (SELECT *, epoch_us(event_at) - lag(epoch_us(event_at)) OVER w AS since
                   FROM ours WINDOW w AS (PARTITION BY {by} ORDER BY arrival)),
        numbered AS (SELECT *, sum((since IS NULL OR since > {gap})::INTEGER) OVER w AS run
                     FROM marked WINDOW w AS (PARTITION BY {by} ORDER BY arrival)),
        cut AS (SELECT *, (epoch_us(event_at) - min(epoch_us(event_at)) OVER (PARTITION BY {by}, run)) // {size} AS part
                FROM numbered)
        SELECT {by}, min(epoch_us(event_at)) AS start_us, max(epoch_us(event_at)) + {gap} AS end_us,
            {_counts(partitions)}, {selected}
        FROM cut GROUP BY {by}, run, part""")


def each_reading(window: Window, readings: Relation, new: Relation) -> Query:
    """SQL for a row each of the readings `new`, with `previous_value`, `previous_at`, `is_first` in its `size_s`.

    `inputs` also says which of the readings of its record it is, since several may be of one moment and of one record.
    """
    by, size = quoted_names(window.by), window.size_s * 1_000_000
    start = Expression(f"epoch_us(event_at) // {size} * {size}")
    selected = ", ".join(f"{sql} AS {quoted_name(name)}" for name, sql in window.select.items())
    return Query(f"""
        WITH minutes AS ({_minutes(start, size, new)}),
        near AS (SELECT r.* FROM {readings} r SEMI JOIN minutes USING (minute_number) SEMI JOIN {new} USING ({by})
            WHERE ({window.where})),
        placed AS (SELECT *, lag(value) OVER w AS previous_value, lag(event_at) OVER w AS previous_at,
                       row_number() OVER w = 1 AS is_first, (epoch_us(event_at) // {size}) * {size} AS start_us
                   FROM near WINDOW w AS (PARTITION BY {by}, epoch_us(event_at) // {size}
                       ORDER BY arrival, component_name, metric_name, unit))
        SELECT {by}, epoch_us(event_at) AS start_us, epoch_us(event_at) AS end_us, 1::BIGINT AS reading_count,
            [struct_pack(p := "partition", low := "offset", high := "offset",
                reading := [part_number::VARCHAR, coalesce(component_name, ''), metric_name, unit])] AS inputs,
            epoch_us(received_at) AS last_received_us, {selected}
        FROM placed SEMI JOIN {new} USING ("partition", "offset", metric_name, unit)""")


def _minutes(start: Expression, size: int, of: Relation) -> Query:
    """SQL for the numbers of the minutes in which a window of a relation lies, each once: those of a window end where
    the next window begins, and between two that are years apart there are none."""
    of_us = 60_000_000
    return Query(f"""
        WITH begun AS (SELECT DISTINCT {start} AS begun_us FROM {of}),
        spans AS (SELECT begun_us // {of_us} AS first_minute, (begun_us + {size} - 1) // {of_us} + 1 AS end_minute,
                      lead(begun_us // {of_us}) OVER (ORDER BY begun_us) AS next_minute FROM begun)
        SELECT unnest(range(first_minute, least(end_minute, next_minute))) AS minute_number FROM spans""")


def _counts(partitions: Sequence[int]) -> str:
    """The count, the offsets of each partition (so that a result says which messages it holds) and the newest time."""
    each = ", ".join(
        f'struct_pack(p := {p}, low := min("offset") FILTER (WHERE "partition" = {p}), '
        f'high := max("offset") FILTER (WHERE "partition" = {p}))'
        for p in partitions
    )
    return (
        f"count(*) AS reading_count, list_filter([{each}], lambda x: x.low IS NOT NULL) AS inputs, "
        "epoch_us(max(received_at)) AS last_received_us"
    )
