with

increases as (

    select *
    from {{ ref('stg_counter_increases') }}
    semi join {{ ref('stg_slices') }} using (event_date, event_hour)

),

placements as (

    select * from {{ ref('stg_placements') }}

),

final as (

    select
        increases.device_id,
        increases.metric_name,
        increases.unit,
        increases.model_id,
        placements.site_id,
        increases.hour_at,
        increases.event_date,
        increases.event_hour,
        increases.reading_count,
        increases.value_min,
        increases.value_max,
        increases.value_first,
        increases.value_last,
        increases.first_event_at,
        increases.last_event_at,
        increases.carried_value,
        increases.carried_at,
        increases.increase,
        increases.covered_s,
        {{ rate_of('increases.increase', 'increases.covered_s') }} as increase_per_h,
        increases.reset_count,
        increases.rollover_count
    from increases
    left join placements using (device_id, event_date, event_hour)

)

select * from final
