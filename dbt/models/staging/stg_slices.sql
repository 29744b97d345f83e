{{ config(materialized='view') }}

with

final as (

    select slice_at, event_date, event_hour, has_data
    from {{ plan_table('slices', {
        'slice_at': 'timestamptz', 'event_date': 'date', 'event_hour': 'integer', 'has_data': 'boolean'
    }) }}

)

select * from final
