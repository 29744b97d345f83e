{#
  Enumerations: the texts of a large table as numbers.

  Minutes have five texts a row, which take three times as long to write as all else of it, and to sort by as long again.
  As enumerations they are read as the same texts.
#}

{#
  SQL for the hook that makes the type `name` of the texts in a column, in their order.

  It is plain text where a text holds a NUL: DuckDB 1.5 cannot sort by such an enumeration.
#}
{% macro create_enumeration(name, relation, column) -%}
    {%- set nul = 'select 1 from ' ~ relation ~ ' where contains(' ~ column ~ ', chr(0)) limit 1' -%}
    {%- if execute and run_query(nul).rows -%}
    create or replace type {{ relation.schema }}.{{ name }} as varchar
    {%- else -%}
    create or replace type {{ relation.schema }}.{{ name }} as enum (
        -- a file with an empty enumeration cannot be read
        select '' as text
        union
        select {{ column }} from {{ relation }} where {{ column }} is not null
        order by text
    )
    {%- endif -%}
{%- endmacro %}
