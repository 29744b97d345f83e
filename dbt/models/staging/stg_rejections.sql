-- depends_on: {{ source('silver', 'rejected') }}
{{ config(materialized='by_date', hours='(select * from plan.slices where has_data)') }}

with

registry as (

    select * from {{ ref('stg_registry') }}

),

rejected as (

    select device_id, event_date, event_hour, reason
    from {{ pinned('silver.rejected', {
        'device_id': 'varchar', 'event_date': 'date', 'event_hour': 'integer', 'reason': 'varchar', 'topic': 'varchar'
    }) }}
    where {{ planned_hours() }} and topic like 'telemetry%' and reason <> 'unpacked'

),

final as (

    select
        device_id,
        event_date,
        event_hour,
        count(*) filter (where reason in ('duplicate', 'conflict')) as duplicate_count,
        count(*) filter (where reason not in ('duplicate', 'conflict')) as rejected_count
    from rejected
    where device_id in (select device_id from registry)
    group by device_id, event_date, event_hour

)

select * from final
