{#
  The plan: what the pipeline wrote into schema `plan` of the candidate file before it called dbt.
  Without a plan (dbt parse, compile and docs in a bare checkout) everything here is empty.
#}

{# Rows of a query over the plan, or none when there is no plan. #}
{% macro plan_rows(sql) %}
    {%- if execute and has_plan() -%} {{ return(run_query(sql).rows) }} {%- endif -%}
    {{ return([]) }}
{% endmacro %}


{# Whether there is a plan: the pipeline, which wrote one, says so and spares a question each time. #}
{% macro has_plan() %}
    {%- if env_var('LAKEHOUSE_HAS_PLAN', '') -%} {{ return(true) }} {%- endif -%}
    {%- set found = run_query("select count(*) from duckdb_tables() where schema_name = 'plan'") -%}
    {{ return(found.rows[0][0] > 0) }}
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
  The tables of readings: name, source (SQL to select from), models (model_id, late_after_s) and metrics (column,
  metric_name, unit, is_shared: true when another column here holds the same metric, and is_exact: true once
  stg_exactness has found no value that exact_sum leaves to rest_of_sum).
#}
{% macro reading_tables() %}
    {%- set tables = {} -%}
    {%- for name, uri, version in plan_rows("
        select table_name, uri, version::varchar
        from plan.tables
        where table_name like 'silver.%' and table_name not in ('silver.rejected', 'silver.devices', 'silver.sites')
        order by table_name
    ") -%}
        {%- do tables.update({name: {'name': name, 'source': scan(uri, version), 'models': [], 'metrics': []}}) -%}
    {%- endfor -%}
    {%- for name, model_id, late_after_s in plan_rows("
        select table_name, model_id, late_after_s from plan.models order by model_id
    ") if name in tables -%}
        {%- do tables[name]['models'].append({'model_id': model_id, 'late_after_s': late_after_s}) -%}
    {%- endfor -%}
    {%- set exact = exact_columns() -%}
    {%- for name, column, metric_name, unit, columns in plan_rows("
        select table_name, column_name, metric_name, unit, count(*) over (partition by metric_name, unit)
        from plan.metrics
        order by all
    ") if name in tables -%}
        {%- do tables[name]['metrics'].append({
            'column': column,
            'metric_name': metric_name,
            'unit': unit,
            'is_shared': columns > 1,
            'is_exact': name ~ '.' ~ column in exact
        }) -%}
    {%- endfor -%}
    {{ return(tables.values() | list) }}
{% endmacro %}


{# The columns, as table.column, of which stg_exactness says that all values are exact; none before it is built. #}
{% macro exact_columns() %}
    {%- if not plan_rows("
        select 1 from duckdb_tables() where schema_name = 'staging' and table_name = 'stg_exactness'
    ") -%} {{ return([]) }} {%- endif -%}
    {%- set rows = plan_rows("
        select table_name || '.' || column_name from staging.stg_exactness group by all having bool_and(is_exact)
    ") -%}
    {{ return(rows | map(attribute=0) | list) }}
{% endmacro %}


{# SQL for the seconds after which a reading of one of `models` is late; a join would cost more than the rest of its query. #}
{% macro late_after_s(models) -%}
    case model_id {%- for model in models %} when '{{ model.model_id | replace("'", "''") }}' then {{ model.late_after_s }} {%- endfor %} end
{%- endmacro %}


{# The built-in tables of readings, so that dbt's lineage shows them; which ones are read the plan says at run time. #}
{% macro reading_lineage() -%}
    {%- do source('silver', 'thermostats') -%}
    {%- do source('silver', 'energy_meters') -%}
    {%- do source('silver', 'pumps') -%}
{%- endmacro %}


{# The same, for models with sums: those are built once it is known which columns are exact. #}
{% macro sums_lineage() -%}
    {%- do reading_lineage() -%}
    {%- do ref('stg_exactness') -%}
{%- endmacro %}


{#
  The hours of which readings are read: those to build, and all of a day that is built, of UTC or of any zone; of a kind
  of telemetry none while nothing is of that kind.
#}
{% macro hours_with_readings(kind=none) -%}
    (
        select * from (
            select event_date, event_hour, record_count from plan.slices where has_data
            union
            select event_date, event_hour, record_count from plan.day_hours
            union
            select event_date, event_hour, record_count from plan.local_hours
        )
        {%- if kind %} where {{ has_kind(kind) }} {%- endif %}
    )
{%- endmacro %}
