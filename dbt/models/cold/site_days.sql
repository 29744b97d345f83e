{{ config(materialized='by_date', hours='plan.day_hours') }}
{%- do reading_lineage() %}

with

placements as (

    select * from {{ ref('stg_placements') }} where {{ planned_hours() }}

),

hours as (

    select * from {{ with_site(ref('stg_hours')) }}

),

sums as (

    {{ added_up('hours', ['site_id', 'event_date'], by_site=true) }}

),

percentiles as (

    {{ metric_percentiles({'site_id': 'site_id', 'event_date': 'event_date'}, by_site=true) }}

),

final as (

    select
        sums.site_id,
        sums.metric_name,
        sums.unit,
        sums.event_date as day_date,
        sums.event_date,
        sums.device_count,
        sums.reading_count,
        {{ value_statistics() }},
        {{ value_percentiles() }}
    from sums
    inner join percentiles using (site_id, event_date, metric_name, unit)

)

select * from final
