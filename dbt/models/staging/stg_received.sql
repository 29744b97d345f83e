{{ config(materialized='by_date', hours='(select * from plan.slices where has_data)') }}
{%- do reading_lineage() %}

with

readings as (

    {% for table in reading_tables() %}
    select
        device_id,
        event_date,
        event_hour,
        measured_at,
        clock_status = 'ok' as is_clock_ok,
        epoch_us(received_at) - epoch_us(event_at) > 1000000::bigint * {{ late_after_s(table.models) }} as is_slow
    from {{ table.source }}
    where {{ planned_hours() }}
    {{ "union all" if not loop.last }}
    {% else %}
    select * from {{ no_rows({
        'device_id': 'varchar',
        'event_date': 'date',
        'event_hour': 'integer',
        'measured_at': 'timestamptz',
        'is_clock_ok': 'boolean',
        'is_slow': 'boolean'
    }) }}
    {% endfor %}

),

final as (

    select
        device_id,
        event_date,
        event_hour,
        count(*) as received_count,
        count(*) filter (where is_clock_ok and is_slow) as late_count,
        count(*) filter (where not is_clock_ok) as clock_flagged_count,
        -- count(distinct measured_at), in less than half the time
        coalesce(list_unique(list(measured_at) filter (where is_clock_ok)), 0)::bigint as heard_count
    from readings
    group by device_id, event_date, event_hour

)

select * from final
