with

slices as (

    select slice_at, event_date, event_hour, epoch_us(slice_at) // 3600000000 as hour_number
    from {{ ref('stg_slices') }}
    anti join {{ plan_hours('held') }} as held using (event_date, event_hour)
    where slice_at not in (select slice_at from {{ plan_table('gone', {'slice_at': 'timestamptz'}) }})

),

states as (

    select *, epoch_us(last_event_at) // 3600000000 as hour_number
    from {{ ref('stg_state_hours') }}
    semi join slices using (event_date, event_hour)

),

limits as (

    select metric_name, unit, max(carry_limit_s) as carry_limit_s
    from {{ plan_table('kinds', {
        'kind': 'varchar', 'metric_name': 'varchar', 'unit': 'varchar', 'carry_limit_s': 'integer'
    }) }}
    where kind = 'state'
    group by metric_name, unit

),

published as (

    {{ published_before('state', 'gold.state_hours', {
        'device_id': 'varchar', 'metric_name': 'varchar', 'unit': 'varchar', 'event_date': 'date',
        'event_hour': 'integer', 'model_id': 'varchar', 'state': 'varchar', 'is_last': 'boolean',
        'is_carried': 'boolean', 'last_event_at': 'timestamptz'
    }) }}

),

-- one row per device, metric and hour with readings; nothing of the hour is known of those that were published
hours as (

    select
        device_id,
        metric_name,
        unit,
        hour_number,
        arg_max(model_id, last_arrival) as model_id,
        min(epoch_us(first_event_at)) as first_us,
        arg_min(state, first_arrival) as first_state,
        max(last_event_at) as last_event_at,
        arg_max(state, last_arrival) as last_state,
        max(carry_limit_s) * 1000000::bigint as limit_us
    from states
    group by device_id, metric_name, unit, hour_number

    union all

    select
        published.device_id,
        published.metric_name,
        published.unit,
        epoch_us(published.last_event_at) // 3600000000 as hour_number,
        published.model_id,
        null as first_us,
        null as first_state,
        published.last_event_at,
        published.state as last_state,
        limits.carry_limit_s * 1000000::bigint as limit_us
    from published
    inner join limits using (metric_name, unit)
    where published.is_last and not published.is_carried

),

chained as (

    select
        *,
        lag(last_state) over metric as before_state,
        lag(last_event_at) over metric as before_at,
        lead(hour_number) over metric as next_number
    from hours
    window metric as (partition by device_id, metric_name, unit order by hour_number)

),

-- the state that an hour with readings begins with, while it is known
begun as (

    select *, least(first_us, epoch_us(before_at) + limit_us) - hour_number * 3600000000 as carried_us
    from chained
    where first_us is not null

),

known as (

    select
        *,
        -- the least of something and null is not null
        before_at is not null and carried_us > 0 as is_begun,
        coalesce(first_us - epoch_us(before_at) <= limit_us, false) as is_followed
    from begun

),

silent as (

    select
        device_id,
        metric_name,
        unit,
        model_id,
        last_state,
        last_event_at,
        limit_us,
        unnest(range(
            hour_number + 1,
            least(
                coalesce(next_number, 9223372036854775807),
                (epoch_us(last_event_at) + limit_us - 1) // 3600000000 + 1
            )
        )) as hour_number
    from chained

),

parts as (

    select
        states.device_id,
        states.metric_name,
        states.unit,
        states.hour_number,
        states.state,
        states.reading_count,
        states.held_us,
        states.entered_count + (known.is_followed and states.state = known.first_state and known.first_state <> known.before_state)::bigint
            as entered_count,
        states.state = known.last_state as is_last,
        false as is_carried,
        known.model_id,
        known.last_event_at,
        case when known.is_begun then known.before_at end as carried_at
    from states
    inner join known using (device_id, metric_name, unit, hour_number)

    union all

    select
        device_id, metric_name, unit, hour_number, before_state, 0, carried_us, 0, before_state = last_state, false,
        model_id, last_event_at, before_at
    from known
    where is_begun

    union all

    select
        device_id, metric_name, unit, hour_number, last_state, 0,
        least((hour_number + 1) * 3600000000, epoch_us(last_event_at) + limit_us) - hour_number * 3600000000, 0, true, true,
        model_id, last_event_at, last_event_at
    from silent

),

summed as (

    select
        device_id,
        metric_name,
        unit,
        hour_number,
        state,
        sum(reading_count)::bigint as reading_count,
        sum(held_us) / 1e6 as duration_s,
        sum(coalesce(entered_count, 0))::bigint as entered_count,
        bool_or(is_last) as is_last,
        bool_and(is_carried) as is_carried,
        max(model_id) as model_id,
        max(last_event_at) as last_event_at,
        max(carried_at) as carried_at
    from parts
    group by device_id, metric_name, unit, hour_number, state

),

final as (

    select
        summed.device_id,
        summed.metric_name,
        summed.unit,
        summed.model_id,
        summed.state,
        slices.slice_at as hour_at,
        slices.event_date,
        slices.event_hour,
        summed.reading_count,
        summed.duration_s,
        summed.entered_count,
        summed.is_last,
        summed.is_carried,
        summed.last_event_at,
        summed.carried_at
    from summed
    inner join slices using (hour_number)

)

select * from final
