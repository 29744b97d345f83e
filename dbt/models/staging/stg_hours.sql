{{ config(materialized='by_date', hours=hours_with_readings()) }}
{%- do sums_lineage() %}

with

final as (

    {{ metric_sums({'device_id': 'device_id', 'event_date': 'event_date', 'event_hour': 'event_hour'}) }}

)

select * from final
