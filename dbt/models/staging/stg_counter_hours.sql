{{ config(materialized='by_date', hours=hours_with_readings()) }}
{%- do reading_lineage() %}

with

readings as (

    {{ kind_readings('counter', 'double') }}

),

steps as (

    select
        *,
        lag(value) over (
            partition by device_id, metric_name, unit, event_date, event_hour
            order by arrival
        ) as before
    from readings

),

final as (

    select
        device_id,
        metric_name,
        unit,
        event_date,
        event_hour,
        {{ readings_of_hour() }},
        min(value) + 0.0::double as value_min,
        max(value) + 0.0::double as value_max,
        max(maximum) as maximum,
        -- in sorted order, to the same bits whatever order the readings lie in
        coalesce(list_sum(list_sort(
            list({{ correction_of('before', 'value', 'maximum') }}) filter (where value < before)
        )), 0) as corrections,
        count(*) filter (where value < before) as fall_count,
        count(*) filter (where {{ is_rollover('before', 'value', 'maximum') }}) as rollover_count
    from steps
    group by device_id, metric_name, unit, event_date, event_hour

)

select * from final
