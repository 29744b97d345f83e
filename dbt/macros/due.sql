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


{#
  SQL for the registry's records that hold in `periods` (a relation, with `columns`, of which starts_at and ends_at are
  the moments), a row each, without retired ones. starts_us and ends_us bound when it holds there, in microseconds since
  the device came into service. Wants the CTEs registry and models.
#}
{% macro records_in_force(periods, columns, starts_at, ends_at, of_device=false) -%}
    select
        registry.device_id,
        {%- for column in columns %}
        periods.{{ column }},
        {%- endfor %}
        registry.status,
        registry.in_service_at,
        coalesce(registry.reporting_interval_s, models.reporting_interval_s) as reporting_interval_s,
        greatest(epoch_us(registry.valid_from), epoch_us({{ starts_at }})) - epoch_us(registry.in_service_at) as starts_us,
        least(coalesce(epoch_us(registry.valid_to), 9223372036854775807), epoch_us({{ ends_at }}))
        - epoch_us(registry.in_service_at) as ends_us
    from {{ periods }} as periods
    inner join registry
        on registry.valid_from < {{ ends_at }}
        and coalesce(registry.valid_to, 'infinity'::timestamptz) > {{ starts_at }}
        {%- if of_device %}
        and registry.device_id = periods.device_id
        {%- endif %}
    left join models on models.model_id = registry.model_id
    where registry.status <> 'retired'
{%- endmacro %}


{# SQL for the reporting times of records in force, added up. #}
{% macro due_count() -%}
    coalesce(sum({{ reporting_times('starts_us', 'ends_us', 'reporting_interval_s * 1000000::bigint') }})
        filter (where status = 'in_service' and reporting_interval_s > 0), 0)::bigint
{%- endmacro %}
