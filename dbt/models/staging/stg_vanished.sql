with

slices as (

    select * from {{ ref('stg_slices') }}

),

published as (

    select * from {{ ref('stg_published_latest') }}

),

rebuilt as (

    select device_id, metric_name, unit, max(hour_at) as newest_hour_at
    from {{ ref('device_hours') }}
    where hour_at in (select slice_at from slices)
    group by device_id, metric_name, unit

),

final as (

    select published.device_id, published.metric_name, published.unit, published.event_date as vanished_from
    from published
    left join rebuilt using (device_id, metric_name, unit)
    where published.is_rebuilt
        and (rebuilt.newest_hour_at is null or rebuilt.newest_hour_at < date_trunc('hour', published.event_at))

)

select * from final
