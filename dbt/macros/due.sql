{#
  What is due of a device: its reporting times, and which registry record places it.
#}

{#
  SQL for the number of reporting times from `starts` up to `ends` (microseconds since the device came into service):
  they are k * interval, k >= 0, so those before t number t / interval, rounded up.
#}
{% macro reporting_times(starts, ends, interval) -%}
    (greatest({{ ends }}, 0) + {{ interval }} - 1) // ({{ interval }})
    - (greatest({{ starts }}, 0) + {{ interval }} - 1) // ({{ interval }})
{%- endmacro %}


{# SQL for the registry's records and since when each places its device: the first one from the start of its hour on. #}
{% macro placed_from(registry) -%}
    select
        device_id,
        model_id,
        site_id,
        valid_to,
        case
            when valid_from = min(valid_from) over (partition by device_id) then date_trunc('hour', valid_from)
            else valid_from
        end as counts_from
    from {{ registry }}
{%- endmacro %}
