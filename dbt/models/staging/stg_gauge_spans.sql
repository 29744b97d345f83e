with

{{ hours_begun('gauge', ref('stg_gauge_hours')) }},

spanned as (

    select *, coalesce((epoch_us(first_event_at) - epoch_us(carried_at)) / 1e6, 0) as carried_s
    from carried

),

final as (

    select
        device_id,
        metric_name,
        unit,
        model_id,
        hour_at,
        event_date,
        event_hour,
        reading_count,
        value_min,
        value_max,
        value_first,
        value_last,
        first_event_at,
        last_event_at,
        carried_value,
        carried_at,
        area + coalesce({{ area_of('carried_value', 'value_first', 'carried_s', 'is_linear') }}, 0) as integral,
        spans_s + carried_s as covered_s,
        mean,
        squares
    from spanned

)

select * from final
