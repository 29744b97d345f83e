"""Hot differences: a minute's figure of the hot path beside that of gold, and what each reading has to do with it.

Belongs here: the causes and the proof, as SQL over relations that the caller makes. Reading topics and tables is in
`pipeline.proof`.

A cause counts only when it is proved twice. Each reading that one side has and the other lacks must show it:

- `late`: gold has it, the landing zone received it when the hot path corrected the minute no more, and its offset lies
  outside of what the hot figure holds
- `before`: its offset lies before the one from which on the hot path has read everything
- `registry`: the first lifecycle event of its device was received after it, so that nobody knew the device, or not a
  second before it, since the hot path follows two topics and may read the reading first
- `clock`: a lifecycle event was received after it, and it counts in one minute by the device's clock and in another by
  the landing zone's
- `header`: one of its record's headers has a name that is not UTF-8, and the hot path can read none of these
- `repeat`: silver refuses it as a repeat of a reading that the hot figure does not hold

And the figures must come out: gold's readings, less those that the hot path cannot have counted, with those that only
it counted, give the hot figure to the last one. Otherwise the minute is unexplained, whatever may be said of it.
"""

from lake.sql_text import Query, Relation

FIGURES = ("reading_count", "value_min", "value_max", "value_mean", "value_last")
CAUSES = ("late", "before", "registry", "clock", "header", "repeat")
UNEXPLAINED = "unexplained"
# means are sums of doubles in another order
_CLOSE = 1e-9
_KEY = "device_id, metric_name, unit, minute_us"
_MINUTE_US = 60_000_000
_READ_WITHIN_US = 1_000_000

CANDIDATES = """device_id VARCHAR, metric_name VARCHAR, unit VARCHAR, "partition" INTEGER, "offset" BIGINT,
    event_us BIGINT, measured_us BIGINT, received_us BIGINT, arrival HUGEINT, value DOUBLE, is_repeat BOOLEAN,
    first_offset BIGINT, is_odd BOOLEAN"""
"""The columns of a reading, or of a repeat, whose `first_offset` is that of the reading that it repeats; `is_odd` where
a header of its record has a name that is not UTF-8."""


def compared(hot: Relation, gold: Relation, reached_us: int) -> Query:
    """SQL for the minutes of either side: key, `hot_…` and `gold_…` figures, `closed_us`, `agrees`, `is_closed`.

    `hot` has key, figures, closed_us, inputs, read_from; `gold` key and figures. `reached_us` is the moment up to which
    the hot path had read everything: a minute that it corrects until later is not closed. Of minutes that gold alone
    has only closed ones are there.
    """
    sides = ", ".join(f"h.{name} AS hot_{name}, g.{name} AS gold_{name}" for name in FIGURES)
    same = " AND ".join(_same(f"hot_{name}", f"gold_{name}") for name in FIGURES)
    return Query(f"""
        WITH longest AS (SELECT max(closed_us - minute_us) AS open_us FROM {hot}),
        paired AS (
            SELECT {_KEY}, {sides}, inputs, read_from, coalesce(closed_us, minute_us + open_us) AS closed_us,
                coalesce(closed_us, minute_us + open_us) <= {reached_us} AS is_closed
            FROM {hot} h FULL JOIN {gold} g USING ({_KEY}), longest
            WHERE h.reading_count IS NOT NULL OR minute_us + open_us <= {reached_us})
        SELECT *, coalesce({same}, false) AS agrees FROM paired""")


def explained(differing: Relation, candidates: Relation, events: Relation, read_from: Relation) -> Query:
    """SQL for the `cause` and `detail` of minutes that differ, by key.

    `candidates` has the columns of CANDIDATES; `events` when the first and the last lifecycle event of a device were
    received (device_id, first_us, last_us); `read_from` the first offset that the hot path ever read (partition,
    first_offset).
    """
    facts = _facts(differing, candidates, events, read_from)
    return Query(f"""
        WITH held_offsets AS ({_held_offsets(differing)}),
        places AS (SELECT {_KEY}, e.key::INTEGER AS "partition", e.value[1] AS low, e.value[2] AS high
            FROM held_offsets),
        facts AS ({facts}),
        told AS (SELECT *, {_cause()} AS cause FROM facts),
        variants AS (SELECT * FROM (VALUES (0, false, false, false), (1, true, false, false), (2, false, true, false),
            (3, false, false, true), (4, true, true, false), (5, true, false, true), (6, false, true, true),
            (7, true, true, true)) t(variant, refuses, repeats, moves)),
        tried AS (SELECT t.*, v.variant, CASE
                WHEN in_gold AND in_range THEN NOT (refuses AND cause IS NOT NULL)
                WHEN in_gold THEN false
                WHEN cause = 'repeat' THEN repeats
                WHEN cause = 'clock' THEN moves
                ELSE false END AS is_counted
            FROM told t, variants v),
        sums AS (SELECT {_KEY}, variant, {_figures("is_counted")},
                {_figures("in_gold", "silver_")},
                count(*) FILTER (WHERE in_gold AND NOT is_counted AND cause IS NULL) AS unproved,
                list_sort(list(DISTINCT cause) FILTER (WHERE is_counted <> in_gold AND cause IS NOT NULL)) AS causes,
                {_detail()} AS detail
            FROM tried GROUP BY {_KEY}, variant),
        found AS (SELECT d.*, s.* EXCLUDE ({_KEY}), {_matches("hot_", "s.")} AND unproved = 0
                AND len(causes) > 0 AND {_matches("gold_", "s.silver_")} AS is_proved
            FROM {differing} d LEFT JOIN sums s USING ({_KEY}))
        SELECT {_KEY}, coalesce(arg_min(array_to_string(causes, '+'), variant) FILTER (WHERE is_proved),
                '{UNEXPLAINED}') AS cause,
            coalesce(arg_min(detail, variant) FILTER (WHERE is_proved), 'hot ' || coalesce(any_value(hot_reading_count),
                0) || ' readings, gold ' || coalesce(any_value(gold_reading_count), 0) || '; by the lake the hot path '
                || 'should have ' || coalesce(arg_min(reading_count, variant), 0)) AS detail
        FROM found GROUP BY {_KEY}""")


def _held_offsets(differing: Relation) -> Query:
    """The span of offsets of each partition that a hot figure holds, as `e`."""
    spans = "unnest(map_entries(inputs::JSON::MAP(VARCHAR, BIGINT[]))) AS e"
    return Query(f"SELECT {_KEY}, {spans} FROM {differing}")


def _facts(differing: Relation, candidates: Relation, events: Relation, read_from: Relation) -> Query:
    """What each reading shows."""
    return Query(f"""
        SELECT d.*, c.*  EXCLUDE (device_id, metric_name, unit),
            NOT is_repeat AND event_us // {_MINUTE_US} * {_MINUTE_US} = d.minute_us AS in_gold,
            coalesce(c."offset" BETWEEN p.low AND p.high, false) AS in_range,
            coalesce(c."offset" < f.first_offset, false) AS is_before,
            received_us > d.closed_us AS is_late,
            coalesce(v.first_us > c.received_us - {_READ_WITHIN_US}, false) AS is_unknown,
            coalesce(v.last_us >= c.received_us, false)
                AND measured_us // {_MINUTE_US} <> received_us // {_MINUTE_US} AS is_movable,
            is_repeat AND NOT coalesce(c.first_offset BETWEEN p.low AND p.high, false) AS is_repeat_alone
        FROM {differing} d JOIN {candidates} c USING (device_id, metric_name, unit)
        LEFT JOIN places p ON (p.device_id, p.metric_name, p.unit, p.minute_us, p."partition")
            = (d.device_id, d.metric_name, d.unit, d.minute_us, c."partition")
        LEFT JOIN {events} v ON v.device_id = d.device_id
        LEFT JOIN {read_from} f ON f."partition" = c."partition"
        WHERE event_us // {_MINUTE_US} * {_MINUTE_US} = d.minute_us OR coalesce(c."offset" BETWEEN p.low AND p.high,
            false)""")


def _cause() -> str:
    """Why a reading is on one side only; null where nothing proves it."""
    return """CASE
        WHEN in_gold AND is_odd THEN 'header'
        WHEN in_gold AND in_range THEN CASE WHEN is_unknown THEN 'registry' WHEN is_movable THEN 'clock' END
        WHEN in_gold AND is_before THEN 'before'
        WHEN in_gold AND is_late THEN 'late'
        WHEN in_gold AND is_unknown THEN 'registry'
        WHEN in_gold AND is_movable THEN 'clock'
        WHEN in_gold THEN NULL
        WHEN in_range AND is_repeat_alone THEN 'repeat'
        WHEN in_range AND NOT is_repeat AND is_movable THEN 'clock' END"""


def _figures(condition: str, prefix: str = "") -> str:
    where = f"FILTER (WHERE {condition})"
    return f"""count(*) {where} AS {prefix}reading_count, min(value) {where} AS {prefix}value_min,
        max(value) {where} AS {prefix}value_max, avg(value) {where} AS {prefix}value_mean,
        arg_max(value, arrival) {where} AS {prefix}value_last"""


def _detail() -> str:
    """In words: how many readings of each cause, and where the first lies."""
    each = ", ".join(
        f"CASE WHEN count(*) FILTER ({_differs(cause)}) > 0 THEN count(*) FILTER ({_differs(cause)}) || ' {cause}, the "
        f"first at partition ' || arg_min(\"partition\", received_us) FILTER ({_differs(cause)}) || ' offset ' || "
        f"arg_min(\"offset\", received_us) FILTER ({_differs(cause)}) || ' received ' || strftime(make_timestamp("
        f"min(received_us) FILTER ({_differs(cause)})), '%Y-%m-%dT%H:%M:%S.%fZ') END"
        for cause in CAUSES
    )
    final = "strftime(make_timestamp(any_value(closed_us)), '%Y-%m-%dT%H:%M:%S.%fZ')"
    return f"concat_ws('; ', {each}, 'corrected until ' || {final})"


def _differs(cause: str) -> str:
    return f"WHERE is_counted <> in_gold AND cause = '{cause}'"


def _matches(ours: str, theirs: str) -> str:
    """SQL: the figures are the same; a side without readings has null for all of them."""
    count = f"coalesce({ours}reading_count, 0) = {theirs}reading_count"
    values = " AND ".join(_same(f"{ours}{name}", f"{theirs}{name}") for name in FIGURES[1:])
    return f"coalesce({count} AND ({theirs}reading_count = 0 OR ({values})), false)"


def _same(one: str, other: str) -> str:
    if not one.endswith("mean"):
        return f"{one} IS NOT DISTINCT FROM {other}"
    return (
        f"({one} IS NOT DISTINCT FROM {other} OR abs({one} - {other}) <= {_CLOSE} * greatest(1, abs({one}), "
        f"abs({other})))"
    )
