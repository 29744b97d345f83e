{{ config(materialized='by_date', hours="(
    select event_date, event_hour, record_count from plan.slices where has_data
    union
    select event_date, event_hour, record_count from plan.day_hours
)") }}
{%- do reading_lineage() %}

with

final as (

    {{ metric_sums({'device_id': 'device_id', 'event_date': 'event_date', 'event_hour': 'event_hour'}) }}

)

select * from final
