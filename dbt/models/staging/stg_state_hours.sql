{{ config(materialized='by_date', hours='(select * from plan.slices where has_data and ' ~ has_kind('state') ~ ')') }}
{%- do reading_lineage() %}

with

readings as (

    {{ kind_readings('state', 'varchar') }}

),

-- times in microseconds since 1970
steps as (

    select
        *,
        epoch_us(event_at) as at_us,
        carry_limit_s * 1000000::bigint as limit_us,
        (epoch_us(event_at) // 3600000000 + 1) * 3600000000 as end_us,
        lead(epoch_us(event_at)) over hours as next_us,
        lag(epoch_us(event_at)) over hours as before_us,
        lag(value) over hours as before
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
        value as state,
        arg_max(model_id, arrival) as model_id,
        count(*) as reading_count,
        sum(least(coalesce(next_us, end_us) - at_us, limit_us))::bigint as held_us,
        count(*) filter (where value <> before and at_us - before_us <= limit_us) as entered_count,
        min(arrival) as first_arrival,
        max(arrival) as last_arrival,
        min(event_at) as first_event_at,
        max(event_at) as last_event_at,
        max(carry_limit_s) as carry_limit_s
    from steps
    group by device_id, metric_name, unit, event_date, event_hour, value

)

select * from final
