{{ config(materialized='by_date', hours='plan.day_hours') }}
{%- do reading_lineage() %}

with

placements as (

    select * from {{ ref('stg_placements') }} where {{ planned_hours() }}

),

metrics as (

    {{ metric_statistics({'device_id': 'device_id', 'event_date': 'event_date'}) }}

),

final as (

    select
        metrics.device_id,
        metrics.metric_name,
        metrics.unit,
        metrics.model_id,
        placements.site_id,
        metrics.event_date as day_date,
        metrics.event_date,
        metrics.reading_count,
        metrics.value_min,
        metrics.value_max,
        metrics.value_mean,
        metrics.value_last,
        metrics.value_p50,
        metrics.value_p95
    from metrics
    left join placements
        on placements.device_id = metrics.device_id
        and placements.slice_at = date_trunc('hour', metrics.last_event_at)

)

select * from final
