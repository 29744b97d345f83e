{{ config(materialized='by_date', hours='(select * from plan.slices where has_data)') }}
{%- do reading_lineage() %}

with

placements as (

    select * from {{ ref('stg_placements') }} where {{ planned_hours() }}

),

sums as (

    {{ metric_sums({
        'device_id': 'device_id',
        'event_date': 'event_date',
        'event_hour': 'event_hour',
        'minute_number': 'epoch_us(event_at) // 60000000'
    }) }}

),

final as (

    select
        sums.device_id,
        sums.metric_name,
        sums.unit,
        sums.model_id,
        placements.site_id,
        make_timestamptz((sums.minute_number * 60000000)::bigint) as minute_at,
        sums.event_date,
        sums.event_hour,
        sums.reading_count,
        {{ value_statistics() }},
        sums.value_last
    from sums
    left join placements using (device_id, event_date, event_hour)

)

select * from final
