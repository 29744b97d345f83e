{#- device_hours is read only when something vanished: the cost of a refresh must follow the new data -#}
{%- set vanished = ref('stg_vanished') -%}
{%- set found = plan_rows("select max(vanished_from)::varchar from " ~ vanished) if load_relation(vanished) else [] -%}
{%- set newest_date = found[0][0] if found else none -%}

with

vanished as (

    select * from {{ vanished }}

),

slices as (

    select * from {{ ref('stg_slices') }}

),

published as (

    select *
    {%- set columns = {
        'device_id': 'varchar',
        'metric_name': 'varchar',
        'unit': 'varchar',
        'model_id': 'varchar',
        'site_id': 'varchar',
        'hour_at': 'timestamptz',
        'event_date': 'date',
        'event_hour': 'integer',
        'value_last': 'double',
        'last_event_at': 'timestamptz'
    } %}
    {%- if newest_date %}
    from {{ pinned('gold.device_hours', columns) }}
    where event_date <= date '{{ newest_date }}'
    {%- else %}
    from {{ no_rows(columns) }}
    {%- endif %}

),

final as (

    select
        published.device_id,
        published.metric_name,
        published.unit,
        arg_max(published.model_id, published.hour_at) as model_id,
        arg_max(published.site_id, published.hour_at) as site_id,
        max(published.last_event_at) as event_at,
        arg_max(published.event_date, published.hour_at) as event_date,
        arg_max(published.event_hour, published.hour_at) as event_hour,
        arg_max(published.value_last, published.hour_at) as value_last
    from published
    semi join vanished using (device_id, metric_name, unit)
    anti join slices using (event_date, event_hour)
    group by published.device_id, published.metric_name, published.unit

)

select * from final
