with

{{ hours_begun('counter', ref('stg_counter_hours')) }},

summed as (

    select
        *,
        -- apart from the other steps, so that a large register that is reset leaves no rounding of its size
        greatest(0, value_last - value_first + corrections)
        + coalesce({{ step_of('carried_value', 'value_first', 'maximum') }}, 0) + 0.0::double as increase,
        (epoch_us(last_event_at) - epoch_us(coalesce(carried_at, first_event_at))) / 1e6 as covered_s,
        rollover_count + coalesce({{ is_rollover('carried_value', 'value_first', 'maximum') }}, false)::bigint as rollovers,
        fall_count + coalesce(value_first < carried_value, false)::bigint as falls
    from carried

),

final as (

    select
        {{ hour_begun() }},
        increase,
        covered_s,
        falls - rollovers as reset_count,
        rollovers as rollover_count
    from summed

)

select * from final
