{# Schemas are named as configured, without dbt's prefix: the contract is `gold` and `staging`. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name or target.schema }}
{%- endmacro %}
