{#
  Statistics of readings by device or site, metric and period.

  Each table of readings is scanned once and aggregated wide; only the small result is turned into a row a metric.
  A reading that lacks a metric is null there and does not count.

  Counts, minima, maxima, exact sums and newest values add up. So hours are made of readings, and the days of devices and
  sites of hours, to the same bits; only percentiles are taken of the readings each time.
#}

{#
  SQL for the sums of readings: rows of `keys` (name to SQL over a row of readings of one device), metric_name, unit and
  the columns of sums_of_metric, but for those in `without`.
#}
{% macro metric_sums(keys, without=[]) %}
    {{ metric_rows(keys, sums_of_metric, reading_tables(), without=without) }}
{% endmacro %}


{#
  SQL for the percentiles of readings: rows of `keys`, metric_name, unit, value_p50 and value_p95. With by_site rows of
  readings have site_id.
#}
{% macro metric_percentiles(keys, by_site=false) %}
    {{ metric_rows(keys, percentiles_of_metric, reading_tables(), by_site) }}
{% endmacro %}


{# SQL for the sums of a longer period or a site: rows of `keys` (names), metric_name and unit, from rows of sums. #}
{% macro added_up(sums, keys, by_site=false) %}
    {%- set keys = keys + ['metric_name', 'unit'] -%}
    select
        {{ keys | join(', ') }},
        {%- if by_site %}
        count(distinct device_id) as device_count,
        {%- else %}
        arg_max(model_id, last_event_at) as model_id,
        arg_max(value_last, last_event_at) as value_last,
        max(last_event_at) as last_event_at,
        {%- endif %}
        sum(reading_count)::bigint as reading_count,
        min(value_min) as value_min,
        max(value_max) as value_max,
        sum(exact_sum) as exact_sum,
        flatten(list(rest_of_sum) filter (where rest_of_sum is not null)) as rest_of_sum
    from {{ sums }}
    group by {{ keys | join(', ') }}
{% endmacro %}


{#
  The columns value_min, value_max and value_mean, from those of sums.

  Rounding must not carry a figure outside its readings: the mean of one reading is that reading.
#}
{% macro value_statistics() -%}
        value_min,
        value_max,
        greatest(value_min, least(value_max, {{ mean_of_sums('exact_sum', 'rest_of_sum', 'reading_count') }}))
        + 0.0::double as value_mean
{%- endmacro %}


{# The columns value_p50 and value_p95, from those of sums and percentiles. #}
{% macro value_percentiles() -%}
        greatest(value_min, least(value_max, percentiles.value_p50)) + 0.0::double as value_p50,
        greatest(value_min, percentiles.value_p50, least(value_max, percentiles.value_p95)) + 0.0::double as value_p95
{%- endmacro %}


{#
  The aggregates of one metric over a group of readings, by name: type and SQL. -0.0 equals 0.0, so which of them is found
  depends on the order: + 0.0 makes both 0.0. A table of one model has readings of no other.
#}
{% macro sums_of_metric(metric, models) %}
    {%- set value = '"' ~ metric.column ~ '"::double' -%}
    {%- set measured = 'filter (where "' ~ metric.column ~ '" is not null)' -%}
    {%- set model_id = "'" ~ models[0].model_id | replace("'", "''") ~ "'" if models | length == 1
        else 'arg_max(model_id, ' ~ arrival() ~ ') ' ~ measured -%}
    {{ return({
        'model_id': ('varchar', model_id),
        'reading_count': ('bigint', 'count("' ~ metric.column ~ '")'),
        'value_min': ('double', 'min(' ~ value ~ ') + 0.0::double'),
        'value_max': ('double', 'max(' ~ value ~ ') + 0.0::double'),
        'exact_sum': ('hugeint', exact_sum(value, metric.is_exact)),
        'rest_of_sum': ('double[]', rest_of_sum(value, metric.is_exact)),
        'value_last': ('double', 'arg_max(' ~ value ~ ', ' ~ arrival() ~ ') + 0.0::double'),
        'last_event_at': ('timestamptz', 'max(event_at) ' ~ measured)
    }) }}
{% endmacro %}


{#
  What orders the readings of a device: event_at, then the offset, then the partition. As one number, since
  last(value order by ...) makes a text of them for every reading, in twice the time. Fits offsets up to 2^47.
#}
{% macro arrival() -%}
    epoch_us(event_at)::hugeint * 18446744073709551616 + ("offset" * 65536 + "partition")
{%- endmacro %}


{% macro percentiles_of_metric(metric, models) %}
    {%- set both = 'quantile_cont("' ~ metric.column ~ '"::double, [0.5, 0.95])' -%}
    {{ return({'value_p50': ('double', both ~ '[1]'), 'value_p95': ('double', both ~ '[2]')}) }}
{% endmacro %}


{#
  SQL for rows of `keys`, metric_name, unit and the aggregates of a metric (a macro), but for those in `without`, of tables
  of readings.
#}
{% macro metric_rows(keys, aggregates_of, tables, by_site=false, without=[]) %}
    {%- set tables = tables | selectattr('metrics') | list -%}
    {%- if not tables -%}
        {%- set types = {'event_date': 'date', 'event_hour': 'integer', 'minute_number': 'bigint'} -%}
        {%- set columns = {} -%}
        {%- for name in keys.keys() | list + ['metric_name', 'unit'] -%}
            {%- do columns.update({name: types.get(name, 'varchar')}) -%}
        {%- endfor -%}
        {%- for name, (type, _) in aggregates_of({'column': ''}, [{'model_id': ''}]).items() if name not in without -%}
            {%- do columns.update({name: type}) -%}
        {%- endfor -%}
        select * from {{ no_rows(columns) }}
    {%- else -%}
        with
        {%- for table in tables %}
        wide_{{ loop.index }} as (
            select
                {%- for name, expression in keys.items() %}
                {{ expression }} as {{ name }}{{ "," if not loop.last }}
                {%- endfor %}
                {%- for metric in table.metrics %}
                {%- set number = loop.index %}
                , count("{{ metric.column }}") as measured_{{ number }}
                {%- for name, (_, expression) in aggregates_of(metric, table.models).items() if name not in without %}
                , {{ expression }} as {{ name }}_{{ number }}
                {%- endfor %}
                {%- endfor %}
            from {{ with_site(table.source) if by_site else table.source }}
            where {{ planned_hours() }}
            group by {% for name in keys %}{{ loop.index }}{{ ", " if not loop.last }}{% endfor %}
        )
        {{- "," if not loop.last }}
        {%- endfor %}
        {%- for table in tables %}
        {%- set table_number = loop.index %}
        {%- set is_last_table = loop.last %}
        {%- for metric in table.metrics %}
        {%- set number = loop.index %}
        select
            {{ keys | join(', ') }},
            '{{ metric.metric_name | replace("'", "''") }}' as metric_name,
            '{{ metric.unit | replace("'", "''") }}' as unit
            {%- for name in aggregates_of(metric, table.models) if name not in without %}
            , {{ name }}_{{ number }} as {{ name }}
            {%- endfor %}
        from wide_{{ table_number }}
        where measured_{{ number }} > 0
        {%- if not (is_last_table and loop.last) %}
        union all
        {%- endif %}
        {%- endfor %}
        {%- endfor %}
    {%- endif -%}
{% endmacro %}


{# Readings with the site where their device stood at the start of the hour. #}
{% macro with_site(source) -%}
    (
                select readings.*, coalesce(placements.site_id, 'unknown') as site_id
                from (select * from {{ source }} where {{ planned_hours() }}) as readings
                left join placements using (device_id, event_date, event_hour)
            )
{%- endmacro %}
