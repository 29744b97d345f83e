{#
  Statistics of readings by device or site, metric and period.

  Each table of readings is scanned once and aggregated wide; only the small result is turned into a row a metric.
  A reading that lacks a metric is null there and does not count.
#}

{#
  SQL for rows of `keys` (name to SQL over a row of readings), metric_name, unit, reading_count, value_min, value_max,
  value_mean, with percentiles value_p50 and value_p95, and for periods of a device model_id, value_last and
  last_event_at, for periods of a site (by_site) device_count. Rows of readings have the columns of silver and, with
  by_site, site_id.
#}
{% macro metric_statistics(keys, percentiles=true, by_site=false) %}
    {%- set tables = reading_tables() | selectattr('metrics') | list -%}
    {%- if not tables -%}
        {%- set types = {
            'device_id': 'varchar', 'site_id': 'varchar', 'event_date': 'date', 'event_hour': 'integer',
            'minute_number': 'bigint', 'metric_name': 'varchar', 'unit': 'varchar', 'model_id': 'varchar',
            'device_count': 'bigint', 'reading_count': 'bigint', 'value_min': 'double', 'value_max': 'double',
            'value_mean': 'double', 'value_last': 'double', 'last_event_at': 'timestamptz', 'value_p50': 'double',
            'value_p95': 'double'
        } -%}
        select * from {{ no_rows(types) }}
    {%- else -%}
        with
        {%- for table in tables %}
        wide_{{ loop.index }} as (
            select
                {%- for name, expression in keys.items() %}
                {{ expression }} as {{ name }},
                {%- endfor %}
                {%- if not (by_site or table.has_versions) %}
                min(model_id) as model_id,
                {%- endif %}
                {%- for metric in table.metrics %}
                {{ metric_aggregates(metric, loop.index, table.has_versions, percentiles, by_site) }}
                {{- "," if not loop.last }}
                {%- endfor %}
            from {{ with_site(table.source) if by_site else table.source }}
            where {{ planned_hours() }}
            group by {% for name in keys %}{{ loop.index }}{{ ", " if not loop.last }}{% endfor %}
        ),
        {%- endfor %}
        narrow as (
            {%- for table in tables %}
            {%- set table_number = loop.index %}
            {%- set is_last_table = loop.last %}
            {%- for metric in table.metrics %}
            select
                {%- for name in keys %}
                {{ name }},
                {%- endfor %}
                {%- if by_site %}
                devices_{{ loop.index }} as device_count,
                {%- else %}
                {{ 'model_' ~ loop.index if table.has_versions else 'model_id' }} as model_id,
                last_{{ loop.index }} as value_last,
                last_at_{{ loop.index }} as last_event_at,
                {%- endif %}
                {%- if percentiles %}
                percentiles_{{ loop.index }}[1] as value_p50,
                percentiles_{{ loop.index }}[2] as value_p95,
                {%- endif %}
                '{{ metric.metric_name | replace("'", "''") }}' as metric_name,
                '{{ metric.unit | replace("'", "''") }}' as unit,
                count_{{ loop.index }} as reading_count,
                min_{{ loop.index }} as value_min,
                max_{{ loop.index }} as value_max,
                {{ mean_of_sums('exact_' ~ loop.index, 'rest_' ~ loop.index, 'count_' ~ loop.index) }} as value_mean
            from wide_{{ table_number }}
            where count_{{ loop.index }} > 0
            {%- if not (is_last_table and loop.last) %}
            union all
            {%- endif %}
            {%- endfor %}
            {%- endfor %}
        )
        select
            {#- rounding must not carry a figure outside its readings: the mean of one reading is that reading. And -0.0
                equals 0.0, so which of them is found depends on the order: + 0.0 makes both 0.0 #}
            * replace (
                value_min + 0.0::double as value_min,
                value_max + 0.0::double as value_max,
                {%- if percentiles %}
                greatest(value_min, least(value_max, value_p50)) + 0.0::double as value_p50,
                greatest(value_min, value_p50, least(value_max, value_p95)) + 0.0::double as value_p95,
                {%- endif %}
                {%- if not by_site %}
                value_last + 0.0::double as value_last,
                {%- endif %}
                greatest(value_min, least(value_max, value_mean)) + 0.0::double as value_mean
            )
        from narrow
    {%- endif -%}
{% endmacro %}


{# The aggregates of one metric over a group of readings. #}
{% macro metric_aggregates(metric, number, has_versions, percentiles, by_site) -%}
    {%- set value = '"' ~ metric.column ~ '"::double' -%}
    {%- set measured = 'filter (where "' ~ metric.column ~ '" is not null)' -%}
    {%- set newest = 'order by event_at, ingest_id, "partition", "offset"' -%}
    count("{{ metric.column }}") as count_{{ number }},
                min({{ value }}) as min_{{ number }},
                max({{ value }}) as max_{{ number }},
                {{ exact_sum(value) }} as exact_{{ number }},
                {{ rest_of_sum(value) }} as rest_{{ number }},
    {%- if percentiles %}
                quantile_cont({{ value }}, [0.5, 0.95]) as percentiles_{{ number }},
    {%- endif %}
    {%- if by_site %}
                count(distinct device_id) {{ measured }} as devices_{{ number }}
    {%- else %}
                last({{ value }} {{ newest }}) {{ measured }} as last_{{ number }},
                {%- if has_versions %}
                last(model_id {{ newest }}) {{ measured }} as model_{{ number }},
                {%- endif %}
                max(event_at) {{ measured }} as last_at_{{ number }}
    {%- endif %}
{%- endmacro %}


{# Readings with the site where their device stood at the start of the hour. #}
{% macro with_site(source) -%}
    (
                select readings.*, coalesce(placements.site_id, 'unknown') as site_id
                from (select * from {{ source }} where {{ planned_hours() }}) as readings
                left join placements using (device_id, event_date, event_hour)
            )
{%- endmacro %}
