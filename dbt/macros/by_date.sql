{#
  The materialization `by_date`: builds a table one UTC date after the other.

  Config `hours` names the relation (event_date, event_hour) of the hours to build. The model's SQL selects them with
  planned_hours(), which is replaced by a predicate for each date. So memory is bounded by a day of readings however
  long the backfill is, and the predicate has the form that skips files: delta_scan looks at comparisons of partition
  columns with constants, not at IN, OR or joins.
#}
{% materialization by_date, adapter='duckdb' %}
    {%- set target = this.incorporate(type='table') -%}
    {%- set existing = load_cached_relation(this) -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- if existing is not none -%} {%- do adapter.drop_relation(existing) -%} {%- endif -%}

    {%- call statement('main') -%}
        create table {{ target }} as {{ sql | replace(planned_hours(), 'false') }}
    {%- endcall -%}
    {%- for predicate in date_predicates(config.require('hours')) -%}
        {%- call statement('date_' ~ loop.index) -%}
            insert into {{ target }} {{ sql | replace(planned_hours(), predicate) }}
        {%- endcall -%}
    {%- endfor -%}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}


{# The predicate of the hours at hand on event_date and event_hour; outside a by_date build it selects all. #}
{% macro planned_hours() -%}
    (true /* planned hours */)
{%- endmacro %}


{# One predicate a date of `hours`. #}
{% macro date_predicates(hours) %}
    {%- set predicates = [] -%}
    {%- set rows = plan_rows("
        select
            strftime(event_date, '%Y-%m-%d'),
            min(event_hour),
            max(event_hour),
            count(distinct event_hour),
            string_agg(distinct event_hour::varchar, ', ' order by event_hour::varchar)
        from " ~ hours ~ "
        group by event_date
        order by event_date
    ") -%}
    {%- for date, first, last, hour_count, hour_list in rows -%}
        {%- set parts = ["event_date = date '" ~ date ~ "'"] -%}
        {%- if hour_count == 1 -%}
            {%- do parts.append("event_hour = " ~ first) -%}
        {%- elif hour_count < 24 -%}
            {%- do parts.append("event_hour between " ~ first ~ " and " ~ last) -%}
            {%- if hour_count <= last - first -%} {%- do parts.append("event_hour in (" ~ hour_list ~ ")") -%} {%- endif -%}
        {%- endif -%}
        {%- do predicates.append("(" ~ parts | join(" and ") ~ ")") -%}
    {%- endfor -%}
    {{ return(predicates) }}
{% endmacro %}
