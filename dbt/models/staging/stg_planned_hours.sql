{{ config(materialized='view') }}

with

slices as (

    select * from {{ ref('stg_slices') }}

),

day_hours as (

    select slice_at, event_date, event_hour
    from {{ plan_table('day_hours', {
        'slice_at': 'timestamptz', 'event_date': 'date', 'event_hour': 'integer'
    }) }}

),

local_hours as (

    select slice_at, event_date, event_hour
    from {{ plan_table('local_hours', local_hour_columns()) }}

),

final as (

    select slice_at, event_date, event_hour from local_hours
    union
    select slice_at, event_date, event_hour from slices
    union
    select slice_at, event_date, event_hour from day_hours

)

select * from final
