with

spans as (

    select *
    from {{ ref('stg_gauge_spans') }}
    semi join {{ ref('stg_slices') }} using (event_date, event_hour)

),

placements as (

    select * from {{ ref('stg_placements') }}

),

final as (

    select
        spans.device_id,
        spans.metric_name,
        spans.unit,
        spans.model_id,
        placements.site_id,
        spans.hour_at,
        spans.event_date,
        spans.event_hour,
        spans.reading_count,
        spans.value_min,
        spans.value_max,
        spans.value_first,
        spans.value_last,
        spans.first_event_at,
        spans.last_event_at,
        spans.carried_value,
        spans.carried_at,
        spans.integral * units.integral_per_hour as integral,
        units.integral_unit,
        spans.covered_s,
        {{ rate_of('spans.integral', 'spans.covered_s') }} as time_weighted_mean,
        sqrt(spans.squares / spans.reading_count) as value_stddev
    from spans
    inner join {{ integral_units() }} as units using (unit)
    left join placements using (device_id, event_date, event_hour)

)

select * from final
