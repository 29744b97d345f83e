{{ config(materialized='by_date', hours=hours_with_counter_minutes()) }}
{%- do reading_lineage() %}

with

readings as (

    {{ kind_readings('counter', 'double') }}

),

steps as (

    select
        *,
        lag(value) over hours as before,
        lag(event_at) over hours as before_at,
        epoch_us(event_at) // 60000000 as minute_number
    from readings
    window hours as (partition by device_id, metric_name, unit, event_date, event_hour order by arrival)

),

final as (

    select
        device_id,
        metric_name,
        unit,
        event_date,
        event_hour,
        make_timestamptz((minute_number * 60000000)::bigint) as minute_at,
        {{ readings_of_hour() }},
        min(value) + 0.0::double as value_min,
        max(value) + 0.0::double as value_max,
        arg_min_null(before, arrival) as before,
        arg_min_null(before_at, arrival) as before_at,
        {{ falls_of_steps() }}
    from steps
    group by device_id, metric_name, unit, event_date, event_hour, minute_number

)

select * from final
