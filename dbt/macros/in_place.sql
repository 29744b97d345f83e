{#
  The materializations `table` and `view`, in place of dbt's: those build under another name, rename what is there and
  what they built, and drop the former, so that readers have the old table meanwhile. Of a candidate there are no readers.
#}
{% materialization table, adapter='duckdb' %}
    {{ return(built_in_place('table')) }}
{% endmaterialization %}


{% materialization view, adapter='duckdb' %}
    {{ return(built_in_place('view')) }}
{% endmaterialization %}


{# Build the model at hand as a table or a view, over the one that is there. #}
{% macro built_in_place(type) %}
    {%- set target = this.incorporate(type=type) -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- call statement('main') -%}
        create or replace {{ type }} {{ target }} as {{ sql }}
    {%- endcall -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target]}) }}
{% endmacro %}
