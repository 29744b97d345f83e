with

registry as (

    select * from {{ ref('stg_registry') }}

),

latest as (

    select device_id, max(event_at) as last_event_at
    from {{ ref('device_latest') }}
    group by device_id

),

final as (

    select
        registry.device_id,
        registry.status,
        registry.in_service_at,
        registry.model_id,
        registry.site_id,
        registry.reporting_interval_s,
        latest.last_event_at,
        registry.valid_from
    from registry
    left join latest using (device_id)
    where registry.is_current

)

select * from final
