{{ config(materialized='view') }}

with

minutes as (

    select * from {{ ref('stg_counter_minutes') }}

),

hours as (

    select * from {{ ref('stg_counter_increases') }}

),

-- the first minute of an hour with readings begins as the hour does
begun as (

    select
        minutes.*,
        case when minutes.before is null then hours.carried_value end as from_before,
        coalesce(minutes.before, hours.carried_value) as carried_value,
        coalesce(minutes.before_at, hours.carried_at) as carried_at
    from minutes
    inner join hours using (device_id, metric_name, unit, event_date, event_hour)

),

stepped as (

    select
        *,
        coalesce({{ is_rollover('from_before', 'value_first', 'maximum') }}, false)::bigint as is_rolled,
        coalesce(value_first < from_before, false)::bigint as is_fallen
    from begun

),

final as (

    select
        device_id,
        metric_name,
        unit,
        model_id,
        minute_at,
        event_date,
        event_hour,
        reading_count,
        value_min,
        value_max,
        value_last,
        carried_value,
        carried_at,
        first_event_at,
        last_event_at,
        greatest(0, value_last - coalesce(before, value_first) + corrections)
        + coalesce({{ step_of('from_before', 'value_first', 'maximum') }}, 0) + 0.0::double as increase,
        (epoch_us(last_event_at) - epoch_us(coalesce(carried_at, first_event_at))) / 1e6 as covered_s,
        fall_count + is_fallen - rollover_count - is_rolled as reset_count,
        rollover_count + is_rolled as rollover_count
    from stepped

)

select * from final
