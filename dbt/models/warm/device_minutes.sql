{{ config(
    materialized='by_date',
    hours='(select * from plan.slices where has_data)',
    pre_hook=[
        "{{ create_enumeration('device_ids', ref('stg_hours'), 'device_id') }}",
        "{{ create_enumeration('metric_names', ref('stg_hours'), 'metric_name') }}",
        "{{ create_enumeration('units', ref('stg_hours'), 'unit') }}",
        "{{ create_enumeration('model_ids', ref('stg_models'), 'model_id') }}",
        "{{ create_enumeration('site_ids', ref('stg_placements'), 'site_id') }}"
    ]
) }}
{%- do sums_lineage() %}

with

placements as (

    select * from {{ ref('stg_placements') }} where {{ planned_hours() }}

),

sums as (

    {{ metric_sums(
        {'device_id': 'device_id', 'minute_number': 'epoch_us(event_at) // 60000000'}, without=['last_event_at']
    ) }}

),

-- not keys of the groups, of which a shorter key takes less
timed as (

    select
        sums.*,
        make_timestamptz((minute_number * 60000000)::bigint) as minute_at,
        date '1970-01-01' + (minute_number // 1440)::integer as event_date,
        (minute_number // 60 % 24)::integer as event_hour
    from sums

),

final as (

    select
        timed.device_id::staging.device_ids as device_id,
        timed.metric_name::staging.metric_names as metric_name,
        timed.unit::staging.units as unit,
        timed.model_id::staging.model_ids as model_id,
        placements.site_id::staging.site_ids as site_id,
        timed.minute_at,
        timed.event_date,
        timed.event_hour,
        timed.reading_count,
        {{ value_statistics() }},
        timed.value_last
    from timed
    left join placements using (device_id, event_date, event_hour)

)

select * from final
