with

increases as (

    select *
    from {{ ref('stg_counter_increases') }}
    semi join {{ plan_hours('day_hours') }} as day_hours using (event_date, event_hour)

),

placements as (

    select * from {{ ref('stg_placements') }}

),

sums as (

    select
        {{ hours_of_day() }},
        list_sum(list(increase order by hour_at)) as increase,
        list_sum(list(covered_s order by hour_at)) as covered_s,
        sum(reset_count)::bigint as reset_count,
        sum(rollover_count)::bigint as rollover_count
    from increases
    group by device_id, metric_name, unit, event_date

),

final as (

    select
        sums.device_id,
        sums.metric_name,
        sums.unit,
        sums.model_id,
        placements.site_id,
        sums.event_date as day_date,
        sums.event_date,
        sums.reading_count,
        sums.value_min,
        sums.value_max,
        sums.value_last,
        sums.increase,
        sums.covered_s,
        {{ rate_of('sums.increase', 'sums.covered_s') }} as increase_per_h,
        sums.reset_count,
        sums.rollover_count
    from sums
    left join placements using (device_id, event_date, event_hour)

)

select * from final
