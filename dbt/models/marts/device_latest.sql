with

slices as (

    select * from {{ ref('stg_slices') }}

),

published as (

    select * from {{ ref('stg_published_latest') }}

),

fallback as (

    select * from {{ ref('stg_fallback_hours') }}

),

hours as (

    select * from {{ ref('device_hours') }}

),

-- the candidate may hold more hours than the plan, once hours are held
rebuilt as (

    select hours.*
    from hours
    semi join slices using (event_date, event_hour)

),

together as (

    select device_id, metric_name, unit, model_id, site_id, event_at, event_date, event_hour, value_last
    from published
    where not is_rebuilt

    union all

    select device_id, metric_name, unit, model_id, site_id, event_at, event_date, event_hour, value_last
    from fallback

    union all

    select
        device_id, metric_name, unit, model_id, site_id, last_event_at as event_at, event_date, event_hour, value_last
    from rebuilt

),

final as (

    select device_id, metric_name, unit, model_id, site_id, event_at, event_date, event_hour, value_last
    from together
    qualify row_number() over (partition by device_id, metric_name, unit order by event_at desc) = 1

)

select * from final
