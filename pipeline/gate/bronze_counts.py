"""How many messages bronze has for each slice: what silver's suites hold silver against.

Belongs here: that one query. It is independent: it reads bronze itself and applies the rule of clocks (see
`transforms.clock`) anew.
"""

from collections.abc import Sequence

from lake.slices import CLOCK_AHEAD_S, FIRST_IMPLAUSIBLE_YEAR, FIRST_PLAUSIBLE_YEAR, HOUR_MICROS
from lake.sql_text import Query, Relation
from pipeline.gate.profiles import covering_runs

# not hash(partition, offset), which is the two hashes joined by XOR: over all pairs of some of each that comes to 0
CHECKSUM = 'bit_xor(hash(xor(hash("partition"::BIGINT), "offset"::UBIGINT)))'

_TIME_COUNTS = f"""coalesce(measured_at >= TIMESTAMPTZ '{FIRST_PLAUSIBLE_YEAR}-01-01 00:00:00+00'
                    AND measured_at < TIMESTAMPTZ '{FIRST_IMPLAUSIBLE_YEAR}-01-01 00:00:00+00'
                    AND measured_at <= received_at + INTERVAL {CLOCK_AHEAD_S} SECONDS
                    AND (in_service_at IS NULL OR measured_at >= in_service_at), false)"""


def bronze_counts(bronze: Relation, devices: Relation, slices: Sequence[str], progress: int) -> Query:
    """Bronze telemetry by slice and its device's table: `records` that belong there, and all that was `received`.

    `bronze` and `devices` are what to read from, `progress` the last `ingest_id` that counts. It wants the tables
    `judged_slices` and `table_names`.
    """
    # the join on the device is what costs, so each record comes once, and is added up by both of its hours
    return Query(f"""
            WITH near AS ({" UNION ALL ".join(_near(bronze, slices, progress))}),
            timed AS (
                SELECT *, epoch_us(measured_at) // {HOUR_MICROS} AS measured,
                    epoch_us(received_at) // {HOUR_MICROS} AS received
                FROM near
            ),
            known AS (
                SELECT device_id, min(in_service_at) AS in_service_at, arg_max(model_id, valid_from) AS model_id
                FROM {devices} GROUP BY device_id
            ),
            counted AS (
                SELECT CASE WHEN {_TIME_COUNTS}
                        THEN CASE WHEN measured BETWEEN first AND last THEN measured END
                        WHEN is_received THEN received END AS belongs,
                    if(is_received, received, NULL) AS received, model_id, count(*) AS records, {CHECKSUM} AS checksum
                FROM timed LEFT JOIN known USING (device_id)
                GROUP BY ALL
            )
            SELECT slice, table_name, coalesce(sum(records) FILTER (WHERE belongs = hour_number), 0)::BIGINT AS records,
                bit_xor(checksum) FILTER (WHERE belongs = hour_number) AS checksum,
                coalesce(sum(records) FILTER (WHERE received = hour_number), 0)::BIGINT AS received
            FROM counted LEFT JOIN table_names USING (model_id)
                JOIN judged_slices ON hour_number = belongs OR hour_number = received
            GROUP BY slice, table_name""")


def _near(bronze: Relation, slices: Sequence[str], progress: int) -> list[Query]:
    """Queries of the records that may count in the slices, `is_received` when they were received in them.

    A record whose time counts lies in its measured_hour, and was received at most CLOCK_AHEAD_S earlier, which
    bounds the files to read; any other lies in its received_hour. Of each run of slices come the records that were
    received in it, and those about it that were received later or a little earlier.
    """
    slack = -(-CLOCK_AHEAD_S // 3600)
    queries = []
    for first, last in covering_runs(slices):
        here, about = (f"{name} >= {first} AND {name} <= {last}" for name in ("received_hour", "measured_hour"))
        for is_received, where in (
            (True, here),
            (False, f"{about} AND received_hour > {last}"),
            (False, f"{about} AND received_hour >= {first - slack} AND received_hour < {first}"),
        ):
            query = Query(
                f'SELECT device_id, measured_at, received_at, "partition", "offset", {first} AS first, {last} AS last, '
                f"{is_received} AS is_received FROM {bronze} WHERE ingest_id <= {progress} AND {where}"
            )
            queries.append(query)
    return queries
