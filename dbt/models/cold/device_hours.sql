{{ config(materialized='by_date', hours='(select * from plan.slices where has_data)') }}
{%- do reading_lineage() %}

with

placements as (

    select * from {{ ref('stg_placements') }} where {{ planned_hours() }}

),

sums as (

    select * from {{ ref('stg_hours') }} where {{ planned_hours() }}

),

percentiles as (

    {{ metric_percentiles({'device_id': 'device_id', 'event_date': 'event_date', 'event_hour': 'event_hour'}) }}

),

final as (

    select
        sums.device_id,
        sums.metric_name,
        sums.unit,
        sums.model_id,
        placements.site_id,
        date_trunc('hour', sums.last_event_at) as hour_at,
        sums.event_date,
        sums.event_hour,
        sums.reading_count,
        {{ value_statistics() }},
        sums.value_last,
        sums.last_event_at,
        {{ value_percentiles() }}
    from sums
    inner join percentiles using (device_id, event_date, event_hour, metric_name, unit)
    left join placements using (device_id, event_date, event_hour)

)

select * from final
