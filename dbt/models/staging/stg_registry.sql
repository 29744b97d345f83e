-- depends_on: {{ source('silver', 'devices') }}
with

final as (

    select
        device_id,
        valid_from,
        valid_to,
        is_current,
        status,
        in_service_at,
        model_id,
        site_id,
        reporting_interval_s
    from {{ pinned('silver.devices', {
        'device_id': 'varchar',
        'valid_from': 'timestamptz',
        'valid_to': 'timestamptz',
        'is_current': 'boolean',
        'status': 'varchar',
        'in_service_at': 'timestamptz',
        'model_id': 'varchar',
        'site_id': 'varchar',
        'reporting_interval_s': 'integer'
    }) }}

)

select * from final
