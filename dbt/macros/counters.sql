{#
  Counters: what from one reading to the next is growth, a roll-over or a reset. The rules stand in docs/guide/kinds.md;
  what all kinds share is in kinds.sql.
#}

{# True where a fall of a counter from `old` to `new` is a roll-over: there is a maximum, and it fell by more than half. #}
{% macro is_rollover(old, new, maximum) -%}
    ({{ new }} < {{ old }} and {{ new }} >= 0 and {{ old }} <= {{ maximum }} and {{ old }} - {{ new }} > {{ maximum }} / 2)
{%- endmacro %}


{# How much a counter has grown from a reading `old` to the next one, `new`; null where there is none. #}
{% macro step_of(old, new, maximum) -%}
    case
        when {{ new }} >= {{ old }} then {{ new }} - {{ old }}
        when {{ is_rollover(old, new, maximum) }} then {{ maximum }} - {{ old }} + {{ new }}
        when {{ new }} < {{ old }} then greatest({{ new }}, 0)
    end
{%- endmacro %}


{#
  What makes the difference of two readings of a counter its increase: nothing where it grew, the maximum at a roll-over
  (maximum - old + new), and what was there before at a reset (new).
#}
{% macro correction_of(old, new, maximum) -%}
    case
        when {{ new }} < {{ old }} then
            case
                when {{ is_rollover(old, new, maximum) }} then {{ maximum }}
                else {{ old }} - least({{ new }}, 0)
            end
        else 0
    end
{%- endmacro %}


{# What the falls of a counter come to in a group of readings, each with the value `before` it. #}
{% macro falls_of_steps() -%}
        max(maximum) as maximum,
        -- in sorted order, to the same bits whatever order the readings lie in
        coalesce(list_sum(list_sort(
            list({{ correction_of('before', 'value', 'maximum') }}) filter (where value < before)
        )), 0) as corrections,
        count(*) filter (where value < before) as fall_count,
        count(*) filter (where {{ is_rollover('before', 'value', 'maximum') }}) as rollover_count
{%- endmacro %}


{# The hours of which minutes of counters are made: those to build, and those that a midnight of a local day cuts. #}
{% macro hours_with_counter_minutes() -%}
    (
        select event_date, event_hour, record_count from plan.slices where has_data and {{ has_kind('counter') }}
        union
        select event_date, event_hour, record_count from plan.local_hours where not is_whole and {{ has_kind('counter') }}
    )
{%- endmacro %}
