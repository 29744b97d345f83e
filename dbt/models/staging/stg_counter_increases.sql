with

hours as (

    select *, date_trunc('hour', first_event_at) as hour_at
    from {{ ref('stg_counter_hours') }}
    anti join {{ plan_hours('held') }} as held using (event_date, event_hour)

),

published as (

    {{ published_before('counter', 'gold.counter_hours', {
        'device_id': 'varchar', 'metric_name': 'varchar', 'unit': 'varchar', 'event_date': 'date',
        'event_hour': 'integer', 'value_last': 'double', 'last_event_at': 'timestamptz'
    }, with_days=true) }}

),

edges as (

    select device_id, metric_name, unit, value_last, last_event_at from published
    union all
    select device_id, metric_name, unit, value_last, last_event_at from hours

),

paired as (

    select
        hours.*,
        edges.value_last as edge_value,
        edges.last_event_at as edge_at,
        epoch_us(hours.first_event_at) - epoch_us(edges.last_event_at) <= hours.carry_limit_s * 1000000::bigint as is_near
    from hours
    asof left join edges
        on hours.device_id = edges.device_id
        and hours.metric_name = edges.metric_name
        and hours.unit = edges.unit
        and hours.hour_at > edges.last_event_at

),

carried as (

    select
        *,
        case when is_near then edge_value end as carried_value,
        case when is_near then edge_at end as carried_at
    from paired

),

summed as (

    select
        *,
        greatest(0, value_last - coalesce(carried_value, value_first) + (
            corrections + {{ correction_of('carried_value', 'value_first', 'maximum') }}
        )) + 0.0::double as increase,
        (epoch_us(last_event_at) - epoch_us(coalesce(carried_at, first_event_at))) / 1e6 as covered_s,
        rollover_count + coalesce({{ is_rollover('carried_value', 'value_first', 'maximum') }}, false)::bigint as rollovers,
        fall_count + coalesce(value_first < carried_value, false)::bigint as falls
    from carried

),

final as (

    select
        device_id,
        metric_name,
        unit,
        model_id,
        hour_at,
        event_date,
        event_hour,
        reading_count,
        value_min,
        value_max,
        value_first,
        value_last,
        first_event_at,
        last_event_at,
        carried_value,
        carried_at,
        increase,
        covered_s,
        falls - rollovers as reset_count,
        rollovers as rollover_count
    from summed

)

select * from final
