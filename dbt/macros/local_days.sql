{#
  Local days: the days of sites, by the zone of each.

  The plan's local_hours say which hours a day of a zone consists of; an hour into which a midnight falls stands in both
  days and is whole in none. So the sums of a day are those of its whole hours, and those of the readings of the other
  ones. Percentiles are of readings, as everywhere. While UTC is the only zone a day has the hours of its date, and no
  reading is looked at for the sake of its day.
#}

{# The columns of the plan's local_hours. #}
{% macro local_hour_columns() %}
    {{ return({
        'zone': 'varchar',
        'day_date': 'date',
        'starts_at': 'timestamptz',
        'ends_at': 'timestamptz',
        'hours_in_day': 'double',
        'slice_at': 'timestamptz',
        'event_date': 'date',
        'event_hour': 'integer',
        'record_count': 'bigint',
        'is_whole': 'boolean'
    }) }}
{% endmacro %}


{# True when the days to build are of other zones than UTC too. #}
{% macro has_zones() %}
    {{ return(plan_rows("select 1 from plan.local_hours where zone <> 'UTC' limit 1") | length > 0) }}
{% endmacro %}


{# True when a midnight falls into one of the hours to build. #}
{% macro has_split_hours() %}
    {{ return(plan_rows("select 1 from plan.local_hours where not is_whole limit 1") | length > 0) }}
{% endmacro %}


{#
  Rows of hours or readings (`source`) with the site where their device stood at the start of the hour, and with
  day_date, the local day there. Wants the CTEs placements (with zone) and local_hours. `hours` says of which: 'all',
  'whole' or 'split' ones; of all but whole ones `source` has event_at.
#}
{% macro with_local_day(source, hours='all') -%}
    (
                select
                    rows_there.*,
                    coalesce(placements.site_id, 'unknown') as site_id,
                    {{ 'local_hours.day_date' if has_zones() else 'rows_there.event_date as day_date' }}
                from (select * from {{ source }} where {{ planned_hours() }}) as rows_there
                left join placements using (device_id, event_date, event_hour)
                {%- if has_zones() %}
                inner join local_hours
                    on local_hours.zone = coalesce(placements.zone, 'UTC')
                    and local_hours.event_date = rows_there.event_date
                    and local_hours.event_hour = rows_there.event_hour
                where true
                {%- if hours == 'whole' %} and local_hours.is_whole {%- endif %}
                {%- if hours == 'split' %} and not local_hours.is_whole {%- endif %}
                {%- if hours != 'whole' and has_split_hours() %}
                    and rows_there.event_at >= local_hours.starts_at
                    and rows_there.event_at < local_hours.ends_at
                {%- endif %}
                {%- endif %}
            )
{%- endmacro %}
