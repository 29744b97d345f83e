{#
  Figures by kind of telemetry: counters, states, gauges. The rules stand in docs/guide/kinds.md.

  An hour begins with the newest reading before it, within the carry limit of the telemetry. That reading is known from the
  last readings of hours: those that are built now, and those that stand in published gold. Of held hours nothing is
  carried.
#}

{# The columns of a kind: column, metric_name, unit, carry_limit_s, maximum, interpolation and the table's source. #}
{% macro kind_columns(kind) %}
    {%- set columns = [] -%}
    {%- for row in plan_rows("
        select
            column_name, metric_name, unit, max(carry_limit_s) over (partition by metric_name, unit), maximum,
            interpolation, uri, version::varchar
        from plan.kinds inner join plan.tables using (table_name)
        where kind = '" ~ kind ~ "'
        order by table_name, column_name
    ") -%}
        {%- do columns.append({
            'column': row[0], 'metric_name': row[1], 'unit': row[2], 'carry_limit_s': row[3],
            'maximum': row[4], 'interpolation': row[5], 'source': scan(row[6], row[7])
        }) -%}
    {%- endfor -%}
    {{ return(columns) }}
{% endmacro %}


{# SQL for the readings of a kind, a row each, in the planned hours; `type` is that of the column `value`. #}
{% macro kind_readings(kind, type) %}
    {%- for metric in kind_columns(kind) %}
    select
        device_id,
        {{ text_of(metric.metric_name) }} as metric_name,
        {{ text_of(metric.unit) }} as unit,
        event_date,
        event_hour,
        model_id,
        event_at,
        {{ arrival() }} as arrival,
        "{{ metric.column }}"::{{ type }} as value,
        {{ 'null' if metric.maximum is none else metric.maximum }}::double as maximum,
        {{ metric.carry_limit_s }} as carry_limit_s,
        {{ "true" if metric.interpolation == "linear" else "false" }} as is_linear
    from {{ metric.source }}
    where {{ planned_hours() }} and "{{ metric.column }}" is not null
    {{ "union all" if not loop.last }}
    {%- else %}
    select * from {{ no_rows({
        'device_id': 'varchar', 'metric_name': 'varchar', 'unit': 'varchar', 'event_date': 'date',
        'event_hour': 'integer', 'model_id': 'varchar', 'event_at': 'timestamptz', 'arrival': 'hugeint',
        'value': type, 'maximum': 'double', 'carry_limit_s': 'integer', 'is_linear': 'boolean'
    }) }}
    {%- endfor %}
{% endmacro %}


{# SQL for the hours of a plan table, or none without a plan. #}
{% macro plan_hours(name) -%}
    (select event_date, event_hour from {{ plan_table(name, {'event_date': 'date', 'event_hour': 'integer'}) }})
{%- endmacro %}


{#
  SQL for published rows of a table of hours from which the planned hours may carry: those that are not built now and not
  held. With with_days all hours of the planned days are built. Only the dates that the carry limit reaches back to are
  read, also from the hours of local days.
#}
{% macro published_before(kind, table_name, columns, with_days=false) %}
    {%- set limits = plan_rows("
        select coalesce(max(carry_limit_s), 0) // 86400 + 1 from plan.kinds where kind = '" ~ kind ~ "' having count(*) > 0
    ") -%}
    {%- set dates = "
        select distinct (event_date - back::integer)::date as event_date
        from (
            select event_date from plan.slices
            union select event_date from plan.day_hours
            union select event_date from plan.local_hours
        ), range(" ~ limits[0][0] + 1 ~ ") as days(back)
    " if limits else none -%}
    {{ published_of(table_name, columns, dates) }}
    {%- if with_days %}
    anti join {{ plan_hours('day_hours') }} as day_hours using (event_date, event_hour)
    {%- endif %}
{% endmacro %}


{# SQL for published rows of a table of hours of the planned days, but for the hours that are built now or held. #}
{% macro published_of_days(table_name, columns) %}
    {{ published_of(table_name, columns, "select day_date as event_date from plan.days") }}
{% endmacro %}


{#
  SQL for published rows of a table of hours, but for the hours that are built now or held. `dates` is SQL for the dates
  that are needed, or none; they are read by scans of their own where they have gaps.
#}
{% macro published_of(table_name, columns, dates) %}
    {%- set ranges = plan_rows("
        with needed as (" ~ dates ~ "),
        numbered as (
            select event_date, event_date - row_number() over (order by event_date)::integer as stretch
            from needed
            -- of dates that are built as a whole nothing is kept, and nothing read
            anti join (select event_date from plan.slices group by event_date having count(*) = 24) as whole
                using (event_date)
        )
        select min(event_date)::varchar, max(event_date)::varchar from numbered group by stretch order by 1
    ") if dates else [] -%}
    {%- set published = pinned(table_name, columns) -%}
    select published.*
    from (
        {%- for first, last in ranges %}
        select {{ columns.keys() | join(', ') }} from {{ published }}
        where event_date between date '{{ first }}' and date '{{ last }}'
        {{ "union all" if not loop.last }}
        {%- else %}
        select * from {{ no_rows(columns) }}
        {%- endfor %}
    ) as published
    anti join {{ plan_hours('slices') }} as slices using (event_date, event_hour)
    anti join {{ plan_hours('held') }} as held using (event_date, event_hour)
{% endmacro %}


{#
  The CTEs up to `carried`: the hours with readings of a kind (`readings`, a relation), each with carried_value and
  carried_at, those of the newest reading before it within the carry limit.
#}
{% macro hours_begun(kind, readings) %}
hours as (

    select *, date_trunc('hour', first_event_at) as hour_at
    from {{ readings }}
    anti join {{ plan_hours('held') }} as held using (event_date, event_hour)

),

published as (

    {{ published_before(kind, 'gold.' ~ kind ~ '_hours', {
        'device_id': 'varchar', 'metric_name': 'varchar', 'unit': 'varchar', 'event_date': 'date',
        'event_hour': 'integer', 'value_last': 'double', 'last_event_at': 'timestamptz'
    }, with_days=true) }}

),

edges as (

    select device_id, metric_name, unit, value_last, last_event_at from published
    union all
    select device_id, metric_name, unit, value_last, last_event_at from hours

),

paired as (

    select
        hours.*,
        edges.value_last as edge_value,
        edges.last_event_at as edge_at,
        epoch_us(hours.first_event_at) - epoch_us(edges.last_event_at) <= hours.carry_limit_s * 1000000::bigint as is_near
    from hours
    asof left join edges
        on hours.device_id = edges.device_id
        and hours.metric_name = edges.metric_name
        and hours.unit = edges.unit
        and hours.hour_at > edges.last_event_at

),

carried as (

    select
        *,
        case when is_near then edge_value end as carried_value,
        case when is_near then edge_at end as carried_at
    from paired

)
{%- endmacro %}


{# The columns of `carried` that hours of counters and gauges have in common. #}
{% macro hour_begun() -%}
        device_id,
        metric_name,
        unit,
        model_id,
        hour_at,
        event_date,
        event_hour,
        reading_count,
        value_min,
        value_max,
        value_first,
        value_last,
        first_event_at,
        last_event_at,
        carried_value,
        carried_at
{%- endmacro %}


{# What hours of counters and gauges have in common, of the readings of a device, metric and unit. #}
{% macro readings_of_hour() -%}
        arg_max(model_id, arrival) as model_id,
        count(*) as reading_count,
        arg_min(value, arrival) + 0.0::double as value_first,
        arg_max(value, arrival) + 0.0::double as value_last,
        min(event_at) as first_event_at,
        max(event_at) as last_event_at,
        max(carry_limit_s) as carry_limit_s
{%- endmacro %}


{# What days of counters and gauges have in common, of their hours. #}
{% macro hours_of_day() -%}
        device_id,
        metric_name,
        unit,
        event_date,
        arg_max(model_id, hour_at) as model_id,
        max(event_hour) as event_hour,
        sum(reading_count)::bigint as reading_count,
        min(value_min) as value_min,
        max(value_max) as value_max,
        arg_max(value_last, hour_at) as value_last
{%- endmacro %}


{# SQL that is true while some telemetry is of a kind; without, no hour is looked at for its sake. #}
{% macro has_kind(kind) -%}
    exists (select 1 from plan.kinds where kind = '{{ kind }}')
{%- endmacro %}


{# A figure by hour of the seconds in which it came about; null where that is no time at all. #}
{% macro rate_of(figure, seconds) -%}
    case when {{ seconds }} > 0 then {{ figure }} * 3600 / {{ seconds }} end
{%- endmacro %}


{# What a gauge amounts to by hours between two readings: the first one's value goes on, or a straight line leads on. #}
{% macro area_of(old, new, seconds, is_linear) -%}
    (case when {{ is_linear }} then {{ old }} / 2 + {{ new }} / 2 else {{ old }} end * {{ seconds }} / 3600)
{%- endmacro %}


{# SQL for the integrals of gauges by their units: unit, integral_unit, integral_per_hour. #}
{% macro integral_units() -%}
    (
        select distinct unit, integral_unit, integral_per_hour
        from {{ plan_table('kinds', {'kind': 'varchar', 'unit': 'varchar', 'integral_unit': 'varchar', 'integral_per_hour': 'double'}) }}
        where kind = 'gauge'
    )
{%- endmacro %}
