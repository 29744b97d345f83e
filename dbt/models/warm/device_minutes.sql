{{ config(materialized='by_date', hours='(select * from plan.slices where has_data)') }}
{%- do reading_lineage() %}

with

placements as (

    select * from {{ ref('stg_placements') }} where {{ planned_hours() }}

),

metrics as (

    {{ metric_statistics({
        'device_id': 'device_id',
        'event_date': 'event_date',
        'event_hour': 'event_hour',
        'minute_number': 'epoch_us(event_at) // 60000000'
    }, percentiles=false) }}

),

final as (

    select
        metrics.device_id,
        metrics.metric_name,
        metrics.unit,
        metrics.model_id,
        placements.site_id,
        make_timestamptz((metrics.minute_number * 60000000)::bigint) as minute_at,
        metrics.event_date,
        metrics.event_hour,
        metrics.reading_count,
        metrics.value_min,
        metrics.value_max,
        metrics.value_mean,
        metrics.value_last
    from metrics
    left join placements using (device_id, event_date, event_hour)

)

select * from final
