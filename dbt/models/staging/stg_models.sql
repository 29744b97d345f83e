{{ config(materialized='view') }}

with

final as (

    select model_id, table_name, reporting_interval_s, late_after_s
    from {{ plan_table('models', {
        'model_id': 'varchar', 'table_name': 'varchar', 'reporting_interval_s': 'integer', 'late_after_s': 'integer'
    }) }}

)

select * from final
