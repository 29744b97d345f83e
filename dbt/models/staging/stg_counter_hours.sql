{{ config(materialized='by_date', hours=hours_with_readings('counter')) }}
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
        {{ falls_of_steps() }}
    from steps
    group by device_id, metric_name, unit, event_date, event_hour

)

select * from final
