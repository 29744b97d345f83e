{#
  Enumerations: the texts of a large table as numbers.

  Minutes have five texts a row, which take three times as long to write as all else of it, and to sort by as long again.
  As enumerations they are read as the same texts.
#}

{# SQL for the hook that makes the type `name` of the texts in a column, in their order. #}
{% macro create_enumeration(name, relation, column) -%}
    create or replace type {{ relation.schema }}.{{ name }} as enum (
        -- a file with an empty enumeration cannot be read
        select '' as text
        union
        select {{ column }} from {{ relation }} where {{ column }} is not null
        order by text
    )
{%- endmacro %}
