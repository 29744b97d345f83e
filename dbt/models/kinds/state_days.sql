with

hours as (

    select
        device_id, metric_name, unit, model_id, site_id, state, hour_at, event_date, event_hour, reading_count,
        duration_s, entered_count, is_last, is_carried
    from {{ ref('state_hours') }}

    union all

    {{ published_of_days('gold.state_hours', {
        'device_id': 'varchar', 'metric_name': 'varchar', 'unit': 'varchar', 'model_id': 'varchar',
        'site_id': 'varchar', 'state': 'varchar', 'hour_at': 'timestamptz', 'event_date': 'date',
        'event_hour': 'integer', 'reading_count': 'bigint', 'duration_s': 'double', 'entered_count': 'bigint',
        'is_last': 'boolean', 'is_carried': 'boolean'
    }) }}

),

of_days as (

    select
        *,
        hour_at = max(hour_at) over metric as is_last_hour,
        bool_and(is_carried) over metric as is_carried_day,
        max_by(model_id, hour_at) over metric as day_model_id,
        max_by(site_id, hour_at) over metric as day_site_id
    from hours
    where event_date in (select day_date from {{ plan_table('days', {'day_date': 'date'}) }})
    window metric as (partition by device_id, metric_name, unit, event_date)

),

final as (

    select
        device_id,
        metric_name,
        unit,
        any_value(day_model_id) as model_id,
        any_value(day_site_id) as site_id,
        state,
        event_date as day_date,
        event_date,
        sum(reading_count)::bigint as reading_count,
        list_sum(list(duration_s order by hour_at)) as duration_s,
        sum(entered_count)::bigint as entered_count,
        bool_or(is_last and is_last_hour) as is_last,
        bool_and(is_carried_day) as is_carried
    from of_days
    group by device_id, metric_name, unit, state, event_date

)

select * from final
