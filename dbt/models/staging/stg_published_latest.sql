with

slices as (

    select * from {{ ref('stg_slices') }}

),

published as (

    select * from {{ pinned('gold.device_latest', {
        'device_id': 'varchar',
        'metric_name': 'varchar',
        'unit': 'varchar',
        'model_id': 'varchar',
        'site_id': 'varchar',
        'event_at': 'timestamptz',
        'event_date': 'date',
        'event_hour': 'integer',
        'value_last': 'double'
    }) }}

),

final as (

    select
        published.device_id,
        published.metric_name,
        published.unit,
        published.model_id,
        published.site_id,
        published.event_at,
        published.event_date,
        published.event_hour,
        published.value_last,
        slices.slice_at is not null as is_rebuilt
    from published
    left join slices using (event_date, event_hour)

)

select * from final
