{{ config(materialized='by_date', hours=hours_with_readings()) }}
{%- do reading_lineage() %}

with

final as (

    {% for table in reading_tables() if table.metrics %}
    select
        '{{ table.name }}' as table_name,
        unnest([
            {%- for metric in table.metrics %}
            {
                'column_name': '{{ metric.column }}',
                'is_exact': bool_and({{ is_exact('"' ~ metric.column ~ '"::double') }})
            }{{ "," if not loop.last }}
            {%- endfor %}
        ], recursive := true)
    from {{ table.source }}
    where {{ planned_hours() }}
    having count(*) > 0
    {{ "union all" if not loop.last }}
    {% else %}
    select * from {{ no_rows({'table_name': 'varchar', 'column_name': 'varchar', 'is_exact': 'boolean'}) }}
    {% endfor %}

)

select * from final
