{{ config(materialized='by_date', hours='plan.day_hours') }}
{%- do reading_lineage() %}

with

placements as (

    select * from {{ ref('stg_placements') }} where {{ planned_hours() }}

),

hours as (

    select * from {{ ref('stg_hours') }} where {{ planned_hours() }}

),

sums as (

    {{ added_up('hours', ['device_id', 'event_date']) }}

),

percentiles as (

    {{ metric_percentiles({'device_id': 'device_id', 'event_date': 'event_date'}) }}

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
        {{ value_statistics() }},
        sums.value_last,
        {{ value_percentiles() }}
    from sums
    inner join percentiles using (device_id, event_date, metric_name, unit)
    left join placements
        on placements.device_id = sums.device_id
        and placements.slice_at = date_trunc('hour', sums.last_event_at)

)

select * from final
