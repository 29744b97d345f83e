{{ config(materialized='by_date', hours='plan.day_hours') }}
{%- do reading_lineage() %}

with

placements as (

    select * from {{ ref('stg_placements') }} where {{ planned_hours() }}

),

metrics as (

    {{ metric_statistics({'site_id': 'site_id', 'event_date': 'event_date'}, by_site=true) }}

),

final as (

    select
        site_id,
        metric_name,
        unit,
        event_date as day_date,
        event_date,
        device_count,
        reading_count,
        value_min,
        value_max,
        value_mean,
        value_p50,
        value_p95
    from metrics

)

select * from final
