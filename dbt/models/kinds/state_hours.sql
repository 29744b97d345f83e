with

parts as (

    select * from {{ ref('stg_state_parts') }}

),

placements as (

    select * from {{ ref('stg_placements') }}

),

final as (

    select
        parts.device_id,
        parts.metric_name,
        parts.unit,
        parts.model_id,
        placements.site_id,
        parts.state,
        parts.hour_at,
        parts.event_date,
        parts.event_hour,
        parts.reading_count,
        parts.duration_s,
        parts.entered_count,
        parts.is_last,
        parts.is_carried,
        parts.last_event_at,
        parts.carried_at
    from parts
    left join placements using (device_id, event_date, event_hour)

)

select * from final
