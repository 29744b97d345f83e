with

hours as (

    select * from {{ ref('stg_planned_hours') }}

),

registry as (

    select * from {{ ref('stg_registry') }}

),

-- a device's first record counts from the start of the hour that it begins in
effective as (

    {{ placed_from('registry') }}

),

device_hours as (

    select devices.device_id, hours.slice_at, hours.event_date, hours.event_hour
    from hours
    cross join (select distinct device_id from registry) as devices

),

final as (

    select
        device_hours.device_id,
        device_hours.slice_at,
        device_hours.event_date,
        device_hours.event_hour,
        effective.model_id,
        effective.site_id
    from device_hours
    asof join effective
        on device_hours.device_id = effective.device_id
        and device_hours.slice_at >= effective.counts_from

)

select * from final
