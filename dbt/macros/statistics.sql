{#
  Statistics of readings by device or site, metric and period.

  Each table of readings is scanned once and aggregated wide; only the small result is turned into a row a metric.
  A reading that lacks a metric is null there and does not count.

  Rebuilding must give the same bits, and a sum of doubles depends on the order in which threads add. So the values of
  a group are collected and sorted, and mean and percentiles come from the sorted list. This costs as much as exact
  integer sums beside quantile_cont, and a third of avg(x order by x).
#}

{#
  SQL for rows of `keys` (name to SQL over a row of readings), metric_name, unit, reading_count, value_min, value_max,
  value_mean, value_p50, value_p95 and, for periods of a device, model_id, value_last and last_event_at; for periods of
  a site (by_site) device_count. Rows of readings have the columns of silver and, with by_site, site_id.
#}
{% macro metric_statistics(keys, by_site=false) %}
    {%- set tables = reading_tables() | selectattr('metrics') | list -%}
    {%- if not tables -%}
        select
            {%- for name in keys %}
            null as {{ name }},
            {%- endfor %}
            {%- if by_site %}
            0 as device_count,
            {%- else %}
            null as model_id, null::double as value_last, null::timestamptz as last_event_at,
            {%- endif %}
            null as metric_name, null as unit, 0 as reading_count, null::double as value_min, null::double as value_max,
            null::double as value_mean, null::double as value_p50, null::double as value_p95
        where false
    {%- else -%}
        with
        {%- for table in tables %}
        collected_{{ loop.index }} as (
            select
                {%- for name, expression in keys.items() %}
                {{ expression }} as {{ name }},
                {%- endfor %}
                {%- for metric in table.metrics %}
                {{ collected(metric, loop.index, table.has_versions, by_site) }}{{ "," if not loop.last }}
                {%- endfor %}
            from {{ with_site(table.source) if by_site else table.source }}
            where {{ planned_hours() }}
            group by {% for name in keys %}{{ loop.index }}{{ ", " if not loop.last }}{% endfor %}
        ),
        sorted_{{ loop.index }} as (
            select
                * replace (
                    {%- for metric in table.metrics %}
                    list_sort(values_{{ loop.index }}) as values_{{ loop.index }}{{ "," if not loop.last }}
                    {%- endfor %}
                )
            from collected_{{ loop.index }}
        ),
        {%- endfor %}
        unpivoted as (
            {%- for table in tables %}
            {%- set table_number = loop.index %}
            {%- set is_last_table = loop.last %}
            {%- for metric in table.metrics %}
            select
                {%- for name in keys %}
                {{ name }},
                {%- endfor %}
                '{{ metric.metric_name | replace("'", "''") }}' as metric_name,
                '{{ metric.unit | replace("'", "''") }}' as unit,
                {%- if by_site %}
                devices_{{ loop.index }} as device_count,
                {%- else %}
                model_{{ loop.index }} as model_id,
                last_{{ loop.index }} as value_last,
                last_at_{{ loop.index }} as last_event_at,
                {%- endif %}
                {{ statistics_of_sorted('values_' ~ loop.index) }}
            from sorted_{{ table_number }}
            where values_{{ loop.index }} is not null
            {%- if not (is_last_table and loop.last) %}
            union all
            {%- endif %}
            {%- endfor %}
            {%- endfor %}
        )
        select
            * replace (
                {#- -0.0 equals 0.0, so which of them comes out would depend on the order; + 0.0 leaves 0.0 alone #}
                {%- for name in ['value_min', 'value_max', 'value_p50'] + ([] if by_site else ['value_last']) %}
                {{ name }} + 0.0::double as {{ name }},
                {%- endfor %}
                {#- rounding must not carry a mean outside its values: the mean of one reading is that reading #}
                greatest(value_min, least(value_max, value_mean)) + 0.0::double as value_mean,
                greatest(value_p50, value_p95) + 0.0::double as value_p95
            )
        from unpivoted
    {%- endif -%}
{% endmacro %}


{# What is collected of one metric in a group of readings. #}
{% macro collected(metric, number, has_versions, by_site) -%}
    {%- set value = '"' ~ metric.column ~ '"' -%}
    {%- set newest = 'order by event_at, ingest_id, "partition", "offset") filter (where ' ~ value ~ ' is not null)' -%}
    list({{ value }}::double) filter (where {{ value }} is not null) as values_{{ number }},
    {%- if by_site %}
                count(distinct device_id) filter (where {{ value }} is not null) as devices_{{ number }}
    {%- else %}
                last({{ value }}::double {{ newest }} as last_{{ number }},
                {% if has_versions %}last(model_id {{ newest }}{% else %}min(model_id){% endif %} as model_{{ number }},
                max(event_at) filter (where {{ value }} is not null) as last_at_{{ number }}
    {%- endif %}
{%- endmacro %}


{# Count, minimum, maximum, mean and percentiles of a sorted list without nulls. #}
{% macro statistics_of_sorted(sorted) -%}
    len({{ sorted }}) as reading_count,
                {{ sorted }}[1] as value_min,
                {{ sorted }}[-1] as value_max,
                list_avg({{ sorted }}) as value_mean,
                {{ percentile_of_sorted(sorted, 0.5) }} as value_p50,
                {{ percentile_of_sorted(sorted, 0.95) }} as value_p95
{%- endmacro %}


{# Interpolated to the bit like quantile_cont, but never outside the two readings that it lies between. #}
{% macro percentile_of_sorted(sorted, share) -%}
    {%- set position = '((len(' ~ sorted ~ ') - 1) * ' ~ share ~ '::double)' -%}
    {%- set low = sorted ~ '[floor(' ~ position ~ ')::bigint + 1]' -%}
    {%- set high = sorted ~ '[ceil(' ~ position ~ ')::bigint + 1]' -%}
    {%- set rest = '(' ~ position ~ ' - floor(' ~ position ~ '))' -%}
    greatest({{ low }}, least({{ high }}, {{ low }} * (1 - {{ rest }}) + {{ rest }} * {{ high }}))
{%- endmacro %}


{# Readings with the site where their device stood at the start of the hour. #}
{% macro with_site(source) -%}
    (
                select readings.*, coalesce(placements.site_id, 'unknown') as site_id
                from (select * from {{ source }} where {{ planned_hours() }}) as readings
                left join placements using (device_id, event_date, event_hour)
            )
{%- endmacro %}
