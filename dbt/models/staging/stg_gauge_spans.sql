with

{{ hours_begun('gauge', ref('stg_gauge_hours')) }},

spanned as (

    select *, coalesce((epoch_us(first_event_at) - epoch_us(carried_at)) / 1e6, 0) as carried_s
    from carried

),

final as (

    select
        {{ hour_begun() }},
        area + coalesce({{ area_of('carried_value', 'value_first', 'carried_s', 'is_linear') }}, 0) as integral,
        spans_s + carried_s as covered_s,
        mean,
        squares
    from spanned

)

select * from final
