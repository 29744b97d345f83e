-- depends_on: {{ ref('stg_minute_increases') }}
with

-- where no device stands is UTC
zones as (

    select site_id, zone
    from {{ plan_table('sites', {'site_id': 'varchar', 'zone': 'varchar'}) }}
    where site_id <> 'unknown'

),

local_hours as (

    select * from {{ plan_table('local_hours', local_hour_columns()) }}

),

days as (

    select distinct zone, day_date, starts_at, hours_in_day from local_hours

),

placements as (

    select stg_placements.*, zones.zone
    from {{ ref('stg_placements') }} as stg_placements
    left join zones using (site_id)

),

hours as (

    select *, coalesce(carried_at, first_event_at) as from_at
    from {{ ref('stg_counter_increases') }}
    semi join local_hours using (event_date, event_hour)

),

parts as (

    select
        site_id, metric_name, unit, day_date, device_id, reading_count, from_at, last_event_at, increase,
        reset_count, rollover_count
    from {{ with_local_day('hours', 'whole') }}
    {%- if has_split_hours() %}

    union all

    select
        site_id, metric_name, unit, day_date, device_id, reading_count, coalesce(carried_at, first_event_at),
        last_event_at, increase, reset_count, rollover_count
    from {{ with_local_day('(select *, minute_at as event_at from ' ~ ref('stg_minute_increases') ~ ')', 'split') }}
    {%- endif %}

),

-- how far the parts before reach, so that time that several devices cover counts once
reached as (

    select
        *,
        epoch_us(from_at) as from_us,
        epoch_us(last_event_at) as until_us,
        max(epoch_us(last_event_at)) over (
            partition by site_id, metric_name, unit, day_date
            order by from_at, last_event_at
            rows between unbounded preceding and 1 preceding
        ) as reached_us
    from parts

),

sums as (

    select
        site_id,
        metric_name,
        unit,
        day_date,
        count(distinct device_id) as device_count,
        sum(reading_count)::bigint as reading_count,
        list_sum(list(increase order by device_id, last_event_at)) as increase,
        sum(greatest(0, until_us - greatest(from_us, coalesce(reached_us, from_us))))::bigint / 1e6 as covered_s,
        sum(reset_count)::bigint as reset_count,
        sum(rollover_count)::bigint as rollover_count
    from reached
    group by site_id, metric_name, unit, day_date

),

final as (

    select
        sums.site_id,
        sums.metric_name,
        sums.unit,
        sums.day_date,
        sums.day_date as event_date,
        days.zone,
        days.starts_at,
        days.hours_in_day,
        sums.device_count,
        sums.reading_count,
        sums.increase,
        sums.covered_s,
        {{ rate_of('sums.increase', 'sums.covered_s') }} as increase_per_h,
        sums.reset_count,
        sums.rollover_count
    from sums
    left join zones using (site_id)
    left join days on days.zone = coalesce(zones.zone, 'UTC') and days.day_date = sums.day_date

)

select * from final
