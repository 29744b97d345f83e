with

spans as (

    select *
    from {{ ref('stg_gauge_spans') }}
    semi join {{ plan_hours('day_hours') }} as day_hours using (event_date, event_hour)

),

placements as (

    select * from {{ ref('stg_placements') }}

),

sums as (

    select
        {{ hours_of_day() }},
        arg_min(value_first, hour_at) as value_first,
        list_sum(list(integral order by hour_at)) as integral,
        list_sum(list(covered_s order by hour_at)) as covered_s,
        list_sum(list(mean * reading_count order by hour_at)) / sum(reading_count) as mean,
        list_sum(list(squares order by hour_at)) as squares_within,
        list({'mean': mean, 'readings': reading_count} order by hour_at) as hours
    from spans
    group by device_id, metric_name, unit, event_date

),

-- the squares about the mean of the day are those about the means of the hours, and those of the hours' means
squared as (

    select
        *,
        squares_within
        + list_sum(list_transform(hours, lambda h: h.readings * (h.mean - mean) * (h.mean - mean))) as squares
    from sums

),

final as (

    select
        squared.device_id,
        squared.metric_name,
        squared.unit,
        squared.model_id,
        placements.site_id,
        squared.event_date as day_date,
        squared.event_date,
        squared.reading_count,
        squared.value_min,
        squared.value_max,
        squared.value_first,
        squared.value_last,
        squared.integral * units.integral_per_hour as integral,
        units.integral_unit,
        squared.covered_s,
        {{ rate_of('squared.integral', 'squared.covered_s') }} as time_weighted_mean,
        sqrt(squared.squares / squared.reading_count) as value_stddev
    from squared
    inner join {{ integral_units() }} as units using (unit)
    left join placements using (device_id, event_date, event_hour)

)

select * from final
