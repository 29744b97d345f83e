{#
  The materialization `by_date`: builds a table one UTC date after the other, or some together where they hold little.

  Config `hours` names the relation (event_date, event_hour, record_count) of the hours to build. The model's SQL selects
  them with planned_hours(), which is replaced by a predicate for each date or group of dates. So memory is bounded by a
  day of readings however long the backfill is, and the predicate has the form that skips files: delta_scan looks at
  comparisons of partition columns with constants, not at IN, OR or joins.
#}
{% materialization by_date, adapter='duckdb' %}
    {%- set target = this.incorporate(type='table') -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- call statement('main') -%}
        create or replace table {{ target }} as {{ sql | replace(planned_hours(), 'false') | replace(planned_days(), 'false') }}
    {%- endcall -%}
    {%- set local = config.get('is_local', false) and has_zones() -%}
    {%- set hours = config.require('hours') -%}
    {%- for predicate, days in (local_predicates(hours) if local else date_predicates(hours)) -%}
        {%- call statement('date_' ~ loop.index) -%}
            insert into {{ target }} {{ sql | replace(planned_hours(), predicate) | replace(planned_days(), days) }}
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


{# The predicate of the local days at hand on day_date, for a model that is_local. #}
{% macro planned_days() -%}
    (true /* planned days */)
{%- endmacro %}


{# Predicates on hours and on local days, for a local day of `hours` or some that follow each other. #}
{% macro local_predicates(hours, records_together=2000000) %}
    {%- set rows = plan_rows("
        select
            strftime(day_date, '%Y-%m-%d'),
            strftime(min(event_date), '%Y-%m-%d'),
            strftime(max(event_date), '%Y-%m-%d'),
            sum(record_count)::bigint
        from (select distinct day_date, event_date, event_hour, record_count from " ~ hours ~ ")
        group by day_date
        order by day_date
    ") -%}
    {%- set group = namespace(first=none, records=0) -%}
    {%- set predicates = [] -%}
    {%- for row in rows -%}
        {%- if group.first is none -%}
            {%- set group.first = row -%}
        {%- endif -%}
        {%- set group.records = group.records + row[3] -%}
        {%- set next = none if loop.last else loop.nextitem -%}
        {%- if next is none or group.records + next[3] > records_together -%}
            {%- set days = "day_date between date '" ~ group.first[0] ~ "' and date '" ~ row[0] ~ "'" -%}
            {%- do predicates.append([
                "(event_date between date '" ~ group.first[1] ~ "' and date '" ~ row[2] ~ "' and (event_date, event_hour) in "
                ~ "(select event_date, event_hour from " ~ hours ~ " as hours where " ~ days ~ "))",
                "(" ~ days ~ ")"
            ]) -%}
            {%- set group.first = none -%}
            {%- set group.records = 0 -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(predicates) }}
{% endmacro %}


{# One predicate a date of `hours`, or a group of dates that follow each other and hold few records together. #}
{% macro date_predicates(hours, records_together=2000000) %}
    {%- set rows = plan_rows("
        select
            strftime(event_date, '%Y-%m-%d'),
            min(event_hour),
            max(event_hour),
            count(distinct event_hour),
            string_agg(distinct event_hour::varchar, ', ' order by event_hour::varchar),
            sum(record_count)::bigint
        from " ~ hours ~ "
        group by event_date
        order by event_date
    ") -%}
    {%- set groups = [] -%}
    {%- set group = namespace(records=none) -%}
    {%- for row in rows -%}
        {%- if group.records is none or group.records + row[5] > records_together -%}
            {%- do groups.append([]) -%}
            {%- set group.records = 0 -%}
        {%- endif -%}
        {%- do groups[-1].append(row) -%}
        {%- set group.records = group.records + row[5] -%}
    {%- endfor -%}
    {%- set predicates = [] -%}
    {%- for dates in groups -%}
        {%- do predicates.append([
            predicate_of_date(*dates[0]) if dates | length == 1
            else predicate_of_dates(dates[0][0], dates[-1][0], hours),
            'true'
        ]) -%}
    {%- endfor -%}
    {{ return(predicates) }}
{% endmacro %}


{% macro predicate_of_date(date, first, last, hour_count, hour_list, record_count) -%}
    (event_date = date '{{ date }}'
    {%- if hour_count == 1 %} and event_hour = {{ first }}
    {%- elif hour_count < 24 %} and event_hour between {{ first }} and {{ last }}
        {%- if hour_count <= last - first %} and event_hour in ({{ hour_list }}) {%- endif -%}
    {%- endif -%}
    )
{%- endmacro %}


{% macro predicate_of_dates(first, last, hours) -%}
    (event_date between date '{{ first }}' and date '{{ last }}'
        and (event_date, event_hour) in (select event_date, event_hour from {{ hours }} as hours))
{%- endmacro %}
