-- depends_on: {{ source('silver', 'sites') }}
with

declared as (

    select site_id, name, zone, parent_id, path
    from {{ plan_table('sites', {
        'site_id': 'varchar', 'name': 'varchar', 'zone': 'varchar', 'parent_id': 'varchar', 'path': 'varchar'
    }) }}

),

named as (

    select distinct site_id
    from {{ ref('stg_registry') }}
    where site_id is not null and site_id not in (select site_id from declared)

),

final as (

    select site_id, name, zone, parent_id, path, true as is_declared
    from declared

    union all

    select
        site_id,
        null::varchar as name,
        'UTC' as zone,
        null::varchar as parent_id,
        '/' || site_id as path,
        false as is_declared
    from named

)

select * from final
