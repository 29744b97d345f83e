{#
  The plan: what the pipeline wrote into schema `plan` of the candidate file before it called dbt.
  Without a plan (dbt parse, compile and docs in a bare checkout) everything here is empty.
#}

{# Rows of a query over the plan, or none when there is no plan. #}
{% macro plan_rows(sql) %}
    {%- if execute -%}
        {%- set is_there = run_query("select count(*) from duckdb_tables() where schema_name = 'plan'") -%}
        {%- if is_there.rows[0][0] > 0 -%} {{ return(run_query(sql).rows) }} {%- endif -%}
    {%- endif -%}
    {{ return([]) }}
{% endmacro %}


{# A table of the plan as a relation, or an empty relation with `columns` (name to type) when there is no plan. #}
{% macro plan_table(name, columns) %}
    {%- if plan_rows("select 1 from duckdb_tables() where schema_name = 'plan' and table_name = '" ~ name ~ "'") -%}
        plan.{{ name }}
    {%- else -%}
        {{ no_rows(columns) }}
    {%- endif -%}
{% endmacro %}


{# An input table at its pinned version, or an empty relation with `columns` when the plan has none of that name. #}
{% macro pinned(table_name, columns) %}
    {%- set found = plan_rows("select uri, version from plan.tables where table_name = '" ~ table_name ~ "'") -%}
    {%- if found -%} {{ scan(found[0][0], found[0][1]) }} {%- else -%} {{ no_rows(columns) }} {%- endif -%}
{% endmacro %}


{% macro scan(uri, version) -%}
    delta_scan('{{ uri | replace("'", "''") }}', version={{ version }})
{%- endmacro %}


{% macro no_rows(columns) -%}
    (
        select
            {%- for name, type in columns.items() %}
            null::{{ type }} as {{ name }}{{ "," if not loop.last }}
            {%- endfor %}
        where false
    )
{%- endmacro %}


{#
  The tables of readings: name, source (SQL to select from), has_versions (several models share the table) and metrics
  (column, metric_name, unit).
#}
{% macro reading_tables() %}
    {%- set rows = plan_rows("
        select
            tables.table_name,
            tables.uri,
            tables.version::varchar,
            metrics.column_name,
            metrics.metric_name,
            metrics.unit,
            (select count(*) > 1 from plan.models where models.table_name = tables.table_name) as has_versions
        from plan.tables
        left join plan.metrics on metrics.table_name = tables.table_name
        where tables.table_name like 'silver.%' and tables.table_name not in ('silver.rejected', 'silver.devices')
        order by all
    ") -%}
    {%- set tables = {} -%}
    {%- for name, uri, version, column, metric_name, unit, has_versions in rows -%}
        {%- if name not in tables -%}
            {%- set table = {'name': name, 'source': scan(uri, version), 'has_versions': has_versions, 'metrics': []} -%}
            {%- do tables.update({name: table}) -%}
        {%- endif -%}
        {%- if column is not none -%}
            {%- set metric = {'column': column, 'metric_name': metric_name, 'unit': unit} -%}
            {%- do tables[name]['metrics'].append(metric) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(tables.values() | list) }}
{% endmacro %}


{# The built-in tables of readings, so that dbt's lineage shows them; which ones are read the plan says at run time. #}
{% macro reading_lineage() -%}
    {%- do source('silver', 'thermostats') -%}
    {%- do source('silver', 'energy_meters') -%}
    {%- do source('silver', 'pumps') -%}
{%- endmacro %}
