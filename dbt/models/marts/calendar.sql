-- depends_on: {{ source('silver', 'sites') }}
{%- do reading_lineage() %}

with

final as (

    select zone, day_date, starts_at, ends_at, hours_in_day, is_dst_change, week_date, month_date
    from {{ plan_table('calendar', {
        'zone': 'varchar',
        'day_date': 'date',
        'starts_at': 'timestamptz',
        'ends_at': 'timestamptz',
        'hours_in_day': 'double',
        'is_dst_change': 'boolean',
        'week_date': 'date',
        'month_date': 'date'
    }) }}

)

select * from final
