{{ config(materialized='by_date', hours=hours_with_readings('gauge')) }}
{%- do reading_lineage() %}

with

readings as (

    {{ kind_readings('gauge', 'double') }}

),

steps as (

    select
        *,
        lag(value) over hours as before,
        (epoch_us(event_at) - lag(epoch_us(event_at)) over hours) / 1e6 as span_s
    from readings
    window hours as (partition by device_id, metric_name, unit, event_date, event_hour order by arrival)

),

-- sums in sorted order, to the same bits whatever order the readings lie in
grouped as (

    select
        device_id,
        metric_name,
        unit,
        event_date,
        event_hour,
        {{ readings_of_hour() }},
        list_sort(list(value)) as ordered,
        bool_or(is_linear) as is_linear,
        coalesce(list_sum(list_sort(
            list({{ area_of('before', 'value', 'span_s', 'is_linear') }}) filter (where span_s <= carry_limit_s)
        )), 0) as area,
        coalesce(list_sum(list_sort(list(span_s) filter (where span_s <= carry_limit_s))), 0) as spans_s
    from steps
    group by device_id, metric_name, unit, event_date, event_hour

),

averaged as (

    select *, list_sum(ordered) / reading_count as mean
    from grouped

),

final as (

    select
        * exclude (ordered),
        ordered[1] + 0.0::double as value_min,
        ordered[-1] + 0.0::double as value_max,
        list_sum(list_sort(list_transform(ordered, lambda x: (x - mean) * (x - mean)))) as squares
    from averaged

)

select * from final
