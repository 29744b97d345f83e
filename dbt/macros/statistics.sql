{#
  Statistics of readings by device or site, metric and period.

  Each table of readings is scanned once and aggregated wide; only the small result is turned into a row a metric.
  A reading that lacks a metric is null there and does not count.

  A metric is its name and unit, whatever columns it lies in: two models may share one, and a device may change from one
  to the other within a minute. The sums of such a metric are joined after the wide aggregates, and its percentiles are
  taken of the readings of all its columns together.

  Counts, minima, maxima, exact sums and newest values add up. So hours are made of readings, and the days of devices and
  sites of hours, to the same bits; only percentiles are taken of the readings each time.
#}

{#
  SQL for the sums of readings: rows of `keys` (name to SQL over a row of readings of one device), metric_name, unit and
  the columns of sums_of_metric, but for those in `without`.
#}
{% macro metric_sums(keys, without=[], by_site=none) %}
    {%- set tables = reading_tables() -%}
    {%- set shared = shared_columns(tables) -%}
    {%- if not shared -%}
    {{ metric_rows(keys, sums_of_metric, tables, by_site, without + ['last_arrival']) }}
    {%- else -%}
        {%- set group = keys.keys() | list + ['metric_name', 'unit'] -%}
        with
        parts as (
            {{ metric_rows(keys, sums_of_metric, tables, by_site, without) }}
        )
        select * exclude (last_arrival) from parts where not {{ is_one_of(shared) }}
        union all by name
        select
            {{ group | join(', ') }}
            {%- for name, expression in joined_sums().items() if name not in without %}
            , {{ expression }} as {{ name }}
            {%- endfor %}
        from parts
        where {{ is_one_of(shared) }}
        group by {{ group | join(', ') }}
    {%- endif -%}
{% endmacro %}


{#
  SQL for the percentiles of readings: rows of `keys`, metric_name, unit, value_p50 and value_p95. With by_site (see with_local_day)
  rows of readings have site_id and day_date.
#}
{% macro metric_percentiles(keys, by_site=none) %}
    {%- set tables = reading_tables() -%}
    {%- set shared = shared_columns(tables) -%}
    {%- set alone = alone_metrics(tables) -%}
    {%- if alone or not shared -%}
    select * from ({{ metric_rows(keys, percentiles_of_metric, alone, by_site) }})
    {%- endif -%}
    {%- if alone and shared %} union all by name {% endif -%}
    {%- if shared -%}
    select
        {{ keys.keys() | join(', ') }},
        metric_name,
        unit,
        quantile_cont(measured, [0.5, 0.95])[1] as value_p50,
        quantile_cont(measured, [0.5, 0.95])[2] as value_p95
    from (
        {%- for table, metric in shared_columns(tables) %}
        select
            {%- for name, expression in keys.items() %}
            {{ expression }} as {{ name }},
            {%- endfor %}
            {{ text_of(metric.metric_name) }} as metric_name,
            {{ text_of(metric.unit) }} as unit,
            "{{ metric.column }}"::double as measured
        from {{ with_local_day(table.source, by_site) if by_site else table.source }}
        where {{ planned_hours() }} and "{{ metric.column }}" is not null
        {{ "union all" if not loop.last }}
        {%- endfor %}
    )
    group by all
    {%- endif -%}
{% endmacro %}


{# The columns of metrics that more than one column holds, each as [table, metric]. #}
{% macro shared_columns(tables) %}
    {%- set found = [] -%}
    {%- for table in tables -%}
        {%- for metric in table.metrics if metric.is_shared -%} {%- do found.append([table, metric]) -%} {%- endfor -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}


{# The tables with those metrics only that one column holds; tables without any are left out. #}
{% macro alone_metrics(tables) %}
    {%- set found = [] -%}
    {%- for table in tables -%}
        {%- set metrics = table.metrics | rejectattr('is_shared') | list -%}
        {%- if metrics -%}
            {%- do found.append(dict(table, metrics=metrics)) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}


{# SQL that is true for rows of the metrics of these columns. #}
{% macro is_one_of(columns) -%}
    (metric_name, unit) in (
        {%- for _, metric in columns -%}
        ({{ text_of(metric.metric_name) }}, {{ text_of(metric.unit) }}){{ ", " if not loop.last }}
        {%- endfor -%}
    )
{%- endmacro %}


{% macro text_of(value) -%}
    '{{ value | replace("'", "''") }}'
{%- endmacro %}


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
        'last_event_at': ('timestamptz', 'max(event_at) ' ~ measured),
        'last_arrival': ('hugeint', 'max(' ~ arrival() ~ ') ' ~ measured if metric.is_shared else 'null::hugeint')
    }) }}
{% endmacro %}


{# How the sums of a group that stand in several columns come to one; by name. #}
{% macro joined_sums() %}
    {{ return({
        'model_id': 'arg_max(model_id, last_arrival)',
        'reading_count': 'sum(reading_count)::bigint',
        'value_min': 'min(value_min)',
        'value_max': 'max(value_max)',
        'exact_sum': 'sum(exact_sum)',
        'rest_of_sum': 'flatten(list(rest_of_sum) filter (where rest_of_sum is not null))',
        'value_last': 'arg_max(value_last, last_arrival)',
        'last_event_at': 'max(last_event_at)'
    }) }}
{% endmacro %}


{#
  What orders the readings of a device: event_at, then the offset, the partition, and the place in a pack, which stands
  behind the topic (telemetry#2). As one number, since last(value order by ...) makes a text of them for every reading, in
  twice the time. Fits offsets up to 2^44, packs of 2^14 messages and times up to 2255.
#}
{% macro arrival() -%}
    epoch_us(event_at)::hugeint * 18889465931478580854784 + ("offset" * 65536 + "partition")::hugeint * 16384
    + (case when topic = 'telemetry' then 0 else coalesce(try_cast(split_part(topic, '#', 2) as integer), 0) end)
{%- endmacro %}


{% macro percentiles_of_metric(metric, models) %}
    {%- set both = 'quantile_cont("' ~ metric.column ~ '"::double, [0.5, 0.95])' -%}
    {{ return({'value_p50': ('double', both ~ '[1]'), 'value_p95': ('double', both ~ '[2]')}) }}
{% endmacro %}


{#
  SQL for rows of `keys`, metric_name, unit and the aggregates of a metric (a macro), but for those in `without`, of tables
  of readings.
#}
{% macro metric_rows(keys, aggregates_of, tables, by_site=none, without=[]) %}
    {%- set tables = tables | selectattr('metrics') | list -%}
    {%- if not tables -%}
        {%- set types = {'event_date': 'date', 'day_date': 'date', 'event_hour': 'integer', 'minute_number': 'bigint'} -%}
        {%- set columns = {} -%}
        {%- for name in keys.keys() | list + ['metric_name', 'unit'] -%}
            {%- do columns.update({name: types.get(name, 'varchar')}) -%}
        {%- endfor -%}
        {%- for name, (type, _) in aggregates_of({'column': '', 'is_shared': false}, [{'model_id': ''}]).items() if name not in without -%}
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
            from {{ with_local_day(table.source, by_site) if by_site else table.source }}
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
            {{ text_of(metric.metric_name) }} as metric_name,
            {{ text_of(metric.unit) }} as unit
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
