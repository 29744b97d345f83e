with

hours as (

    select *, date_trunc('hour', first_event_at) as hour_at
    from {{ ref('stg_gauge_hours') }}
    anti join {{ plan_hours('held') }} as held using (event_date, event_hour)

),

published as (

    {{ published_before('gauge', 'gold.gauge_hours', {
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
        (epoch_us(hours.first_event_at) - epoch_us(edges.last_event_at)) / 1e6 as edge_s
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
        case when edge_s <= carry_limit_s then edge_value end as carried_value,
        case when edge_s <= carry_limit_s then edge_at end as carried_at,
        case when edge_s <= carry_limit_s then edge_s else 0 end as carried_s
    from paired

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
        area + coalesce({{ area_of('carried_value', 'value_first', 'carried_s', 'is_linear') }}, 0) as integral,
        spans_s + carried_s as covered_s,
        mean,
        squares
    from carried

)

select * from final
