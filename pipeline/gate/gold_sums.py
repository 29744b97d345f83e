"""Sums of gold: the SQL that tells where the readings of a candidate do not add up.

Belongs here: comparing a table's `rows` (the CTE of its profile) with silver, and with the finer table whose rows it
sums. Which tables are compared with which, they declare themselves (`adds_up`).
"""

from lake.sql_text import Query, Relation, relation
from lake.tables.contracts import AddsUp


def reconciled(measured: Relation) -> Query:
    """SQL that counts by slice the readings by which `rows` differ from `measured`: slice, metric_name, unit and
    readings."""
    return Query(f"""
    WITH of_gold AS (SELECT slice, metric_name, unit, sum(reading_count) AS counted FROM rows GROUP BY ALL),
    of_silver AS (SELECT slice, metric_name, unit, sum(readings) AS readings FROM {measured} GROUP BY ALL),
    compared AS (
        SELECT slice, metric_name, unit, coalesce(counted, 0)::BIGINT AS ours, coalesce(readings, 0) AS theirs
        FROM of_gold FULL JOIN of_silver USING (slice, metric_name, unit)
    )
    SELECT slice, sum(abs(ours - theirs)) AS unreconciled,
        string_agg(metric_name || ' ' || unit || ' has ' || ours || ' of ' || theirs, ', ') AS unreconciled_detail
    FROM compared WHERE ours <> theirs GROUP BY slice""")


def disagreeing(parts: Query, sum_: AddsUp, has_extremes: bool) -> Query:
    """SQL that counts by slice the keys at which `rows` differ from the sum of `parts` (the finer table)."""
    key = ", ".join(sum_.by)
    sums = "".join(f", sum({name}) AS {name}" for name in sum_.sums)
    # sums of doubles depend on their order by their last bits, differences by those of what is subtracted
    size = "1e-12 * greatest(abs(whole.low), abs(whole.high))" if has_extremes else "0"
    differing = "".join(
        f" OR abs(whole.{name} - parts.{name}) > 1e-9 * greatest(1, abs(whole.{name})) + {size}" for name in sum_.sums
    )
    low, high = ("min(value_min)", "max(value_max)") if has_extremes else ("NULL", "NULL")

    def summed(source: Relation) -> Query:
        return Query(
            f"SELECT slice, {key}, sum(reading_count) AS readings, {low} AS low, {high} AS high{sums} "
            f"FROM {source} GROUP BY slice, {key}"
        )

    return Query(f"""
        WITH whole AS ({summed(Relation("rows"))}), parts AS ({summed(relation(parts))})
        SELECT slice, coalesce(sum(parts.readings), 0) AS source_rows, count(*) FILTER (
            WHERE whole.readings IS DISTINCT FROM parts.readings OR whole.low IS DISTINCT FROM parts.low
                OR whole.high IS DISTINCT FROM parts.high{differing}) AS disagreeing
        FROM whole FULL JOIN parts USING (slice, {key}) GROUP BY slice""")
