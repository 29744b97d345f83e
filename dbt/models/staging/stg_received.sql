{{ config(materialized='by_date', hours='(select * from plan.slices where has_data)') }}
{%- do reading_lineage() %}

with

models as (

    select * from {{ ref('stg_models') }}

),

readings as (

    {% for table in reading_tables() %}
    select device_id, model_id, measured_at, received_at, event_at, event_date, event_hour, clock_status
    from {{ table.source }}
    where {{ planned_hours() }}
    {{ "union all" if not loop.last }}
    {% else %}
    select * from {{ no_rows({
        'device_id': 'varchar',
        'model_id': 'varchar',
        'measured_at': 'timestamptz',
        'received_at': 'timestamptz',
        'event_at': 'timestamptz',
        'event_date': 'date',
        'event_hour': 'integer',
        'clock_status': 'varchar'
    }) }}
    {% endfor %}

),

judged as (

    select
        readings.device_id,
        readings.event_date,
        readings.event_hour,
        readings.clock_status <> 'ok' as is_clock_flagged,
        readings.clock_status = 'ok' and epoch_us(readings.received_at) - epoch_us(readings.event_at)
            > models.late_after_s * 1000000::bigint as is_late,
        case when readings.clock_status = 'ok' then readings.measured_at end as heard_at
    from readings
    left join models on models.model_id = readings.model_id

),

final as (

    select
        device_id,
        event_date,
        event_hour,
        count(*) as received_count,
        count(*) filter (where is_late) as late_count,
        count(*) filter (where is_clock_flagged) as clock_flagged_count,
        -- count(distinct heard_at), in less than half the time
        coalesce(list_unique(list(heard_at) filter (where heard_at is not null)), 0)::bigint as heard_count
    from judged
    group by device_id, event_date, event_hour

)

select * from final
